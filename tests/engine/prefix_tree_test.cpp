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
  PrefixTree::Clock::time_point now{};
  BlockPool pool{256};
  PrefixTree tree{pool, make_eviction_policy(EvictionKind::pgdsf, 0.001), [this] { return now; }};

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

TEST(PrefixTree, EvictsTheLeastRecentlyUsedFirstWhenToldTo) {
  BlockPool pool(8);
  PrefixTree tree(pool, make_eviction_policy(EvictionKind::lru, 0));
  const auto insert = [&](TokenId first) {
    std::vector<Block> blocks;
    blocks.push_back(pool.take());
    tree.insert("", run(first, 16), blocks, {});
  };
  for (const TokenId first : {100, 200, 300}) insert(first);
  for (int i = 0; i < 9; ++i) tree.match("", run(200, 16));
  tree.match("", run(100, 16));
  // 300 was never used again; 200 was used often, but 100 was used last.
  EXPECT_EQ(tree.evict(1), 1);
  EXPECT_EQ(tree.resident("", run(300, 16)).tokens, 0);
  EXPECT_EQ(tree.evict(1), 1);
  EXPECT_EQ(tree.resident("", run(200, 16)).tokens, 0);
  EXPECT_EQ(tree.resident("", run(100, 16)).tokens, 16);
}

