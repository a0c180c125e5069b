// The log of look-ups: what it remembers, and what they would have come to under another policy.
#include "cache/lookup_log.hpp"

#include "cache/replay.hpp"
#include "tests/cache/support.hpp"

#include <atomic>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

// A look-up that ended so, by hand.
void add(LookupLog& log, const std::string& question, std::string_view reason = "empty") {
  log.add(Asked(question).key(), {nullptr, std::nullopt, reason}, LookupOutcome::miss, {}, {}, {});
}

std::vector<std::string> questions(const LookupLog& log, std::size_t limit = 100) {
  std::vector<std::string> found;
  for (const Lookup& lookup : log.newest(limit)) found.push_back(lookup.question);
  return found;
}

// Asks as the gateway does: the exact tier, then the semantic one.
Decision ask(ResponseCache& cache, const std::string& question, const std::vector<float>& vector) {
  const CacheKey key = Asked(question).key();
  Decision decision = cache.find_exact(key, {});
  return decision.entry ? decision : cache.find_semantic(key, vector, {});
}

TEST(LookupLog, ShowsTheNewestFirst) {
  LookupLog log;
  for (const char* question : {"one?", "two?", "three?"}) add(log, question);
  EXPECT_THAT(questions(log), ElementsAre("three?", "two?", "one?"));
  EXPECT_THAT(questions(log, 2), ElementsAre("three?", "two?"));
  EXPECT_THAT(questions(LookupLog()), IsEmpty());
}

TEST(LookupLog, HoldsNoMoreThanItsCapacity) {
  LookupLog log(true, 2);
  for (const char* question : {"one?", "two?", "three?"}) add(log, question);
  EXPECT_THAT(questions(log), ElementsAre("three?", "two?"));
  EXPECT_EQ(log.total(), 3U);
}

TEST(LookupLog, CountsMissesByReasonBeyondItsCapacity) {
  LookupLog log(true, 1);
  add(log, "one?", "empty");
  add(log, "two?", "expired");
  add(log, "three?", "empty");
  EXPECT_THAT(log.reasons_of_misses(), ElementsAre(Pair("empty", 2U), Pair("expired", 1U)));
}

TEST(LookupLog, CutsALongQuestionAndSaysSo) {
  LookupLog log;
  add(log, std::string(LookupLog::longest_question + 1, 'x'));
  add(log, std::string(LookupLog::longest_question, 'x'));
  const auto lookups = log.newest(2);
  EXPECT_TRUE(lookups[0].whole_question);
  EXPECT_FALSE(lookups[1].whole_question);
  EXPECT_EQ(lookups[1].question.size(), LookupLog::longest_question);
}

TEST(LookupLog, KeepsNoQuestionWhereItMustNot) {
  CacheSettings settings = in_memory();
  settings.log_questions = false;
  const auto cache = open_cache(settings);
  ask(*cache, "What is a cache?", at_angle(0));
  const auto lookups = cache->lookups().newest(10);
  ASSERT_THAT(lookups, SizeIs(1));
  EXPECT_EQ(lookups[0].question, "");
  EXPECT_EQ(lookups[0].reason, "empty");
}

TEST(LookupLog, ForgetsTheQuestionsOfATenantThatIsInvalidated) {
  const auto cache = open_cache(in_memory());
  ask(*cache, "What is a cache?", at_angle(0));
  cache->invalidate({.tenant = "another"});
  EXPECT_THAT(questions(cache->lookups()), ElementsAre("What is a cache?"));
  cache->invalidate({.tenant = "a"});
  EXPECT_THAT(questions(cache->lookups()), ElementsAre(""));
}

TEST(LookupLog, IsReadWhileOthersWrite) {
  LookupLog log(true, 8);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 2000; ++i) add(log, "What is the cache number " + std::to_string(i) + "?");
    done = true;
  });
  while (!done) {
    std::uint64_t before = UINT64_MAX;
    for (const Lookup& lookup : log.newest(8)) {
      EXPECT_LT(lookup.number, before);
      EXPECT_EQ(lookup.question, "What is the cache number " + std::to_string(lookup.number - 1) + "?");
      before = lookup.number;
    }
  }
  writer.join();
  EXPECT_EQ(log.total(), 2000U);
}

