// Several caches over one Redis: what one stores or removes holds in the others.
#include "tests/cache/redis_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

Asked about(const std::string& document, const std::string& question = "Question") {
  Asked asked(question + " about " + document);
  asked.documents = {{document, "text of " + document, "", "", ""}};
  return asked;
}

class SharedStore : public testing::Test {
 protected:
  void SetUp() override {
    if (!redis_is_installed()) GTEST_SKIP() << "redis-server is not installed";
    ASSERT_TRUE(server_.start());
    a_ = open_cache(server_.cache_settings());
    b_ = open_cache(server_.cache_settings());
  }

  static bool served(ResponseCache& cache, const Asked& asked) { return !!cache.find_exact(asked.key(), {}).entry; }
  bool both_serve(const Asked& asked) {
    return eventually([&] { return served(*a_, asked) && served(*b_, asked); });
  }
  static bool keep(ResponseCache& cache, const Asked& asked, Storing how = {}) {
    how.generation = cache.generation();
    return store(cache, asked.key(), answer("answer"), std::move(how));
  }

  RedisServer server_;
  std::unique_ptr<ResponseCache> a_, b_;
};

TEST_F(SharedStore, EverythingAboutAnEntryArrivesAtTheOthersAndAtThoseThatStartLater) {
  Asked asked("Câu hỏi 问题?");
  asked.documents = {{"d1", "text", "title", "v", "g"}};
  asked.request.max_tokens = 77;
  asked.request.top_logprobs = 2;
  Answer given = answer("Trả lời");
  given.choices.push_back({"", "I must refuse", "stop", R"({"content":[]})"});
  given.system_fingerprint = "fp";
  ASSERT_TRUE(store(*a_, asked.key(), given, {.vector = at_angle(0), .tags = {"t1", "t2"}, .id = "kve-1"}));
  const Entry before = *a_->entry("kve-1");
  ASSERT_TRUE(eventually([&] { return b_->entry("kve-1") != nullptr; }));
  const auto later = open_cache(server_.cache_settings());
  for (ResponseCache* cache : {b_.get(), later.get()}) {
    ASSERT_TRUE(cache->entry("kve-1"));
    const Entry after = *cache->entry("kve-1");
    EXPECT_EQ(after.key.canonical, before.key.canonical);
    EXPECT_EQ(after.key.documents, std::vector<std::string>{"d1"});
    EXPECT_EQ(after.key.max_tokens, 77);
    EXPECT_EQ(after.tags, before.tags);
    ASSERT_EQ(after.answer.choices.size(), 2U);
    EXPECT_EQ(after.answer.choices[0].content, "Trả lời");
    EXPECT_EQ(after.answer.choices[1].logprobs, R"({"content":[]})");
    EXPECT_LT(before.expires - after.expires, std::chrono::milliseconds(1));
    EXPECT_EQ(cache->find_exact(asked.key(), {}).reason, "hit");
    EXPECT_EQ(cache->find_semantic(asked.key(), at_angle(5), {}).reason, "hit");
  }
  EXPECT_EQ(b_->stats().shared->from_others, 1U);
  EXPECT_TRUE(b_->stats().shared->connected);
}

TEST_F(SharedStore, ARemovalByOneHoldsInAllWhateverItSelects) {
  const std::vector<Invalidation> removals{{.documents = {"d1", "unknown"}},
                                           {.tags = {"x"}},
                                           {.tenant = "a"},
                                           {.model = "smollm2"},
                                           {.documents = {"d1"}, .tenant = "a", .model = "smollm2"},
                                           {.all = true}};
  for (const Invalidation& what : removals) {
    ASSERT_TRUE(keep(*a_, about("d1"), {.tags = {"x", "y"}}));
    ASSERT_TRUE(both_serve(about("d1")));
    EXPECT_EQ(b_->invalidate(what), 1U);
    EXPECT_FALSE(served(*b_, about("d1")));
    EXPECT_TRUE(eventually([&] { return !served(*a_, about("d1")); }));
    EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, 0U) << "it was left in the store";
  }
}

