// Expiry, age, size and a store that fails, under a clock that the test turns.
#include "cache/store.hpp"
#include "cache/stored_cache.hpp"
#include "tests/cache/support.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

using std::chrono::seconds;

std::string numbered(int number) {
  return std::string("q").append(std::to_string(number));
}

class Lifetime : public testing::Test {
 protected:
  void open(std::unique_ptr<Store> store = make_forgetful_store()) {
    std::string error;
    cache_ = StoredCache::open(
        settings_, embedder, dimension, std::move(store), [this] { return Clock::time_point(seconds(now_.load())); },
        error);
    ASSERT_TRUE(cache_) << error;
  }
  bool has(const std::string& question) { return cache_->find_exact(Asked(question).key(), {}).entry != nullptr; }

  std::atomic<std::int64_t> now_{1'000'000};  // seconds
  CacheSettings settings_ = in_memory();
  std::unique_ptr<StoredCache> cache_;
};

TEST_F(Lifetime, AnEntryServesUntilItsTimeIsOver) {
  open();
  ASSERT_TRUE(store(*cache_, Asked().key(), answer("a"), {.vector = at_angle(0), .ttl = seconds(60)}));
  now_ += 59;
  EXPECT_EQ(cache_->find_exact(Asked().key(), {}).reason, "hit");
  EXPECT_EQ(cache_->find_semantic(Asked().key(), at_angle(0), {}).reason, "hit");
  now_ += 1;
  // The sweep may have been here already.
  EXPECT_FALSE(cache_->find_exact(Asked().key(), {}).entry);
  EXPECT_FALSE(cache_->find_semantic(Asked().key(), at_angle(0), {}).entry);
}

TEST_F(Lifetime, TheSweepRemovesWhatIsOverAndNothingElse) {
  open();
  for (int i = 0; i < 1000; ++i) {
    const seconds ttl(i % 2 == 0 ? 10 : 1000);
    ASSERT_TRUE(store(*cache_, Asked(std::to_string(i)).key(), answer("a"), {.vector = at_angle(i), .ttl = ttl}));
  }
  now_ += 10;
  while (cache_->sweep()) {
  }
  const CacheStats stats = cache_->stats();
  EXPECT_EQ(stats.entries, 500U);
  EXPECT_EQ(stats.vectors, 500U);
  EXPECT_EQ(stats.expired, 500U);
  EXPECT_FALSE(has("0"));
  EXPECT_TRUE(has("1"));
}

TEST_F(Lifetime, MaxAgeRefusesWhatIsOlder) {
  open();
  ASSERT_TRUE(store(*cache_, Asked().key(), answer("a"), {.vector = at_angle(0)}));
  now_ += 30;
  const LookupLimits fresh{.max_age = seconds(29)};
  EXPECT_EQ(cache_->find_exact(Asked().key(), fresh).reason, "max_age");
  EXPECT_EQ(cache_->find_semantic(Asked().key(), at_angle(0), fresh).reason, "max_age");
  const LookupLimits old{.max_age = seconds(30)};
  EXPECT_EQ(cache_->find_exact(Asked().key(), old).reason, "hit");
  EXPECT_EQ(cache_->find_semantic(Asked().key(), at_angle(0), old).reason, "hit");
}

TEST_F(Lifetime, AnyMaxAgeCanBeAsked) {
  open();
  ASSERT_TRUE(store(*cache_, Asked().key(), answer("a")));
  now_ += 1;
  const auto reason_for = [&](seconds age) { return cache_->find_exact(Asked().key(), {.max_age = age}).reason; };
  EXPECT_EQ(reason_for(seconds::max()), "hit");
  EXPECT_EQ(reason_for(seconds(1)), "hit");
  EXPECT_EQ(reason_for(seconds(0)), "max_age");
  EXPECT_EQ(reason_for(seconds::min()), "max_age");
}

TEST_F(Lifetime, ALifeWithoutEndDoesNotOverflow) {
  open();
  ASSERT_TRUE(store(*cache_, Asked().key(), answer("a"), {.ttl = seconds::max()}));
  EXPECT_EQ(cache_->find_exact(Asked().key(), {}).reason, "hit");
}

