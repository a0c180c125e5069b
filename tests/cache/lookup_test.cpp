// What a look-up promises, on a cache that keeps nothing.
#include "tests/cache/support.hpp"

#include <chrono>
#include <limits>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

TEST(ExactLookup, AnEmptyCacheSaysSo) {
  const auto cache = open_cache(in_memory());
  const Decision decision = cache->find_exact(Asked().key(), {});
  EXPECT_FALSE(decision.entry);
  EXPECT_EQ(decision.reason, "empty");
}

TEST(ExactLookup, FindsWhatWasStored) {
  const auto cache = open_cache(in_memory());
  const std::string id = cache->new_entry_id();
  ASSERT_TRUE(store(*cache, Asked().key(), answer("It keeps things."), {.tags = {"t"}, .id = id}));

  const Decision decision = cache->find_exact(Asked().key(), {});
  EXPECT_EQ(decision.reason, "hit");
  EXPECT_EQ(text_of(decision), "It keeps things.");
  EXPECT_EQ(decision.entry->id, id);
  EXPECT_EQ(decision.entry->tags, std::vector<std::string>{"t"});
  EXPECT_EQ(cache->find_exact(Asked("Another?").key(), {}).reason, "empty");
}

TEST(ExactLookup, NeverTrustsTheHashAlone) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked().key(), answer("a")));
  CacheKey forged = Asked("Another?").key();
  forged.exact = Asked().key().exact;
  EXPECT_FALSE(cache->find_exact(forged, {}).entry);
}

TEST(ExactLookup, AnAnswerThatEndedByItselfServesEveryLimitItFitsInto) {
  const auto cache = open_cache(in_memory());
  Asked asked;
  asked.request.max_tokens = 100;
  ASSERT_TRUE(store(*cache, asked.key(), answer("ten tokens", "stop", 10)));
  const auto reason_under = [&](int limit) {
    asked.request.max_tokens = limit;
    return cache->find_exact(asked.key(), {}).reason;
  };
  EXPECT_EQ(reason_under(0), "hit");
  EXPECT_EQ(reason_under(1000), "hit");
  EXPECT_EQ(reason_under(10), "hit");
  EXPECT_EQ(reason_under(9), "max_tokens");
}

TEST(ExactLookup, AnAnswerThatWasCutServesItsOwnLimitOnly) {
  const auto cache = open_cache(in_memory());
  Asked asked;
  asked.request.max_tokens = 10;
  ASSERT_TRUE(store(*cache, asked.key(), answer("cut at ten", "length", 10)));
  const auto reason_under = [&](int limit) {
    asked.request.max_tokens = limit;
    return cache->find_exact(asked.key(), {}).reason;
  };
  EXPECT_EQ(reason_under(10), "hit");
  EXPECT_EQ(reason_under(9), "max_tokens");
  EXPECT_EQ(reason_under(11), "max_tokens");
  EXPECT_EQ(reason_under(0), "max_tokens");
}

TEST(ExactLookup, AnAnswerOfUnknownLengthServesNoLimitButItsOwn) {
  const auto cache = open_cache(in_memory());
  Asked asked;
  asked.request.max_tokens = 100;
  ASSERT_TRUE(store(*cache, asked.key(), answer("of unknown length", "stop", 0)));
  const auto found_under = [&](int limit) {
    asked.request.max_tokens = limit;
    return text_of(cache->find_exact(asked.key(), {}));
  };
  EXPECT_EQ(found_under(0), "of unknown length");
  EXPECT_EQ(found_under(100), "of unknown length");
  EXPECT_EQ(found_under(99), "");
  EXPECT_EQ(found_under(1000), "");

  asked.request.max_tokens = 50;
  ASSERT_TRUE(store(*cache, asked.key(), answer("thirty tokens", "stop", 30)));
  EXPECT_EQ(found_under(99), "thirty tokens");
  asked.request.max_tokens = 10;
  ASSERT_TRUE(store(*cache, asked.key(), answer("unknown again", "stop", 0)));
  EXPECT_EQ(found_under(10), "unknown again");
  EXPECT_EQ(found_under(99), "thirty tokens") << "one of unknown length cannot stand for it";
}