TEST(LookupLog, TellsEachTierApart) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked("What is a cache?").key(), answer("a"), {.vector = at_angle(0)}));
  ask(*cache, "What is a cache?", at_angle(0));
  ask(*cache, "What's a cache?", at_angle(10));
  ask(*cache, "What is a door?", at_angle(80));
  const auto lookups = cache->lookups().newest(10);
  ASSERT_THAT(lookups, SizeIs(3));
  EXPECT_EQ(lookups[2].outcome, LookupOutcome::exact);
  EXPECT_EQ(lookups[1].outcome, LookupOutcome::semantic);
  EXPECT_EQ(lookups[1].entry_id, lookups[2].entry_id);
  EXPECT_EQ(lookups[0].outcome, LookupOutcome::miss);
  EXPECT_EQ(lookups[0].reason, "below_threshold");
}

TEST(LookupLog, NotesTheNearestEntriesWithWhatObjectsToThem) {
  const auto cache = open_cache(in_memory());
  const auto keep = [&](const char* question, double degrees) {
    ASSERT_TRUE(store(*cache, Asked(question).key(), answer("a"), {.vector = at_angle(degrees)}));
  };
  keep("How do I enable the alarm?", 5);
  keep("How do I paint a wall?", 70);
  ask(*cache, "How do I disable the alarm?", at_angle(0));
  Lookup lookup = cache->lookups().newest(1).at(0);
  ASSERT_THAT(lookup.nearest, SizeIs(2));
  EXPECT_EQ(lookup.nearest[0].guard, lookup.reason);
  EXPECT_TRUE(lookup.reason.starts_with("guard_")) << lookup.reason;
  EXPECT_FALSE(lookup.nearest[1].guard);

  compare_guards(lookup, -1.0F, cache->lookups());
  EXPECT_TRUE(lookup.nearest[1].guard);
  EXPECT_EQ(cache->lookups().newest(1).at(0).nearest[1].guard, lookup.nearest[1].guard) << "compared once";
}

TEST(LookupLog, KeepsTheOneThatAnswersAmongManyThatDoNot) {
  const auto cache = open_cache(in_memory());
  for (int i = 0; i < 8; ++i) {
    const std::string question = "Is floor " + std::to_string(i + 2) + " open?";
    ASSERT_TRUE(store(*cache, Asked(question).key(), answer("a"), {.vector = at_angle(1 + i)}));
  }
  ASSERT_TRUE(store(*cache, Asked("Is floor 1 open ?").key(), answer("yes"), {.vector = at_angle(12)}));
  ASSERT_EQ(text_of(ask(*cache, "Is floor 1 open?", at_angle(0))), "yes");
  const Lookup lookup = cache->lookups().newest(1).at(0);
  ASSERT_THAT(lookup.nearest, SizeIs(LookupLog::entries_noted));
  EXPECT_EQ(lookup.nearest.back().entry.lock()->id, lookup.entry_id);
}

class Replay : public ::testing::Test {
 protected:
  Replay() {
    keep("How do I enable the alarm?", 5);     // cosine 0.996, and a guard objects
    keep("How can I disable the alarm?", 20);  // cosine 0.940
  }
  void keep(const char* question, double degrees) {
    EXPECT_TRUE(store(*cache_, Asked(question).key(), answer("a"), {.vector = at_angle(degrees)}));
  }
  Lookup asked() {
    ask(*cache_, "How do I disable the alarm?", at_angle(0));
    return cache_->lookups().newest(1).at(0);
  }
  Replayed replayed(Lookup& lookup, SemanticPolicy policy) {
    compare_guards(lookup, policy.threshold, cache_->lookups());
    return replay(lookup, policy);
  }
  static std::string question_of(const Replayed& replayed) {
    const EntryPtr entry = replayed.served == nullptr ? nullptr : replayed.served->entry.lock();
    return entry ? entry->key.question : "";
  }

  std::unique_ptr<ResponseCache> cache_ = open_cache(in_memory());
};