TEST_F(Lifetime, AFullCacheGivesUpWhatWasNotUsed) {
  settings_.max_entries = 4;
  open();
  for (const char* name : {"1", "2", "3", "4", "5"}) {
    ASSERT_TRUE(store(*cache_, Asked(name).key(), answer("a"), {.vector = at_angle(0)}));
  }
  EXPECT_FALSE(has("1")) << "the oldest goes first";
  EXPECT_TRUE(has("2"));
  EXPECT_TRUE(has("3"));
  ASSERT_TRUE(store(*cache_, Asked("6").key(), answer("a"), {.vector = at_angle(0)}));
  EXPECT_TRUE(has("2")) << "it was used";
  EXPECT_TRUE(has("3")) << "it was used";
  EXPECT_FALSE(has("4"));
  EXPECT_EQ(cache_->stats().entries, 4U);
  EXPECT_EQ(cache_->stats().vectors, 4U);
  EXPECT_EQ(cache_->stats().evicted, 2U);
}

TEST_F(Lifetime, AFullCacheGivesUpWhatIsCheapToComputeAgainAndLarge) {
  settings_.max_entries = 3;
  open();
  ASSERT_TRUE(store(*cache_, Asked("dear").key(), answer("a", "stop", 2000)));
  ASSERT_TRUE(store(*cache_, Asked("large").key(), answer(std::string(20'000, 'x'), "stop", 100)));
  ASSERT_TRUE(store(*cache_, Asked("cheap").key(), answer("a", "stop", 100)));
  ASSERT_TRUE(store(*cache_, Asked("new").key(), answer("a", "stop", 1)));
  EXPECT_FALSE(has("large"));
  ASSERT_TRUE(store(*cache_, Asked("newer").key(), answer("a", "stop", 1)));
  EXPECT_FALSE(has("new")) << "it had its chance";
  EXPECT_TRUE(has("dear"));
}

TEST_F(Lifetime, WhatWasPopularOnceGivesWayInTheEnd) {
  settings_.max_entries = 8;
  open();
  ASSERT_TRUE(store(*cache_, Asked("once").key(), answer("a")));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(has("once"));
  int kept = 0;
  for (; kept < 2000 && cache_->entries(0, 100).back()->key.question == "once"; ++kept)
    ASSERT_TRUE(store(*cache_, Asked(numbered(kept)).key(), answer("a")));
  EXPECT_GT(kept, 20) << "it was worth more than each that came";
  EXPECT_LT(kept, 2000);
}

TEST_F(Lifetime, ItsBytesAreBoundedToo) {
  settings_.max_bytes = 200'000;
  open();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(store(*cache_, Asked(numbered(i)).key(), answer(std::string(9'000, 'x'))));
  const CacheStats stats = cache_->stats();
  EXPECT_LE(stats.bytes, 200'000U);
  EXPECT_GE(stats.entries, 15U);
  EXPECT_EQ(stats.evicted, 100 - stats.entries);
  EXPECT_TRUE(has("q99"));
}

TEST_F(Lifetime, AClockThatJumpsBackAndForthServesNothingBeyondItsTimeAndLosesNothing) {
  open();
  ASSERT_TRUE(store(*cache_, Asked("before").key(), answer("a"), {.ttl = seconds(100)}));
  now_ -= 5000;
  EXPECT_TRUE(has("before"));
  EXPECT_TRUE(cache_->find_exact(Asked("before").key(), {.max_age = seconds(0)}).entry) << "it is not older than now";
  ASSERT_TRUE(store(*cache_, Asked("in the past").key(), answer("a"), {.ttl = seconds(100)}));
  now_ += 5000;
  EXPECT_TRUE(has("before"));
  EXPECT_FALSE(has("in the past")) << "its hundred seconds are over";
  EXPECT_FALSE(cache_->sweep());
  EXPECT_EQ(cache_->stats().entries, 1U);
  now_ += 1'000'000;
  EXPECT_FALSE(has("before"));
}

TEST_F(Lifetime, ACacheForNoEntriesStoresNone) {
  settings_.max_entries = 0;
  open();
  EXPECT_FALSE(store(*cache_, Asked().key(), answer("a")));
  EXPECT_EQ(cache_->stats().entries, 0U);
}

// A store whose disk is full whenever the test says so.
class FailingStore final : public Store {
 public:
  explicit FailingStore(std::atomic<bool>& broken, std::atomic<int>& removals) : broken_(broken), removals_(removals) {}
  std::uint64_t load(const std::function<void(StoredEntry)>& /*each*/, std::string& /*error*/) override { return 0; }
  bool apply(std::span<const StoreOperation* const> operations) override {
    if (broken_) return false;
    for (const StoreOperation* operation : operations) {
      const auto* removal = std::get_if<StoredRemoval>(&operation->what);
      if (removal != nullptr && !removal->what.documents.empty()) ++removals_;
    }
    return true;
  }

 private:
  std::atomic<bool>& broken_;
  std::atomic<int>& removals_;
};

TEST_F(Lifetime, AnAnswerThatTheStoreRefusesIsNotServedAndCounted) {
  std::atomic<bool> broken{true};
  std::atomic<int> removals{0};
  open(std::make_unique<FailingStore>(broken, removals));
  EXPECT_FALSE(store(*cache_, Asked().key(), answer("a")));
  EXPECT_FALSE(has(Asked().question));
  EXPECT_EQ(cache_->stats().store_failures, 1U);
  cache_.reset();
}

TEST_F(Lifetime, ARemovalThatTheStoreRefusedIsMadeUpForBeforeAnythingElseIsWritten) {
  std::atomic<bool> broken{false};
  std::atomic<int> removals{0};
  open(std::make_unique<FailingStore>(broken, removals));
  Asked asked;
  asked.documents = {{"d1", "text", "", "", ""}};
  ASSERT_TRUE(store(*cache_, asked.key(), answer("a")));
  broken = true;
  EXPECT_EQ(cache_->invalidate({.documents = {"d1"}}), 1U);
  EXPECT_FALSE(cache_->find_exact(asked.key(), {}).entry);
  EXPECT_EQ(removals, 0);
  EXPECT_EQ(cache_->stats().removals_owed, 1U);
  broken = false;
  ASSERT_TRUE(store(*cache_, Asked().key(), answer("b"), {.generation = cache_->generation()}));
  EXPECT_EQ(removals, 1);
  EXPECT_EQ(cache_->stats().removals_owed, 0U);
  cache_.reset();
}

// A store whose disk hangs until the test lets it go.
class HangingStore final : public Store {
 public:
  explicit HangingStore(std::shared_future<void> release) : release_(std::move(release)) {}
  std::uint64_t load(const std::function<void(StoredEntry)>& /*each*/, std::string& /*error*/) override { return 0; }
  bool apply(std::span<const StoreOperation* const> /*operations*/) override {
    release_.wait();
    return true;
  }

 private:
  std::shared_future<void> release_;
};

TEST_F(Lifetime, WhileTheStoreHangsAnswersBeyondItsRoomAreRefusedAtOnceAndCounted) {
  constexpr int room = 4096;
  std::promise<void> release;
  open(std::make_unique<HangingStore>(release.get_future().share()));
  std::atomic<int> refused{0};
  std::atomic<int> stored{0};
  const CacheKey key = Asked().key();
  for (int i = 0; i < room + 3; ++i) {
    cache_->store(cache_->new_entry_id(), key, answer("a"), {}, seconds(60), {}, cache_->generation(),
                  [&](bool kept) { ++(kept ? stored : refused); });
  }
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(stored, 0);
  EXPECT_EQ(cache_->stats().store_failures, 3U);
  release.set_value();
  cache_->erase("none");  // returns when everything before it is written
  EXPECT_TRUE(store(*cache_, Asked("later").key(), answer("b"), {.generation = cache_->generation()}));
  EXPECT_EQ(stored, room);
  cache_.reset();
}

TEST_F(Lifetime, WhileTheStoreHangsLargeAnswersAreBoundedByTheirBytes) {
  std::promise<void> release;
  open(std::make_unique<HangingStore>(release.get_future().share()));
  std::atomic<int> refused{0};
  const CacheKey key = Asked().key();
  const Answer large = answer(std::string(std::size_t{250} << 10, 'x'));
  for (int i = 0; i < 300; ++i) {
    cache_->store(cache_->new_entry_id(), key, large, {}, seconds(60), {}, 0, [&](bool kept) { refused += !kept; });
  }
  EXPECT_GT(refused, 30);
  EXPECT_LT(refused, 50);
  release.set_value();
  cache_.reset();
}

}  // namespace
}  // namespace kvasir::cache::test
