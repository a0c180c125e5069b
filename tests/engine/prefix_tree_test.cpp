// The radix tree: what it finds, what it shares, what it lets go.
#include "engine/prefix_tree.hpp"

#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using Tokens = std::vector<TokenId>;

Tokens run(TokenId first, int count) {
  Tokens tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(first + i);
  return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Cache {
  BlockPool pool{256};
  PrefixTree tree{0.001};

  std::vector<Block> take(std::size_t count) {
    std::vector<Block> blocks;
    for (std::size_t i = 0; i < count; ++i) blocks.push_back(pool.take());
    return blocks;
  }
  // Inserts whole blocks of `tokens` and lets go of them; the tree holds them then.
  std::vector<BlockId> insert(const Tokens& tokens, std::vector<DocumentMark> documents = {},
                              std::string_view space = "") {
    auto blocks = take(tokens.size() / 16);
    tree.insert(space, std::span(tokens).first(blocks.size() * 16), blocks, documents);
    std::vector<BlockId> ids;
    for (const Block& block : blocks) ids.push_back(block.id());
    return ids;
  }
  ~Cache() { tree.evict(pool.total()); }
};

TEST(PrefixTree, FindsTheLongestPrefixInWholeBlocksAndTheRestInsideABlock) {
  Cache cache;
  const auto ids = cache.insert(run(0, 64));
  // Given 64 cached tokens, when a prompt agrees for 40, then two blocks and 8 tokens of the third are found.
  const PrefixMatch match = cache.tree.match("", run(0, 40) + run(900, 30));
  ASSERT_EQ(match.blocks.size(), 2U);
  EXPECT_EQ(match.blocks[0].id(), ids[0]);
  EXPECT_EQ(match.blocks[1].id(), ids[1]);
  EXPECT_EQ(match.partial.id(), ids[2]);
  EXPECT_EQ(match.partial_tokens, 8);
}

TEST(PrefixTree, FindsAPartialFirstBlockAndShorterPrompts) {
  Cache cache;
  cache.insert(run(0, 32));
  EXPECT_EQ(cache.tree.match("", run(0, 5)).partial_tokens, 5);
  EXPECT_EQ(cache.tree.match("", run(0, 20)).partial_tokens, 4);
  EXPECT_TRUE(cache.tree.match("", run(7, 20)).blocks.empty());
  EXPECT_TRUE(cache.tree.match("", {}).blocks.empty());
}

TEST(PrefixTree, KeepsNamespacesApart) {
  Cache cache;
  cache.insert(run(0, 32), {}, "tenant-a");
  EXPECT_TRUE(cache.tree.match("tenant-b", run(0, 32)).blocks.empty());
  EXPECT_EQ(cache.tree.match("tenant-b", run(0, 32)).partial_tokens, 0);
  EXPECT_EQ(cache.tree.match("tenant-a", run(0, 32)).blocks.size(), 2U);
}

TEST(PrefixTree, HoldsAnEqualPrefixOnce) {
  Cache cache;
  const auto first = cache.insert(run(0, 48) + run(100, 16));
  auto blocks = cache.take(4);
  const Tokens other = run(0, 48) + run(200, 16);
  cache.tree.insert("", other, blocks, {});
  // The first three blocks were exchanged for those that the tree had; its own went back to the pool.
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(blocks[i].id(), first[i]);
  EXPECT_NE(blocks[3].id(), first[3]);
  EXPECT_EQ(cache.tree.blocks(), 5);
  EXPECT_EQ(cache.pool.total() - cache.pool.free(), 5);
}

TEST(PrefixTree, MatchingDoesNotChangeTheTree) {
  Cache cache;
  cache.insert(run(0, 64));
  const int before = cache.tree.blocks();
  for (int n = 0; n <= 64; ++n) cache.tree.match("", run(0, n) + run(500, 20));
  EXPECT_EQ(cache.tree.blocks(), before);
  EXPECT_EQ(cache.tree.match("", run(0, 64)).blocks.size(), 4U);
}

TEST(PrefixTree, EvictsNothingThatASequenceHolds) {
  Cache cache;
  cache.insert(run(0, 64));
  cache.insert(run(0, 32) + run(300, 32));
  PrefixMatch held = cache.tree.match("", run(0, 64));
  EXPECT_EQ(cache.tree.evictable(), 2);
  EXPECT_EQ(cache.tree.evict(100), 2);
  EXPECT_EQ(cache.tree.match("", run(0, 64)).blocks.size(), 4U);
  held = {};
  EXPECT_EQ(cache.tree.evict(100), 4);
  EXPECT_EQ(cache.pool.free(), cache.pool.total());
}

TEST(PrefixTree, KeepsWhatIsUsedOftenLongerThanWhatWasUsedOnce) {
  Cache cache;
  cache.insert(run(0, 32));
  cache.insert(run(1000, 32));
  for (int i = 0; i < 5; ++i) cache.tree.match("", run(0, 32));
  EXPECT_EQ(cache.tree.evict(2), 2);
  EXPECT_EQ(cache.tree.resident("", run(0, 32)).tokens, 32);
  EXPECT_EQ(cache.tree.resident("", run(1000, 32)).tokens, 0);
}

TEST(PrefixTree, InvalidatingADocumentRemovesItsBlocksAndAllThatFollow) {
  Cache cache;
  //  system (32) ─ document "a" from token 35 ─ question
  cache.insert(run(0, 80), {{35, "a"}, {60, "b"}});
  cache.insert(run(0, 32) + run(400, 32), {{40, "c"}});
  const std::vector<std::string> gone{"b"};
  EXPECT_EQ(cache.tree.invalidate(gone), 2U);
  EXPECT_EQ(cache.tree.resident("", run(0, 80)).tokens, 48);
  EXPECT_EQ(cache.tree.invalidate(std::vector<std::string>{"a", "unknown"}), 1U);
  EXPECT_EQ(cache.tree.resident("", run(0, 80)).tokens, 32);
  EXPECT_EQ(cache.tree.resident("", run(0, 32) + run(400, 32)).tokens, 64);
}

// A naive model: the set of all whole-block prefixes that were inserted, and how long each is.
TEST(PrefixTree, AgreesWithASetOfPrefixesUnderRandomInserts) {
  std::mt19937 random(11);
  Cache cache;
  std::set<Tokens> prefixes;
  const auto prompt = [&] {
    Tokens tokens;
    const auto blocks = 1 + random() % 5;
    for (std::size_t b = 0; b < blocks; ++b) {
      const auto kind = static_cast<TokenId>(random() % 2);
      for (TokenId i = 0; i < 16; ++i) tokens.push_back(kind * 100 + i);
    }
    return tokens;
  };
  for (int round = 0; round < 400; ++round) {
    const Tokens tokens = prompt();
    std::size_t longest = 0;
    for (std::size_t n = 16; n <= tokens.size(); n += 16)
      if (prefixes.contains(Tokens(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n)))) longest = n;
    ASSERT_EQ(cache.tree.match("", tokens).blocks.size() * 16, longest);
    ASSERT_EQ(cache.tree.resident("", tokens).tokens, static_cast<int>(longest));
    if (random() % 2 == 0) {
      cache.insert(tokens);
      for (std::size_t n = 16; n <= tokens.size(); n += 16)
        prefixes.insert(Tokens(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n)));
    }
    ASSERT_EQ(cache.tree.blocks(), static_cast<int>(prefixes.size()));
    ASSERT_EQ(cache.pool.total() - cache.pool.free(), cache.tree.blocks());
  }
}

}  // namespace
}  // namespace kvasir::engine