TEST(ExactLookup, CutAndWholeAnswersOfOneQuestionLiveSideBySide) {
  const auto cache = open_cache(in_memory());
  Asked asked;
  asked.request.max_tokens = 5;
  ASSERT_TRUE(store(*cache, asked.key(), answer("cut at 5", "length", 5)));
  asked.request.max_tokens = 7;
  ASSERT_TRUE(store(*cache, asked.key(), answer("cut at 7", "length", 7)));
  asked.request.max_tokens = 0;
  ASSERT_TRUE(store(*cache, asked.key(), answer("whole", "stop", 20)));
  EXPECT_EQ(text_of(cache->find_exact(asked.key(), {})), "whole");
  asked.request.max_tokens = 5;
  EXPECT_EQ(text_of(cache->find_exact(asked.key(), {})), "cut at 5");
  asked.request.max_tokens = 7;
  EXPECT_EQ(text_of(cache->find_exact(asked.key(), {})), "cut at 7");
  EXPECT_EQ(cache->stats().entries, 3U);
}

TEST(ExactLookup, LogprobsAreServedOnlyWhereTheyWereStored) {
  const auto cache = open_cache(in_memory());
  Asked asked;
  ASSERT_TRUE(store(*cache, asked.key(), answer("plain")));
  asked.request.top_logprobs = 2;
  EXPECT_EQ(cache->find_exact(asked.key(), {}).reason, "logprobs");
  ASSERT_TRUE(store(*cache, asked.key(), answer("with logprobs")));
  EXPECT_EQ(text_of(cache->find_exact(asked.key(), {})), "with logprobs");
  asked.request.top_logprobs = 5;
  EXPECT_EQ(cache->find_exact(asked.key(), {}).reason, "logprobs");
  asked.request.top_logprobs = -1;
  EXPECT_EQ(cache->find_exact(asked.key(), {}).reason, "hit");
}

TEST(ExactLookup, ANewerAnswerTakesThePlaceOfTheOld) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked().key(), answer("old")));
  ASSERT_TRUE(store(*cache, Asked().key(), answer("new")));
  EXPECT_EQ(text_of(cache->find_exact(Asked().key(), {})), "new");
  EXPECT_EQ(cache->stats().entries, 1U);
}

TEST(Isolation, TheSameQuestionIsNeverServedAcrossTenantsPromptsOrDocuments) {
  const auto cache = open_cache(in_memory());
  Asked home;
  home.documents = {{"d1", "Hue lies on the Perfume River.", "", "", ""}};
  ASSERT_TRUE(store(*cache, home.key(), answer("secret"), {.vector = at_angle(0)}));

  Asked other_tenant = home;
  other_tenant.request.tenant = "b";
  Asked other_system = home;
  other_system.system = "You are a pirate.";
  Asked other_documents = home;
  other_documents.documents = {{"d2", "Hue is a colour.", "", "", ""}};
  Asked other_content = home;
  other_content.documents = {{"d1", "Hue was moved.", "", "", ""}};
  Asked no_documents = home;
  no_documents.documents = {};
  for (const Asked* asked : {&other_tenant, &other_system, &other_documents, &other_content, &no_documents}) {
    EXPECT_FALSE(cache->find_exact(asked->key(), {}).entry);
    const Decision nearest = cache->find_semantic(asked->key(), at_angle(0), {});
    EXPECT_FALSE(nearest.entry);
    EXPECT_FALSE(nearest.similarity) << "it has seen another partition's vector";
  }
  EXPECT_TRUE(cache->find_exact(home.key(), {}).entry);
}

TEST(SemanticLookup, ServesANeighbourAboveTheThresholdAndNoneBelow) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked("What is a cache?").key(), answer("a"), {.vector = at_angle(0)}));
  const CacheKey paraphrase = Asked("Explain caches").key();

  const Decision near = cache->find_semantic(paraphrase, at_angle(10), {});  // cos 10° = 0.985
  EXPECT_EQ(near.reason, "hit");
  EXPECT_EQ(text_of(near), "a");
  EXPECT_NEAR(near.similarity.value_or(0), 0.9848, 1e-3);

  const Decision far = cache->find_semantic(paraphrase, at_angle(60), {});  // cos 60° = 0.5
  EXPECT_EQ(far.reason, "below_threshold");
  EXPECT_FALSE(far.entry);
  EXPECT_NEAR(far.similarity.value_or(0), 0.5, 1e-3);
}

TEST(SemanticLookup, AnEmptyPartitionSaysSo) {
  const auto cache = open_cache(in_memory());
  const Decision decision = cache->find_semantic(Asked().key(), at_angle(0), {});
  EXPECT_EQ(decision.reason, "empty");
  EXPECT_FALSE(decision.similarity);
}