TEST_F(SharedStore, ARemovalLeavesAloneWhatItDoesNotMean) {
  Asked other_tenant = about("d1");
  other_tenant.request.tenant = "b";
  ASSERT_TRUE(keep(*a_, about("d1")));
  ASSERT_TRUE(keep(*a_, other_tenant));
  ASSERT_TRUE(keep(*a_, about("d2")));
  ASSERT_TRUE(both_serve(about("d2")));
  b_->invalidate({});
  EXPECT_EQ(b_->invalidate({.documents = {"d1"}, .tenant = "a"}), 1U);
  EXPECT_TRUE(eventually([&] { return !served(*a_, about("d1")); }));
  EXPECT_TRUE(served(*a_, other_tenant));
  EXPECT_TRUE(served(*a_, about("d2")));
  EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, 2U);
}

TEST_F(SharedStore, AnErasedEntryIsGoneEverywhere) {
  ASSERT_TRUE(keep(*a_, about("d1"), {.id = "kve-bad"}));
  ASSERT_TRUE(both_serve(about("d1")));
  EXPECT_TRUE(b_->erase("kve-bad"));
  EXPECT_TRUE(eventually([&] { return !a_->entry("kve-bad"); }));
  EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, 0U);
}

TEST_F(SharedStore, MoreThanOneScriptCallCanRemoveIsRemovedToo) {
  constexpr int entries = 2300;
  std::promise<void> last;
  for (int i = 0; i < entries; ++i) {
    a_->store(a_->new_entry_id(), about("d1", std::to_string(i)).key(), answer("a"), {}, std::chrono::hours(1), {},
              a_->generation(), [&, i](bool stored) {
                EXPECT_TRUE(stored);
                if (i + 1 == entries) last.set_value();
              });
  }
  last.get_future().wait();
  ASSERT_TRUE(keep(*a_, about("d2")));
  ASSERT_TRUE(eventually([&] { return b_->stats().entries == entries + 1; }));
  EXPECT_EQ(b_->invalidate({.documents = {"d1"}}), static_cast<std::uint64_t>(entries));
  EXPECT_TRUE(eventually([&] { return a_->stats().entries == 1; }));
  EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, 1U);
}

TEST_F(SharedStore, ARemovalReachesWhatMemoryHadNoRoomFor) {
  CacheSettings small = server_.cache_settings();
  small.max_entries = 1;
  const auto c = open_cache(small);
  for (const char* document : {"d1", "d2", "d3"}) ASSERT_TRUE(keep(*a_, about(document)));
  ASSERT_TRUE(eventually([&] { return c->stats().evicted == 2; }));
  EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, 3U) << "no room in one is no reason for the others";
  EXPECT_EQ(c->invalidate({.documents = {"d1"}}), 0U) << "it was not in memory";
  EXPECT_TRUE(eventually([&] { return !served(*a_, about("d1")); }));
}

TEST_F(SharedStore, AnAnswerUnderWayElsewhereWhenItsDocumentChangedIsStoredNowhere) {
  const std::uint64_t before = b_->generation();
  a_->invalidate({.documents = {"d1"}});
  // Whether or not the news has come to b: the server does not take what was judged without it.
  EXPECT_FALSE(store(*b_, about("d1").key(), answer("stale"), {.generation = before}));
  EXPECT_TRUE(store(*b_, about("d2").key(), answer("untouched"), {.generation = before}));
  ASSERT_TRUE(both_serve(about("d2")));
  EXPECT_FALSE(served(*a_, about("d1")));
  EXPECT_FALSE(served(*b_, about("d1")));
  EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, 1U);
  EXPECT_EQ(b_->stats().store_failures, 0U) << "too late is no failure of the store";
}

TEST_F(SharedStore, WhatIsComputedAfterARemovalIsStoredAndStays) {
  for (int round = 0; round < 50; ++round) {
    a_->invalidate({.documents = {"d1"}});
    ASSERT_TRUE(keep(*a_, about("d1"))) << "round " << round;
    ASSERT_TRUE(served(*a_, about("d1")));
    ASSERT_TRUE(eventually([&] { return served(*b_, about("d1")); })) << "round " << round;
    ASSERT_TRUE(served(*a_, about("d1"))) << "its own removal, seen again, took the fresh answer along";
  }
}

