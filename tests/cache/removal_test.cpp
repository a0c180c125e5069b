// What is removed stays removed.
#include "tests/cache/support.hpp"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

Asked about(const std::string& document) {
  Asked asked("Question about " + document);
  asked.documents = {{document, "text of " + document, "", "", ""}};
  return asked;
}

// Runs each promise against a store on disk, and opens it again to see what a restart would serve.
class Removal : public testing::Test {
 protected:
  Removal() {
    settings_.path = folder_.store();
    cache_ = open_cache(settings_);
  }

  void restart() {
    cache_.reset();
    cache_ = open_cache(settings_);
  }
  bool served(const Asked& asked) {
    return cache_->find_exact(asked.key(), {}).entry || cache_->find_semantic(asked.key(), at_angle(0), {}).entry;
  }

  TemporaryFolder folder_;
  CacheSettings settings_;
  std::unique_ptr<ResponseCache> cache_;
};

TEST_F(Removal, ADocumentTakesTheAnswersThatUsedItAlong) {
  ASSERT_TRUE(store(*cache_, about("d1").key(), answer("1"), {.vector = at_angle(0)}));
  ASSERT_TRUE(store(*cache_, about("d2").key(), answer("2"), {.vector = at_angle(0)}));
  EXPECT_EQ(cache_->invalidate({.documents = {"d1", "unknown"}}), 1U);
  for (int round = 0; round < 2; ++round, restart()) {
    EXPECT_FALSE(served(about("d1"))) << "round " << round;
    EXPECT_TRUE(served(about("d2"))) << "round " << round;
  }
}

TEST_F(Removal, AnotherVersionOfADocumentTakesTheAnswersFromTheOldOnesAlong) {
  const auto version = [](const std::string& of) {
    Asked asked = about("d1");
    asked.documents.front().version = of;
    return asked;
  };
  ASSERT_TRUE(store(*cache_, version("1").key(), answer("1"), {.vector = at_angle(0)}));
  ASSERT_TRUE(store(*cache_, version("2").key(), answer("2"), {.vector = at_angle(0)}));
  ASSERT_TRUE(store(*cache_, version("").key(), answer("none"), {.vector = at_angle(0)}));
  EXPECT_EQ(cache_->invalidate({.current = {{"d1", "2"}, {"d9", "1"}}}), 2U);
  for (int round = 0; round < 2; ++round, restart()) {
    EXPECT_FALSE(served(version("1"))) << "round " << round;
    EXPECT_FALSE(served(version(""))) << "round " << round;
    EXPECT_TRUE(served(version("2"))) << "round " << round;
  }
}

TEST_F(Removal, AnAnswerFromAnOldVersionThatWasUnderWayIsNotKept) {
  Asked old = about("d1");
  old.documents.front().version = "1";
  Asked fresh = about("d1");
  fresh.documents.front().version = "2";
  const std::uint64_t begun = cache_->generation();
  cache_->invalidate({.current = {{"d1", "2"}}});
  EXPECT_FALSE(store(*cache_, old.key(), answer("1"), {.generation = begun}));
  EXPECT_TRUE(store(*cache_, fresh.key(), answer("2"), {.generation = begun}));
  EXPECT_FALSE(served(old));
  EXPECT_TRUE(served(fresh));
}

TEST_F(Removal, ATagATenantAModelAndEverything) {
  const auto store_all = [&] {
    for (const char* tenant : {"a", "b"}) {
      for (const char* model : {"m1", "m2"}) {
        for (const char* tag : {"x", "y"}) {
          Asked asked(std::string("Question ") + tag);
          asked.request.tenant = tenant;
          asked.request.model = model;
          ASSERT_TRUE(
              store(*cache_, asked.key(), answer("1"),
                    {.tags = {tag}, .generation = cache_->generation(), .id = std::string(tenant) + model + tag}));
        }
      }
    }
  };
  const auto left_after = [&](const Invalidation& what) {
    store_all();
    const std::uint64_t removed = cache_->invalidate(what);
    EXPECT_EQ(removed + cache_->stats().entries, 8U);
    const std::uint64_t left = cache_->stats().entries;
    restart();
    EXPECT_EQ(cache_->stats().entries, left) << "the store still had what memory had given up";
    return left;
  };
  EXPECT_EQ(left_after({.tags = {"x"}}), 4U);
  EXPECT_EQ(left_after({.tags = {"x", "y"}}), 0U);
  EXPECT_EQ(left_after({.tenant = "a"}), 4U);
  EXPECT_EQ(left_after({.model = "m1"}), 4U);
  EXPECT_EQ(left_after({.tenant = "a", .model = "m1"}), 6U);
  EXPECT_EQ(left_after({.tags = {"x"}, .tenant = "a"}), 6U);
  EXPECT_EQ(left_after({.tags = {"x"}, .tenant = "a", .model = "m2"}), 7U);
  EXPECT_EQ(left_after({}), 8U);
  EXPECT_EQ(left_after({.all = true}), 0U);
  EXPECT_EQ(left_after({.tenant = "b", .all = true}), 4U);
}