TEST(SemanticLookup, TheNearestWins) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked("bake bread").key(), answer("far"), {.vector = at_angle(10)}));
  ASSERT_TRUE(store(*cache, Asked("How to bake bread").key(), answer("near"), {.vector = at_angle(2)}));
  EXPECT_EQ(text_of(cache->find_semantic(Asked("How do I bake bread?").key(), at_angle(0), {})), "near");
}

TEST(SemanticLookup, GuardsRefuseANearNeighbourAndTheNextOneMayStillServe) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked("How do I disable 2FA?").key(), answer("off"), {.vector = at_angle(1)}));
  const CacheKey asked = Asked("Please enable 2FA").key();
  EXPECT_EQ(cache->find_semantic(asked, at_angle(0), {}).reason, "guard_negation");
  EXPECT_EQ(cache->find_semantic(Asked("disable 3FA").key(), at_angle(0), {}).reason, "guard_number");

  ASSERT_TRUE(store(*cache, Asked("How do I enable 2FA?").key(), answer("on"), {.vector = at_angle(8)}));
  const Decision decision = cache->find_semantic(asked, at_angle(0), {});
  EXPECT_EQ(text_of(decision), "on");
  EXPECT_NEAR(decision.similarity.value_or(0), 0.9903, 1e-3);
}

TEST(SemanticLookup, ANeighbourBehindARefusedOneIsJudgedOnItsOwn) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked("How do I disable 2FA?").key(), answer("off"), {.vector = at_angle(1)}));
  // Nothing speaks against it but that it lies too far away.
  ASSERT_TRUE(store(*cache, Asked("How do I enable 2FA?").key(), answer("on"), {.vector = at_angle(60)}));
  // And this one is near, and another question.
  ASSERT_TRUE(store(*cache, Asked("How do I enable dark mode?").key(), answer("dark"), {.vector = at_angle(5)}));
  const Decision decision = cache->find_semantic(Asked("Please enable 2FA").key(), at_angle(0), {});
  EXPECT_FALSE(decision.entry);
  EXPECT_EQ(decision.reason, "guard_negation");
}

TEST(SemanticLookup, WithoutGuardsTheThresholdAloneDecides) {
  CacheSettings settings = in_memory();
  settings.guards = false;
  const auto cache = open_cache(settings);
  ASSERT_TRUE(store(*cache, Asked("How do I disable 2FA?").key(), answer("off"), {.vector = at_angle(1)}));
  EXPECT_EQ(text_of(cache->find_semantic(Asked("Please enable 2FA").key(), at_angle(0), {})), "off");
}

TEST(SemanticLookup, ALimitThatTheNearestDoesNotFitLeavesTheNextOne) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked("bake bread").key(), answer("long", "stop", 50), {.vector = at_angle(1)}));
  ASSERT_TRUE(store(*cache, Asked("How to bake bread").key(), answer("short", "stop", 5), {.vector = at_angle(5)}));
  Asked brief("How do I bake bread?");
  brief.request.max_tokens = 10;
  EXPECT_EQ(text_of(cache->find_semantic(brief.key(), at_angle(0), {})), "short");
}

TEST(SemanticLookup, FollowUpsAreNotCompared) {
  const auto cache = open_cache(in_memory());
  Asked follow_up("And in winter?");
  follow_up.history = {{rag::Role::user, "Summer?", ""}, {rag::Role::assistant, "Hot.", ""}};
  ASSERT_TRUE(store(*cache, follow_up.key(), answer("cold"), {.vector = at_angle(0)}));
  EXPECT_EQ(cache->find_semantic(follow_up.key(), at_angle(0), {}).reason, "exact_only");
  EXPECT_EQ(text_of(cache->find_exact(follow_up.key(), {})), "cold");
}

TEST(SemanticLookup, AVectorOfNanFindsNothing) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked().key(), answer("a"), {.vector = at_angle(0)}));
  const std::vector<float> nan(dimension, std::numeric_limits<float>::quiet_NaN());
  EXPECT_FALSE(cache->find_semantic(Asked().key(), nan, {}).entry);
}

TEST(SemanticLookup, AVectorOfAnotherSizeIsRefused) {
  const auto cache = open_cache(in_memory());
  ASSERT_TRUE(store(*cache, Asked().key(), answer("a"), {.vector = at_angle(0)}));
  EXPECT_EQ(cache->find_semantic(Asked().key(), std::vector<float>(3, 0.5F), {}).reason, "disabled");
}