TEST_F(SharedStore, WhatTookAnothersPlaceIsAloneEverywhere) {
  ASSERT_TRUE(store(*a_, Asked().key(), answer("old")));
  ASSERT_TRUE(eventually([&] { return served(*b_, Asked()); }));
  ASSERT_TRUE(store(*b_, Asked().key(), answer("new")));
  EXPECT_TRUE(eventually([&] { return text_of(a_->find_exact(Asked().key(), {})) == "new"; }));
  EXPECT_TRUE(eventually([&] { return a_->stats().entries == 1 && b_->stats().entries == 1; }));
  EXPECT_TRUE(eventually([&] { return server_.keys("*:entry:*").size() == 1; }));
}

TEST_F(SharedStore, RedisEndsAnEntryByItself) {
  ASSERT_TRUE(keep(*a_, Asked("short"), {.ttl = std::chrono::seconds(1), .id = "kve-short"}));
  ASSERT_TRUE(keep(*a_, Asked("long"), {.ttl = std::chrono::seconds(3600), .id = "kve-long"}));
  EXPECT_GT(server_.command({"PTTL", "kvasir:{all}:entry:kve-long"}).integer, 3'590'000);
  EXPECT_TRUE(eventually([&] { return server_.keys("*:entry:*").size() == 1; }));
  EXPECT_TRUE(eventually([&] { return a_->stats().entries == 1 && b_->stats().entries == 1; }));
  ASSERT_TRUE(keep(*a_, Asked("another")));
  EXPECT_EQ(server_.command({"ZCARD", "kvasir:{all}:entries"}).integer, 2) << "the sets are cleaned up along";
  EXPECT_EQ(a_->stats().store_failures, 0U);
}

TEST_F(SharedStore, TheSetsOfADocumentThatNobodyUsesAnyMoreGoToo) {
  ASSERT_TRUE(keep(*a_, about("d1"), {.ttl = std::chrono::seconds(1), .tags = {"t"}}));
  ASSERT_EQ(server_.keys("*:document:*").size(), 1U);
  ASSERT_TRUE(eventually([&] { return server_.keys("*:entry:*").empty(); }));
  ASSERT_TRUE(keep(*a_, Asked()));
  EXPECT_TRUE(server_.keys("*:document:*").empty());
  EXPECT_TRUE(server_.keys("*:tag:*").empty());
}

TEST_F(SharedStore, ADamagedEntryIsDroppedCountedAndNeverServed) {
  for (const char* name : {"1", "2", "3", "4"}) {
    ASSERT_TRUE(store(*a_, Asked(name).key(), answer(name), {.vector = at_angle(0), .id = std::string("kve-") + name}));
  }
  server_.command({"HSET", "kvasir:{all}:entry:kve-1", "body", "no entry"});
  server_.command({"HSET", "kvasir:{all}:entry:kve-2", "vector", "0000"});
  server_.command({"SET", "kvasir:{all}:entry:kve-3", "no hash"});
  const auto c = open_cache(server_.cache_settings());
  // On a busy machine another of them may lose its connection, read everything again and be the first to see it.
  EXPECT_GE(a_->stats().corrupt + b_->stats().corrupt + c->stats().corrupt, 3U);
  EXPECT_EQ(c->stats().entries, 1U);
  EXPECT_FALSE(served(*c, Asked("1")));
  EXPECT_TRUE(served(*c, Asked("4")));
  EXPECT_EQ(server_.keys("*:entry:*").size(), 1U);
}

