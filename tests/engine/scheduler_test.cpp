// Who is admitted, in which order, and who makes room; without a model.
#include "engine/scheduler.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using testing::ElementsAre;

struct Asked {
  std::string space;
  int first_token = 0;
  int tokens = 16;
  int max_tokens = 1;
  int priority = 0;
  std::vector<DocumentMark> documents = {};
};

class SchedulerTest : public testing::Test {
 protected:
  void start(int blocks, SchedulerLimits limits) {
    scheduler_.reset();
    tree_.reset();
    pool_ = std::make_unique<BlockPool>(blocks);
    tree_ = std::make_unique<PrefixTree>(*pool_, make_eviction_policy(EvictionKind::pgdsf, 0.001));
    storage_ = std::make_unique<KvStorage>(*KvStorage::reserve(kernels::KvType::f16, 1, {1, 1, 4}, blocks));
    scheduler_ = std::make_unique<Scheduler>(*pool_, *tree_, *storage_, limits);
  }
  Engine::RequestId add(const Asked& asked) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = ++last_id_;
    for (int i = 0; i < asked.tokens; ++i) sequence->tokens.push_back(asked.first_token + i);
    sequence->prompt_tokens = asked.tokens;
    sequence->max_tokens = asked.max_tokens;
    sequence->cache_namespace = asked.space;
    sequence->tenant = sequence->cache_namespace;
    sequence->priority = asked.priority;
    sequence->documents = asked.documents;
    scheduler_->add(std::move(sequence));
    return last_id_;
  }
  // One step; tokens come from nowhere. Returns who has been admitted.
  std::vector<Engine::RequestId> step() {
    std::vector<Engine::RequestId> admitted;
    for (const StepPart& part : scheduler_->plan(64)) {
      Sequence& sequence = *part.sequence;
      if (std::find(seen_.begin(), seen_.end(), sequence.id) == seen_.end()) {
        seen_.push_back(sequence.id);
        admitted.push_back(sequence.id);
      }
      scheduler_->computed(part);
      if (sequence.computed < sequence.size()) continue;
      if (sequence.generated() == sequence.max_tokens)
        scheduler_->remove(sequence.id);
      else
        sequence.tokens.push_back(1'000'000 + sequence.size());
    }
    return admitted;
  }
  // Steps until nobody is left; the order in which they came in.
  std::vector<Engine::RequestId> run_all() {
    std::vector<Engine::RequestId> order;
    while (scheduler_->running() + scheduler_->waiting() > 0) {
      const auto admitted = step();
      order.insert(order.end(), admitted.begin(), admitted.end());
    }
    return order;
  }

  struct Wanted {
    int number;
    int first;
    std::size_t blocks;
    std::shared_ptr<KvLoad> state;
  };
  // A disk that says nothing of itself.
  void with_disk() {
    scheduler_->load_with([this](int number, const Sequence&, int first, const std::vector<BlockId>& into,
                                 const std::shared_ptr<KvLoad>& state) {
      wanted_.push_back({number, first, into.size(), state});
    });
  }

  std::vector<Wanted> wanted_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<PrefixTree> tree_;
  std::unique_ptr<KvStorage> storage_;
  std::unique_ptr<Scheduler> scheduler_;
  Engine::RequestId last_id_ = 0;
  std::vector<Engine::RequestId> seen_;
};