TEST(Lookup, ATierThatIsSwitchedOffServesNothing) {
  CacheSettings settings = in_memory();
  settings.exact = false;
  settings.semantic = false;
  const auto cache = open_cache(settings);
  ASSERT_TRUE(store(*cache, Asked().key(), answer("a"), {.vector = at_angle(0)}));
  EXPECT_EQ(cache->find_exact(Asked().key(), {}).reason, "disabled");
  EXPECT_EQ(cache->find_semantic(Asked().key(), at_angle(0), {}).reason, "disabled");
}

TEST(Lookup, WhatMayNotBeCachedIsNeitherStoredNorServed) {
  const auto cache = open_cache(in_memory());
  const CacheKey personal = Asked("What is my email?").key();
  EXPECT_FALSE(store(*cache, personal, answer("x@example.org"), {.vector = at_angle(0)}));
  EXPECT_EQ(cache->find_exact(personal, {}).reason, "personal");
  EXPECT_EQ(cache->find_semantic(personal, at_angle(0), {}).reason, "personal");
  EXPECT_EQ(cache->stats().entries, 0U);
}

TEST(Store, KeepsNoAnswerThatIsNotWhole) {
  const auto cache = open_cache(in_memory());
  EXPECT_FALSE(store(*cache, Asked().key(), answer("cut by the context", "length")));
  EXPECT_FALSE(store(*cache, Asked().key(), answer("…", "content_filter")));
  EXPECT_FALSE(store(*cache, Asked().key(), answer("", "tool_calls")));
  EXPECT_FALSE(store(*cache, Asked().key(), answer("no reason given", "")));
  EXPECT_FALSE(store(*cache, Asked().key(), Answer{}));
  EXPECT_FALSE(store(*cache, Asked().key(), answer("no time"), {.ttl = std::chrono::seconds(0)}));
  EXPECT_EQ(cache->stats().entries, 0U);
  EXPECT_EQ(cache->stats().store_failures, 0U);
}

TEST(Store, KeepsNoAnswerAbove256KiB) {
  const auto cache = open_cache(in_memory());
  constexpr std::size_t most = std::size_t{256} << 10;
  EXPECT_FALSE(store(*cache, Asked().key(), answer(std::string(most, 'x'))));
  EXPECT_EQ(cache->stats().entries, 0U);
  EXPECT_TRUE(store(*cache, Asked().key(), answer(std::string(most - 100, 'x'))));
}

TEST(Stats, CountEachRequestOnce) {
  const auto cache = open_cache(in_memory());
  const CacheKey key = Asked().key();
  cache->find_exact(key, {});
  cache->find_semantic(key, at_angle(0), {});
  ASSERT_TRUE(store(*cache, key, answer("a"), {.vector = at_angle(0)}));
  cache->find_exact(key, {});
  cache->find_semantic(Asked("Please tell me what a cache is").key(), at_angle(1), {});

  const CacheStats stats = cache->stats();
  EXPECT_EQ(stats.misses, 1U);
  EXPECT_EQ(stats.exact_hits, 1U);
  EXPECT_EQ(stats.semantic_hits, 1U);
  EXPECT_EQ(stats.stored, 1U);
  EXPECT_EQ(stats.entries, 1U);
  EXPECT_EQ(stats.partitions, 1U);
  EXPECT_EQ(stats.vectors, 1U);
}

TEST(Entries, AreListedNewestFirstAndFoundById) {
  const auto cache = open_cache(in_memory());
  for (const char* name : {"1", "2", "3"}) ASSERT_TRUE(store(*cache, Asked(name).key(), answer(name), {.id = name}));
  const auto ids = [&](std::size_t offset, std::size_t limit) {
    std::string all;
    for (const EntryPtr& entry : cache->entries(offset, limit)) all += entry->id;
    return all;
  };
  EXPECT_EQ(ids(0, 10), "321");
  EXPECT_EQ(ids(1, 1), "2");
  EXPECT_EQ(ids(3, 5), "");
  ASSERT_TRUE(cache->entry("2"));
  EXPECT_EQ(cache->entry("2")->key.question, "2");
  EXPECT_FALSE(cache->entry("9"));
}

TEST(EntryIds, AreNotRepeated) {
  const auto cache = open_cache(in_memory());
  const std::string id = cache->new_entry_id();
  EXPECT_EQ(id.size(), 36U);
  EXPECT_EQ(id.substr(0, 4), "kve-");
  EXPECT_NE(id, cache->new_entry_id());
}

}  // namespace
}  // namespace kvasir::cache::test