TEST(PrefixTree, CountsTheUseOfAPartForThatPartOnly) {
  Cache cache;
  cache.insert(run(0, 64));
  cache.insert(run(1000, 64));
  for (int i = 0; i < 9; ++i) cache.tree.match("", run(0, 32));
  // The first half of one prompt is used often: both second halves go before either first half of the other.
  EXPECT_EQ(cache.tree.evict(6), 6);
  EXPECT_EQ(cache.tree.resident("", run(0, 64)).tokens, 32);
  EXPECT_EQ(cache.tree.resident("", run(1000, 64)).tokens, 0);
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

TEST(PrefixTree, MarksNoDocumentWhereAnotherPromptGoesOn) {
  Cache cache;
  cache.insert(run(0, 64));
  // Given a prompt of which one block is computed so far, with a document in its third.
  auto blocks = cache.take(1);
  cache.tree.insert("", run(0, 16), blocks, std::vector<DocumentMark>{{35, "a"}});
  EXPECT_EQ(cache.tree.invalidate(std::vector<std::string>{"a"}), 0U);
  EXPECT_EQ(cache.tree.resident("", run(0, 64)).tokens, 64);
}

// Clients may send the same text under a fresh name each time.
TEST(PrefixTree, TakesABlockUnderVeryManyDocumentsForOneOfAnyDocument) {
  Cache cache;
  const auto known_as = [&](int names) {
    for (int i = 0; i < names; ++i) cache.insert(run(0, 96), {{35, std::to_string(i)}});
  };
  known_as(200);
  EXPECT_EQ(cache.tree.invalidate(std::vector<std::string>{"other"}), 0U);
  known_as(2000);
  cache.insert(run(0, 64) + run(500, 32), {{70, "b"}});  // splits
  cache.insert(run(0, 16) + run(900, 16), {{20, "c"}});
  EXPECT_EQ(cache.tree.invalidate({}), 0U);
  EXPECT_EQ(cache.tree.invalidate(std::vector<std::string>{"other"}), 6U);
  EXPECT_EQ(cache.tree.resident("", run(0, 96)).tokens, 32);
  EXPECT_EQ(cache.tree.resident("", run(0, 16) + run(900, 16)).tokens, 32);
  // What comes after is kept apart again.
  cache.insert(run(0, 96), {{35, "0"}});
  EXPECT_EQ(cache.tree.invalidate(std::vector<std::string>{"other"}), 0U);
  EXPECT_EQ(cache.tree.invalidate(std::vector<std::string>{"0"}), 4U);
}

TEST(PrefixTree, ForgetsNamespacesOfWhichNothingIsLeft) {
  Cache cache;
  for (int i = 0; i < 50; ++i) cache.insert(run(0, 32), {{20, "a"}}, std::to_string(i));
  cache.insert(run(0, 32), {{0, "b"}}, "last");
  EXPECT_EQ(cache.tree.spaces(), 51);
  EXPECT_EQ(cache.tree.invalidate(std::vector<std::string>{"b"}), 2U);
  EXPECT_EQ(cache.tree.spaces(), 50);
  EXPECT_EQ(cache.tree.evict(51), 51);
  EXPECT_LT(cache.tree.spaces(), 50);
  EXPECT_EQ(cache.tree.evict(100), 49);
  EXPECT_EQ(cache.tree.spaces(), 0);
  cache.insert(run(0, 32), {}, "7");
  EXPECT_EQ(cache.tree.resident("7", run(0, 32)).tokens, 32);
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

// Pins: time is the test's.
using std::chrono::minutes;

TEST(PrefixPins, KeepAPrefixUntilTheirTimeIsOver) {
  Cache cache;
  cache.insert(run(0, 64));
  ASSERT_TRUE(cache.tree.pin("", run(0, 40), minutes(5)));  // two whole blocks
  EXPECT_EQ(cache.tree.pinned_blocks(), 2);
  EXPECT_EQ(cache.tree.evictable(), 2);
  EXPECT_EQ(cache.tree.idle(), 4);
  EXPECT_EQ(cache.tree.evict(100), 2);
  cache.now += minutes(5);
  EXPECT_EQ(cache.tree.evict(100), 2);
  EXPECT_EQ(cache.tree.pins(), 0);
}

TEST(PrefixPins, BeginAnewWithEachUse) {
  Cache cache;
  cache.insert(run(0, 64));
  ASSERT_TRUE(cache.tree.pin("", run(0, 32), minutes(5)));
  for (int i = 0; i < 4; ++i) {
    cache.now += minutes(4);
    cache.tree.match("", run(0, 48));
  }
  EXPECT_EQ(cache.tree.evict(100), 2);
  // A prompt that leaves the pinned prefix on its way does not use it.
  cache.now += minutes(4);
  cache.tree.match("", run(0, 16));
  cache.now += minutes(1);
  EXPECT_EQ(cache.tree.evict(100), 2);
}

TEST(PrefixPins, StayWhereTheyAreWhenNodesAreSplitBelowAndAboveThem) {
  Cache cache;
  cache.insert(run(0, 96));
  ASSERT_TRUE(cache.tree.pin("", run(0, 64), minutes(5)));
  cache.insert(run(0, 32) + run(500, 32));
  cache.insert(run(0, 80) + run(700, 16));
  EXPECT_EQ(cache.tree.pinned_blocks(), 4);
  cache.tree.evict(100);
  EXPECT_EQ(cache.tree.resident("", run(0, 96)).tokens, 64);
}

TEST(PrefixPins, NeedAPrefixThatIsThere) {
  Cache cache;
  cache.insert(run(0, 64), {}, "a");
  EXPECT_FALSE(cache.tree.pin("b", run(0, 64), minutes(5)));
  EXPECT_FALSE(cache.tree.pin("a", run(0, 80), minutes(5)));
  EXPECT_FALSE(cache.tree.pin("a", run(0, 32) + run(900, 16), minutes(5)));
  EXPECT_FALSE(cache.tree.pin("a", run(0, 15), minutes(5)));
}

TEST(PrefixPins, GiveWayToANewOneBeyondHalfOfThePool) {
  Cache cache;  // 256 blocks
  for (const TokenId first : {0, 10'000, 20'000}) cache.insert(run(first, 60 * 16));
  ASSERT_TRUE(cache.tree.pin("", run(0, 60 * 16), minutes(5)));
  ASSERT_TRUE(cache.tree.pin("", run(10'000, 60 * 16), minutes(4)));
  // The one that would end first goes.
  ASSERT_TRUE(cache.tree.pin("", run(20'000, 60 * 16), minutes(5)));
  EXPECT_EQ(cache.tree.pinned_blocks(), 120);
  cache.tree.evict(256);
  EXPECT_EQ(cache.tree.resident("", run(10'000, 60 * 16)).tokens, 0);
  EXPECT_EQ(cache.tree.resident("", run(0, 60 * 16)).tokens, 60 * 16);
  cache.insert(run(40'000, 130 * 16));
  EXPECT_FALSE(cache.tree.pin("", run(40'000, 130 * 16), minutes(5)));
  EXPECT_EQ(cache.tree.pins(), 2);
}

TEST(PrefixPins, EndWithTheDocumentTheyHold) {
  Cache cache;
  cache.insert(run(0, 96), {{40, "a"}});
  ASSERT_TRUE(cache.tree.pin("", run(0, 32), minutes(5)));
  ASSERT_TRUE(cache.tree.pin("", run(0, 96), minutes(5)));
  cache.tree.invalidate(std::vector<std::string>{"a"});
  EXPECT_EQ(cache.tree.pins(), 1);
  EXPECT_EQ(cache.tree.pinned_blocks(), 2);
}

TEST(PrefixPins, LetASequenceUseWhatTheyHold) {
  Cache cache;
  cache.insert(run(0, 64));
  ASSERT_TRUE(cache.tree.pin("", run(0, 64), minutes(5)));
  PrefixMatch held = cache.tree.match("", run(0, 64));
  EXPECT_EQ(cache.tree.idle(), 0);
  cache.now += minutes(6);
  EXPECT_EQ(cache.tree.evict(100), 0);
  held = {};
  EXPECT_EQ(cache.tree.evict(100), 4);
}

// The sentence is printed by every build; a debug build stops there.
TEST(BlockPoolDeathTest, SaysLoudlyWhatWasNeverGivenBack) {
  const auto leak = [] {
    auto pool = std::make_unique<BlockPool>(4);
    static Block leaked;
    leaked = pool->take();
    pool.reset();
    std::_Exit(1);
  };
  EXPECT_DEATH(leak(), "1 of 4 KV blocks were never given back");
}

}  // namespace
}  // namespace kvasir::engine
