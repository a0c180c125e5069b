// Prefixes that stay pinned under a name.
#include "engine/prefix_labels.hpp"

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using Tokens = std::vector<TokenId>;
using std::chrono::minutes;

struct Labelled {
  BlockPool pool{256};
  PrefixTree tree{pool, make_eviction_policy(EvictionKind::pgdsf, 0.001)};
  PrefixLabels labels{tree};

  // Two blocks of a prompt of its own, in the KV.
  Tokens prompt(int number, std::string_view space = "a") {
    const Tokens tokens(32, number);
    std::vector<Block> blocks;
    blocks.push_back(pool.take());
    blocks.push_back(pool.take());
    tree.insert(space, tokens, blocks, {});
    return tokens;
  }
};

TEST(PrefixLabels, LetGoOfAPrefixWhenTheLabelGetsAnother) {
  Labelled given;
  const Tokens first = given.prompt(1);
  given.labels.pin("a", "rules", first, minutes(5));
  given.labels.pin("a", "rules", first, minutes(5));
  EXPECT_EQ(given.tree.pins(), 1);
  given.labels.pin("a", "rules", given.prompt(2), minutes(5));
  EXPECT_EQ(given.tree.pins(), 1);
  given.tree.evict(100);
  EXPECT_EQ(given.tree.resident("a", first).tokens, 0);
  EXPECT_EQ(given.tree.resident("a", given.prompt(2)).tokens, 32);
}

TEST(PrefixLabels, KeepAPrefixThatHasASecondLabel) {
  Labelled given;
  const Tokens shared = given.prompt(1);
  given.labels.pin("a", "one", shared, minutes(5));
  given.labels.pin("a", "two", shared, minutes(5));
  given.labels.pin("a", "one", given.prompt(2), minutes(5));
  EXPECT_EQ(given.tree.pins(), 2);
}

TEST(PrefixLabels, AreThoseOfOneSpace) {
  Labelled given;
  given.labels.pin("a", "rules", given.prompt(1, "a"), minutes(5));
  given.labels.pin("b", "rules", given.prompt(2, "b"), minutes(5));
  EXPECT_EQ(given.tree.pins(), 2);
}

TEST(PrefixLabels, AreBoundedInEachSpace) {
  Labelled given;
  for (int i = 0; i < 40; ++i) given.labels.pin("a", std::to_string(i), given.prompt(i), minutes(5));
  EXPECT_EQ(given.labels.size(), 32U);
  EXPECT_EQ(given.tree.pins(), 32);
}

TEST(PrefixLabels, OutliveAPrefixThatIsGone) {
  Labelled given;
  given.labels.pin("a", "rules", Tokens(32, 7), minutes(5));
  EXPECT_EQ(given.tree.pins(), 0);
  given.labels.pin("a", "rules", given.prompt(7), minutes(5));
  EXPECT_EQ(given.tree.pins(), 1);
}

}  // namespace
}  // namespace kvasir::engine