TEST_F(Replay, UnderThePolicyInForceComesToTheSame) {
  Lookup lookup = asked();
  ASSERT_EQ(lookup.outcome, LookupOutcome::semantic);
  const Replayed same = replayed(lookup, lookup.policy);
  EXPECT_EQ(same.outcome, LookupOutcome::semantic);
  EXPECT_EQ(question_of(same), "How can I disable the alarm?");
}

TEST_F(Replay, AboveItsSimilarityAHitBecomesAMiss) {
  Lookup lookup = asked();
  const Replayed strict = replayed(lookup, {0.95F, true});
  EXPECT_EQ(strict.outcome, LookupOutcome::miss);
  EXPECT_TRUE(strict.reason.starts_with("guard_")) << strict.reason;
  EXPECT_EQ(replayed(lookup, {0.999F, true}).reason, "below_threshold");
}

TEST_F(Replay, WithoutGuardsTheNearestAnswers) {
  Lookup lookup = asked();
  EXPECT_EQ(question_of(replayed(lookup, {0.95F, false})), "How do I enable the alarm?");
}

TEST_F(Replay, BelowTheThresholdInForceAMissBecomesAHit) {
  ask(*cache_, "How do I disable the alarm?", at_angle(80));  // cosine 0.5 to the one that may answer
  Lookup lookup = cache_->lookups().newest(1).at(0);
  ASSERT_EQ(lookup.reason, "below_threshold");
  EXPECT_EQ(question_of(replayed(lookup, {0.45F, true})), "How can I disable the alarm?");
}

TEST_F(Replay, SaysThatItDoesNotKnowWhatAnEntryThatIsGoneWouldHaveDone) {
  ask(*cache_, "How do I disable the alarm?", at_angle(80));
  Lookup lookup = cache_->lookups().newest(1).at(0);
  ASSERT_EQ(lookup.outcome, LookupOutcome::miss);
  cache_->invalidate({.tenant = "a"});
  const Replayed unknown = replayed(lookup, {0.3F, true});
  EXPECT_FALSE(unknown.known);
  EXPECT_EQ(unknown.outcome, LookupOutcome::miss);
}

TEST_F(Replay, LeavesExactHitsAlone) {
  ask(*cache_, "How do I enable the alarm?", at_angle(5));
  Lookup lookup = cache_->lookups().newest(1).at(0);
  EXPECT_EQ(replayed(lookup, {1.0F, true}).outcome, LookupOutcome::exact);
}

TEST(FindEntries, FiltersAndPages) {
  const auto cache = open_cache(in_memory());
  Asked manual("How high is the Tower?");
  manual.documents = {{"manual", "", "It is high.", "", {}}};
  ASSERT_TRUE(store(*cache, manual.key(), answer("a"), {.tags = {"towers"}}));
  for (const char* question : {"one?", "two?", "three?"})
    ASSERT_TRUE(store(*cache, Asked(question).key(), answer("a")));
  const auto found = [&](const EntryFilter& filter, std::size_t offset = 0, std::size_t limit = 10) {
    std::vector<std::string> questions;
    for (const EntryPtr& entry : cache->find_entries(filter, offset, limit).entries) {
      questions.push_back(entry->key.question);
    }
    return questions;
  };
  EXPECT_THAT(found({}, 1, 2), ElementsAre("two?", "one?"));
  EXPECT_EQ(cache->find_entries({}, 1, 2).total, 4U);
  EXPECT_THAT(found({.tag = "towers"}), ElementsAre("How high is the Tower?"));
  EXPECT_THAT(found({.document = "manual"}), ElementsAre("How high is the Tower?"));
  EXPECT_THAT(found({.text = "TOWER"}), ElementsAre("How high is the Tower?"));
  EXPECT_THAT(found({.text = "o"}, 1, 1), ElementsAre("one?"));
  EXPECT_EQ(cache->find_entries({.text = "o"}, 1, 1).total, 3U);
  EXPECT_THAT(found({.tenant = "a", .model = "another"}), IsEmpty());
}

}  // namespace
}  // namespace kvasir::cache::test