TEST_F(SchedulerTest, ServesOneTenantInTheOrderOfArrival) {
  start(64, {1, 256});
  for (int i = 0; i < 5; ++i) add({"a", 1000 * i, 30});
  EXPECT_THAT(run_all(), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(SchedulerTest, MarksWhatItRecordsAgainAfterAnotherNameOfItWasInvalidated) {
  start(64, {4, 256});
  const std::vector<std::string> theirs{"theirs"};
  const std::vector<std::string> ours{"ours"};
  add({"", 0, 80, 1, 0, {{20, "theirs"}}});
  run_all();
  add({"", 0, 80, 40, 0, {{20, "ours"}, {50, "ours, too"}}});
  step();
  scheduler_->forget(theirs);
  EXPECT_EQ(tree_->invalidate(theirs), 4U);
  run_all();
  EXPECT_EQ(tree_->blocks(), 7);
  EXPECT_EQ(tree_->invalidate(ours), 6U);
}

TEST_F(SchedulerTest, LetsTenantsTakeTurnsHoweverManyRequestsOneSends) {
  start(64, {1, 256});
  for (int i = 0; i < 4; ++i) add({"a", 1000 * i, 32});
  for (int i = 0; i < 2; ++i) add({"b", 1000 * i, 32});
  EXPECT_THAT(run_all(), ElementsAre(1, 5, 2, 6, 3, 4));
}

TEST_F(SchedulerTest, CountsTurnsInTokens) {
  start(64, {1, 1024});
  // A request of "a" is as long as three of "b".
  for (int i = 0; i < 3; ++i) add({"a", 1000 * i, 300});
  for (int i = 0; i < 6; ++i) add({"b", 1000 * i, 100});
  EXPECT_THAT(run_all(), ElementsAre(1, 4, 5, 6, 2, 7, 8, 9, 3));
}

TEST_F(SchedulerTest, GivesNoCreditForATimeWithoutRequests) {
  start(64, {1, 256});
  for (int i = 0; i < 6; ++i) add({"a", 1000 * i, 32});
  for (int i = 0; i < 4; ++i) step();
  for (int i = 0; i < 4; ++i) add({"b", 1000 * i, 32});
  const auto order = run_all();
  // "b" does not come first with all it has.
  EXPECT_NE(std::vector<Engine::RequestId>(order.begin(), order.begin() + 3),
            (std::vector<Engine::RequestId>{7, 8, 9}));
}

TEST_F(SchedulerTest, ServesHigherPrioritiesFirst) {
  start(64, {1, 256});
  add({"a", 0, 32});
  add({"a", 1000, 32, 1, -1});
  add({"b", 2000, 32, 1, 5});
  add({"b", 3000, 32});
  EXPECT_THAT(run_all(), ElementsAre(3, 1, 4, 2));
}

TEST_F(SchedulerTest, PreemptsTheLowestPriorityAndOfThoseTheLatest) {
  start(9, {8, 256});
  // Each needs two blocks and grows to four.
  const auto low_early = add({"a", 0, 30, 34, 0});
  const auto low_late = add({"a", 1000, 30, 34, 0});
  const auto high = add({"a", 2000, 30, 34, 1});
  std::vector<Engine::RequestId> finished;
  std::vector<Engine::RequestId> present = scheduler_->ids();
  while (!present.empty()) {
    step();
    const auto now = scheduler_->ids();
    for (const auto id : present)
      if (std::find(now.begin(), now.end(), id) == now.end()) finished.push_back(id);
    present = now;
  }
  EXPECT_GE(scheduler_->preemptions(), 1U);
  EXPECT_THAT(finished, ElementsAre(high, low_early, low_late));
}

TEST_F(SchedulerTest, LetsAResidentPrefixOvertakeButNotForEver) {
  start(64, {1, 256});
  add({"a", 0, 64});
  run_all();
  const auto cold = add({"a", 5000, 64});
  std::vector<Engine::RequestId> warm;
  for (int i = 0; i < 8; ++i) warm.push_back(add({"a", 0, 60}));
  const auto order = run_all();
  const auto place = std::find(order.begin(), order.end(), cold) - order.begin();
  EXPECT_EQ(place, WaitingQueue::kOvertakings);
}

TEST_F(SchedulerTest, ComputesEqualPrefixesInFlightOnce) {
  start(64, {8, 16});
  add({"a", 0, 100});
  add({"a", 0, 100});
  add({"b", 0, 100});
  int steps = 0;
  while (scheduler_->running() + scheduler_->waiting() > 0) {
    step();
    ++steps;
    // One prompt a tenant, and a block for each of the two that share.
    EXPECT_LE(pool_->total() - pool_->free(), 7 + 2 + 7);
  }
  EXPECT_GT(steps, 7);
}

TEST_F(SchedulerTest, WaitsForNoPrefixOfALowerPriority) {
  start(64, {8, 16});
  add({"a", 0, 200, 1, -1});
  EXPECT_THAT(step(), ElementsAre(1));
  add({"a", 0, 200, 1, 0});
  EXPECT_THAT(step(), ElementsAre(2));
}

TEST_F(SchedulerTest, LetsPinsGiveWayToARequestThatFitsOnlyWithoutThem) {
  start(16, {8, 1024});
  add({"a", 0, 128});
  run_all();
  std::vector<TokenId> pinned;
  for (TokenId token = 0; token < 128; ++token) pinned.push_back(token);
  ASSERT_TRUE(tree_->pin("a", pinned, std::chrono::minutes(5)));
  add({"b", 5000, 150, 90});  // needs 15 of 16 blocks in the end
  run_all();
  EXPECT_EQ(tree_->pins(), 0);
}

TEST_F(SchedulerTest, KeepsPinsWhileOthersRun) {
  start(16, {8, 1024});
  add({"a", 0, 128});
  run_all();
  std::vector<TokenId> pinned;
  for (TokenId token = 0; token < 128; ++token) pinned.push_back(token);
  ASSERT_TRUE(tree_->pin("a", pinned, std::chrono::minutes(5)));
  for (int i = 1; i < 9; ++i) add({"b", 5000 * i, 40, 20});
  run_all();
  EXPECT_EQ(tree_->pins(), 1);
  EXPECT_EQ(tree_->resident("a", pinned).tokens, 128);
}

// Whatever comes, whoever leaves: no block is lost, and everybody is served in the end.
TEST_F(SchedulerTest, LosesNoBlockUnderARandomLoad) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    start(24, {6, 48});
    for (int round = 0; round < 300; ++round) {
      if (random() % 3 == 0) {
        const std::string space(1, static_cast<char>('a' + random() % 3));
        add({space, static_cast<int>(random() % 4) * 8, 1 + static_cast<int>(random() % 200),
             1 + static_cast<int>(random() % 60), static_cast<int>(random() % 3)});
      }
      if (random() % 10 == 0)
        if (const auto ids = scheduler_->ids(); !ids.empty()) scheduler_->remove(ids[random() % ids.size()]);
      if (random() % 10 == 0) {
        std::vector<TokenId> prompt;
        for (TokenId token = 0; token < 32; ++token) prompt.push_back(token);
        tree_->pin("a", prompt, std::chrono::minutes(5));
      }
      step();
    }
    run_all();
    EXPECT_EQ(pool_->free() + tree_->blocks(), pool_->total());
    EXPECT_EQ(tree_->idle(), tree_->blocks());
  }
}