TEST_F(SharedStore, WhoMissedChangesReadsEverythingAgain) {
  ASSERT_TRUE(keep(*a_, Asked("kept")));
  ASSERT_TRUE(keep(*a_, Asked("gone"), {.id = "kve-gone"}));
  ASSERT_TRUE(both_serve(Asked("gone")));
  const std::uint64_t before = b_->generation();
  // A removal whose announcement was trimmed away before anybody read it.
  constexpr std::string_view script = R"lua(
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], 'kve-gone')
    redis.call('XTRIM', KEYS[3], 'MAXLEN', 0)
    return 1
  )lua";
  server_.command({"EVAL", script, "3", "kvasir:{all}:entry:kve-gone", "kvasir:{all}:entries", "kvasir:{all}:changes"});
  EXPECT_TRUE(eventually([&] { return b_->stats().shared->reloads == 1 && b_->stats().shared->connected; }));
  EXPECT_FALSE(served(*b_, Asked("gone")));
  EXPECT_TRUE(served(*b_, Asked("kept")));
  EXPECT_FALSE(store(*b_, Asked("late").key(), answer("a"), {.generation = before})) << "it may have been removed";
  EXPECT_TRUE(keep(*b_, Asked("fresh")));
}

TEST_F(SharedStore, AFlushedServerLeavesNothingInMemory) {
  ASSERT_TRUE(keep(*a_, Asked()));
  ASSERT_TRUE(both_serve(Asked()));
  server_.command({"FLUSHALL"});
  EXPECT_TRUE(eventually([&] { return a_->stats().entries == 0 && b_->stats().entries == 0; }));
  EXPECT_TRUE(eventually([&] { return keep(*a_, Asked()); }));
  EXPECT_TRUE(both_serve(Asked()));
}

TEST_F(SharedStore, ForgottenScriptsAreBroughtBack) {
  server_.command({"SCRIPT", "FLUSH"});
  EXPECT_TRUE(eventually([&] { return keep(*a_, Asked()); }));
  EXPECT_TRUE(both_serve(Asked()));
}

TEST_F(SharedStore, TwoPrefixesShareNothing) {
  CacheSettings other = server_.cache_settings();
  other.redis->prefix = "another";
  const auto c = open_cache(other);
  ASSERT_TRUE(keep(*a_, Asked()));
  ASSERT_TRUE(both_serve(Asked()));
  EXPECT_EQ(c->stats().entries, 0U);
  EXPECT_EQ(open_cache(other)->stats().entries, 0U);
}

TEST_F(SharedStore, InFullMemoryAnswersAreRefusedAndRemovalsAreNot) {
  ASSERT_TRUE(keep(*a_, about("d1")));
  ASSERT_TRUE(both_serve(about("d1")));
  server_.command({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_FALSE(keep(*a_, about("d2")));
  EXPECT_EQ(a_->stats().store_failures, 1U);
  EXPECT_EQ(a_->invalidate({.documents = {"d1"}}), 1U);
  EXPECT_EQ(a_->stats().removals_owed, 0U);
  EXPECT_TRUE(eventually([&] { return !served(*b_, about("d1")); }));
  server_.command({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_TRUE(keep(*a_, about("d2")));
}

TEST_F(SharedStore, AnotherEmbeddersVectorsAreNotUsed) {
  std::string error;
  const auto c = ResponseCache::open(server_.cache_settings(), "another-embedder", dimension, error);
  ASSERT_TRUE(c) << error;
  ASSERT_TRUE(keep(*a_, Asked(), {.vector = at_angle(0)}));
  ASSERT_TRUE(eventually([&] { return served(*c, Asked()); }));
  EXPECT_EQ(c->stats().vectors, 0U);
  EXPECT_EQ(c->find_semantic(Asked("other").key(), at_angle(0), {}).reason, "empty");
}

TEST_F(SharedStore, HowLongUntilAnotherSeesIt) {
  std::vector<double> milliseconds;
  for (int i = 0; i < 200; ++i) {
    const Asked asked(std::to_string(i));
    ASSERT_TRUE(keep(*a_, asked, {.vector = at_angle(i)}));
    const auto stored = std::chrono::steady_clock::now();
    while (!served(*b_, asked) && std::chrono::steady_clock::now() - stored < std::chrono::seconds(20)) {
    }
    ASSERT_TRUE(served(*b_, asked));
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - stored).count());
  }
  std::ranges::sort(milliseconds);
  std::printf("from the acknowledgement in one to the hit in the other: p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n",
              milliseconds[100], milliseconds[197], milliseconds.back());
}

}  // namespace
}  // namespace kvasir::cache::test