TEST_F(Removal, AnErasedEntryIsGone) {
  ASSERT_TRUE(store(*cache_, Asked().key(), answer("bad"), {.vector = at_angle(0), .id = "kve-1"}));
  EXPECT_TRUE(cache_->erase("kve-1"));
  EXPECT_FALSE(cache_->erase("kve-1"));
  EXPECT_FALSE(cache_->erase(""));
  for (int round = 0; round < 2; ++round, restart()) {
    EXPECT_FALSE(served(Asked()));
    EXPECT_FALSE(cache_->entry("kve-1"));
  }
}

TEST_F(Removal, AnAnswerUnderWayWhenItsDocumentChangedIsNotStored) {
  const std::uint64_t before = cache_->generation();
  cache_->invalidate({.documents = {"d1"}});
  EXPECT_FALSE(store(*cache_, about("d1").key(), answer("stale"), {.vector = at_angle(0), .generation = before}));
  EXPECT_TRUE(store(*cache_, about("d2").key(), answer("untouched"), {.generation = before}));
  for (int round = 0; round < 2; ++round, restart()) {
    EXPECT_FALSE(served(about("d1")));
    EXPECT_TRUE(served(about("d2")));
  }
}

TEST_F(Removal, AnAnswerComputedAfterwardsIsStored) {
  cache_->invalidate({.documents = {"d1"}});
  EXPECT_TRUE(store(*cache_, about("d1").key(), answer("fresh"), {.generation = cache_->generation()}));
  EXPECT_TRUE(served(about("d1")));
}

TEST_F(Removal, AnEntryErasedBeforeItWasStoredDoesNotAppear) {
  const std::uint64_t before = cache_->generation();
  EXPECT_FALSE(cache_->erase("kve-2"));
  EXPECT_FALSE(store(*cache_, Asked().key(), answer("bad"), {.generation = before, .id = "kve-2"}));
  EXPECT_FALSE(served(Asked()));
}

TEST_F(Removal, AnAnswerThatBeganTooLongAgoToTellIsNotStored) {
  const std::uint64_t before = cache_->generation();
  CacheSettings settings = in_memory();
  const auto cache = open_cache(settings);
  for (int i = 0; i < 5000; ++i) cache->invalidate({.tags = {"nobody has this"}});
  EXPECT_FALSE(store(*cache, Asked().key(), answer("old"), {.generation = before}));
  EXPECT_TRUE(store(*cache, Asked().key(), answer("new"), {.generation = cache->generation()}));
}

TEST_F(Removal, WhatTookAnothersPlaceIsAloneAfterARestart) {
  ASSERT_TRUE(store(*cache_, Asked().key(), answer("old"), {.vector = at_angle(0)}));
  ASSERT_TRUE(store(*cache_, Asked().key(), answer("new"), {.vector = at_angle(0)}));
  restart();
  EXPECT_EQ(cache_->stats().entries, 1U);
  EXPECT_EQ(text_of(cache_->find_exact(Asked().key(), {})), "new");
}

TEST_F(Removal, TheSameIdTwiceLeavesTheSecond) {
  ASSERT_TRUE(store(*cache_, Asked("first").key(), answer("1"), {.id = "kve-3"}));
  ASSERT_TRUE(store(*cache_, Asked("second").key(), answer("2"), {.id = "kve-3"}));
  for (int round = 0; round < 2; ++round, restart()) {
    EXPECT_EQ(cache_->stats().entries, 1U);
    EXPECT_FALSE(served(Asked("first")));
    EXPECT_TRUE(served(Asked("second")));
  }
}

}  // namespace
}  // namespace kvasir::cache::test