TEST_F(SchedulerTest, ComputesOnlyWhatTheDiskDoesNotHave) {
  start(64, {4, 256});
  with_disk();
  add({"a", 0, 100});
  EXPECT_TRUE(scheduler_->plan(64).empty());
  EXPECT_TRUE(scheduler_->only_loads());
  ASSERT_EQ(wanted_.size(), 1U);
  EXPECT_EQ(wanted_[0].first, 0);
  EXPECT_EQ(wanted_[0].blocks, 6U) << "all whole blocks that leave a token to compute";
  scheduler_->loaded(wanted_[0].number, 4, {});
  const auto parts = scheduler_->plan(64);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].sequence->computed, 64);
  EXPECT_EQ(parts[0].sequence->reused, 64);
  EXPECT_EQ(parts[0].tokens, 36);
  EXPECT_EQ(tree_->blocks(), 4);
  run_all();
  // The next one finds them in memory, and asks for the rest alone.
  add({"a", 0, 100 + 32});
  step();
  ASSERT_EQ(wanted_.size(), 2U);
  EXPECT_EQ(wanted_[1].first, 6);
  EXPECT_EQ(wanted_[1].blocks, 2U);
  scheduler_->loaded(wanted_[1].number, 0, {});
  run_all();
  EXPECT_EQ(pool_->free() + tree_->blocks(), pool_->total());
}

TEST_F(SchedulerTest, OthersGoOnWhileBlocksAreRead) {
  start(64, {4, 256});
  add({"a", 0, 40, 50});
  step();
  with_disk();
  add({"b", 5000, 100});
  const auto parts = scheduler_->plan(64);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].sequence->cache_namespace, "a");
  EXPECT_FALSE(scheduler_->only_loads());
}

TEST_F(SchedulerTest, HoldsBlocksThatAreReadWhateverBecomesOfTheSequence) {
  start(16, {4, 256});
  const auto pinned = add({"p", 9000, 32});
  run_all();
  ASSERT_EQ(tree_->blocks(), 2) << pinned;
  std::vector<TokenId> prefix(32);
  std::iota(prefix.begin(), prefix.end(), 9000);
  tree_->pin("p", prefix, std::chrono::hours(1));
  with_disk();
  const auto cancelled = add({"a", 0, 100});
  scheduler_->plan(64);
  ASSERT_TRUE(wanted_.at(0).state->begin());
  EXPECT_NE(scheduler_->remove(cancelled), nullptr);
  EXPECT_TRUE(wanted_.at(0).state->cancelled());
  EXPECT_EQ(pool_->free(), 14 - 6) << "the disk writes to them";
  add({"b", 0, 170});
  EXPECT_TRUE(scheduler_->plan(64).empty());
  EXPECT_EQ(scheduler_->running(), 0) << "there is no room yet";
  EXPECT_TRUE(scheduler_->only_loads()) << "there is nothing to do but wait";
  EXPECT_EQ(tree_->pinned_blocks(), 2) << "no pin is given up for what ends soon";
  scheduler_->loaded(wanted_.at(0).number, 6, {});
  EXPECT_EQ(pool_->free(), 14);
  EXPECT_EQ(tree_->blocks(), 2) << "nobody records what was read for nobody";
  scheduler_->plan(64);
  ASSERT_EQ(wanted_.size(), 2U);
  scheduler_->loaded(wanted_.at(1).number, 10, {});
  run_all();
}

