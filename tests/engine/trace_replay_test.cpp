// The replay of traces against a model that is nothing but a list of blocks.
#include "engine/trace_replay.hpp"

#include <algorithm>
#include <list>
#include <random>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using Prompt = std::vector<int>;

// Conversations that go on at random, over a few system prompts: each turn is the one before it and some more.
std::vector<Prompt> conversations(unsigned seed) {
  std::mt19937 random(seed);
  int next_id = 8;
  std::vector<Prompt> open;
  std::vector<Prompt> trace;
  for (int i = 0; i < 3000; ++i) {
    if (open.size() < 40 || random() % 4 == 0) open.push_back({static_cast<int>(random() % 8)});
    Prompt& turn = open[random() % open.size()];
    for (auto more = random() % 6; more > 0; --more) turn.push_back(next_id++);
    trace.push_back(turn);
    if (turn.size() > 30) std::swap(turn, open.back()), open.pop_back();
  }
  return trace;
}

// LRU over single blocks; a prompt's first block counts as used last.
class BlockList {
 public:
  explicit BlockList(std::size_t capacity) : capacity_(capacity) {}

  std::uint64_t ask(const Prompt& prompt) {
    std::uint64_t hits = 0;
    while (hits < prompt.size() && std::find(order_.begin(), order_.end(), prompt[hits]) != order_.end()) ++hits;
    for (const int id : prompt) order_.remove(id);
    while (order_.size() + prompt.size() > capacity_) order_.pop_front();
    order_.insert(order_.end(), prompt.rbegin(), prompt.rend());
    return hits;
  }

 private:
  std::size_t capacity_;
  std::list<int> order_;
};

TEST(TraceReplay, HitsAsOftenAsAnLruListOfBlocks) {
  for (const int capacity : {40, 150, 600}) {
    const unsigned seed = 5;
    TraceReplay replay(capacity, EvictionKind::lru, 0.02);
    BlockList list(static_cast<std::size_t>(capacity));
    std::uint64_t hits = 0;
    for (const Prompt& prompt : conversations(seed)) {
      replay.ask(prompt);
      hits += list.ask(prompt);
      ASSERT_EQ(replay.counts().hits, hits) << "capacity " << capacity << ", seed " << seed;
    }
    EXPECT_GT(hits, 0U);
    EXPECT_LT(hits, replay.counts().blocks);
  }
}

TEST(TraceReplay, HitsWhateverWasThereBeforeWhenRoomHasNoEnd) {
  std::set<int> seen;
  std::uint64_t hits = 0;
  TraceReplay lru(100'000, EvictionKind::lru, 0.02);
  TraceReplay pgdsf(100'000, EvictionKind::pgdsf, 0.02);
  for (const Prompt& prompt : conversations(6)) {
    for (const int id : prompt) hits += seen.insert(id).second ? 0 : 1;
    lru.ask(prompt);
    pgdsf.ask(prompt);
  }
  EXPECT_EQ(lru.counts().hits, hits);
  EXPECT_EQ(pgdsf.counts().hits, hits);
}

TEST(TraceReplay, CountsAPromptThatIsLongerThanAllBlocks) {
  TraceReplay replay(2, EvictionKind::pgdsf, 1.0);
  replay.ask(Prompt{1, 2, 3});
  replay.ask(Prompt{1, 2, 3});
  EXPECT_EQ(replay.counts().blocks, 6U);
  EXPECT_EQ(replay.counts().hits, 2U);
  // Blocks cost 1, 2 and 3; the first two of the second prompt were there.
  EXPECT_DOUBLE_EQ(replay.counts().cost, 12.0);
  EXPECT_DOUBLE_EQ(replay.counts().saved, 3.0);
}

}  // namespace
}  // namespace kvasir::engine