TEST_F(SchedulerTest, FreesAtOnceWhatTheDiskHasNotBegunToRead) {
  start(16, {4, 256});
  with_disk();
  const auto cancelled = add({"a", 0, 100});
  scheduler_->plan(64);
  EXPECT_NE(scheduler_->remove(cancelled), nullptr);
  EXPECT_EQ(pool_->free(), 16);
  EXPECT_FALSE(wanted_.at(0).state->begin());
  EXPECT_FALSE(scheduler_->only_loads());
}

TEST_F(SchedulerTest, KnowsWhatWasReadByTheDocumentsThatItWasWrittenAs) {
  start(64, {4, 256});
  with_disk();
  add({"a", 0, 100, 1, 0, {{0, "one name"}}});
  scheduler_->plan(64);
  scheduler_->loaded(wanted_.at(0).number, 6, {{2, "another name"}});
  run_all();
  EXPECT_EQ(tree_->blocks(), 6);
  EXPECT_EQ(tree_->invalidate(std::vector<std::string>{"another name"}), 4U);
  EXPECT_EQ(tree_->invalidate(std::vector<std::string>{"one name"}), 2U);
}

TEST_F(SchedulerTest, TakesNothingThatWasBeingReadWhenADocumentWent) {
  start(64, {4, 256});
  with_disk();
  add({"a", 0, 100});
  scheduler_->plan(64);
  scheduler_->forget(std::vector<std::string>{"a name that only the disk knows"});
  scheduler_->loaded(wanted_.at(0).number, 6, {{0, "a name that only the disk knows"}});
  const auto parts = scheduler_->plan(64);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].sequence->computed, 0);
  EXPECT_EQ(tree_->blocks(), 0);
}

TEST_F(SchedulerTest, ReadsNoMoreOfPromptsBesideOthersThanItIsTold) {
  start(64, {4, 256});
  add({"a", 0, 40, 50});
  step();
  add({"b", 5000, 300});
  const auto parts = scheduler_->plan(10);
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].tokens, 1);
  EXPECT_EQ(parts[1].tokens, 10);
}

TEST_F(SchedulerTest, RecordsNothingReadOfADocumentThatIsGone) {
  start(64, {4, 256});
  with_disk();
  add({"a", 0, 100, 1, 0, {{0, "document"}}});
  scheduler_->plan(64);
  const std::vector<std::string> gone = {"document"};
  scheduler_->forget(gone);
  scheduler_->loaded(wanted_.at(0).number, 6, {});
  run_all();
  EXPECT_EQ(tree_->blocks(), 0);
}

TEST_F(SchedulerTest, TellsTheWorkThatIsLeft) {
  start(64, {1, 64});
  Pace pace;
  const double nothing = scheduler_->work_left(pace);
  add({"a", 0, 100, 1});
  add({"b", 0, 100, 1});
  const double both = scheduler_->work_left(pace);
  step();
  EXPECT_EQ(nothing, 0);
  EXPECT_EQ(both, 202);
  EXPECT_EQ(scheduler_->work_left(pace), both - 64);
}

TEST(Pace, TellsHowLongWorkTakesFromWhatItHasSeen) {
  Pace pace;
  for (int i = 0; i < 600; ++i) pace.step(50, std::chrono::milliseconds(100));
  EXPECT_NEAR(pace.time_for(5000).count(), 10, 0.5);
  // A machine that becomes slower is believed within a minute.
  for (int i = 0; i < 600; ++i) pace.step(5, std::chrono::milliseconds(100));
  EXPECT_GT(pace.time_for(5000).count(), 40);
}

TEST(Pace, ExpectsAnswersAsLongAsTheLastOnesButNoLongerThanAsked) {
  Pace pace;
  for (int i = 0; i < 100; ++i) pace.answered(40);
  EXPECT_NEAR(pace.left_of_answer(0, 1000), 40, 1);
  EXPECT_NEAR(pace.left_of_answer(30, 1000), 10, 1);
  EXPECT_EQ(pace.left_of_answer(0, 8), 8);
  EXPECT_EQ(pace.left_of_answer(500, 1000), 1);
}

}  // namespace
}  // namespace kvasir::engine
