// Redis goes away and comes back.
#include "tests/cache/redis_server.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

using std::chrono::steady_clock;

class Outage : public testing::Test {
 protected:
  Outage() : server_({"--appendonly", "yes", "--appendfsync", "always"}) {}
  void SetUp() override {
    if (!redis_is_installed()) GTEST_SKIP() << "redis-server is not installed";
    ASSERT_TRUE(server_.start());
  }

  static bool served(ResponseCache& cache, const Asked& asked) { return !!cache.find_exact(asked.key(), {}).entry; }
  static bool keep(ResponseCache& cache, const Asked& asked, Storing how = {}) {
    how.generation = cache.generation();
    return store(cache, asked.key(), answer("answer"), std::move(how));
  }
  static bool connected(const ResponseCache& cache) { return cache.stats().shared->connected; }

  RedisServer server_;
};

TEST_F(Outage, WhileItIsAwayEverythingIsAMissAndNothingIsStored) {
  const auto a = open_cache(server_.cache_settings());
  ASSERT_TRUE(keep(*a, Asked(), {.vector = at_angle(0)}));
  server_.kill_it();
  ASSERT_TRUE(eventually([&] { return !connected(*a); }));
  EXPECT_EQ(a->find_exact(Asked().key(), {}).reason, "store_away");
  EXPECT_EQ(a->find_semantic(Asked().key(), at_angle(0), {}).reason, "store_away");
  EXPECT_FALSE(keep(*a, Asked("other")));
  EXPECT_EQ(a->stats().store_failures, 1U);

  ASSERT_TRUE(server_.start());
  ASSERT_TRUE(eventually([&] { return connected(*a); }));
  EXPECT_TRUE(served(*a, Asked())) << "it was never removed";
  EXPECT_TRUE(keep(*a, Asked("other")));
  EXPECT_EQ(a->stats().shared->reconnects, 1U);
  EXPECT_EQ(a->stats().shared->reloads, 0U) << "the stream goes on where it was";
}

TEST_F(Outage, MemoryIsServedForAsLongAsTheOperatorAllows) {
  CacheSettings settings = server_.cache_settings();
  settings.redis->serve_disconnected = std::chrono::milliseconds(700);
  const auto a = open_cache(settings);
  ASSERT_TRUE(keep(*a, Asked()));
  server_.kill_it();
  ASSERT_TRUE(eventually([&] { return !connected(*a); }));
  EXPECT_TRUE(served(*a, Asked()));
  EXPECT_TRUE(eventually([&] { return !served(*a, Asked()); }));
}

TEST_F(Outage, ARemovalWhileItIsAwayIsMadeUpForBeforeAnythingIsServed) {
  const auto a = open_cache(server_.cache_settings());
  const auto b = open_cache(server_.cache_settings());
  Asked asked;
  asked.documents = {{"d1", "text", "", "", ""}};
  ASSERT_TRUE(keep(*a, asked, {.id = "kve-1"}));
  ASSERT_TRUE(eventually([&] { return served(*b, asked); }));
  server_.kill_it();
  ASSERT_TRUE(eventually([&] { return !connected(*a) && !connected(*b); }));
  EXPECT_EQ(a->invalidate({.documents = {"d1"}}), 1U);
  EXPECT_EQ(a->stats().removals_owed, 1U);
  ASSERT_TRUE(server_.start());
  while (!connected(*a)) ASSERT_FALSE(served(*a, asked));
  EXPECT_FALSE(served(*a, asked));
  EXPECT_TRUE(eventually([&] { return connected(*b) && !served(*b, asked); }));
  EXPECT_TRUE(eventually([&] { return a->stats().removals_owed == 0; }));
  EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, 0U);
}

TEST_F(Outage, AGatewayThatStartsWithoutItTakesPartOnceItIsThere) {
  const auto a = open_cache(server_.cache_settings());
  ASSERT_TRUE(keep(*a, Asked()));
  server_.kill_it();
  std::vector<std::string> told;
  std::mutex mutex;
  std::string error;
  const auto b = ResponseCache::open(server_.cache_settings(), embedder, dimension, error, [&](std::string_view text) {
    const std::lock_guard lock(mutex);
    told.emplace_back(text);
  });
  ASSERT_TRUE(b) << error;
  EXPECT_FALSE(connected(*b));
  EXPECT_EQ(b->find_exact(Asked().key(), {}).reason, "store_away");
  EXPECT_FALSE(keep(*b, Asked("other")));
  ASSERT_TRUE(server_.start());
  ASSERT_TRUE(eventually([&] { return connected(*b); }));
  EXPECT_TRUE(served(*b, Asked()));
  EXPECT_TRUE(keep(*b, Asked("other")));
  const std::lock_guard lock(mutex);
  ASSERT_GE(told.size(), 2U);
  EXPECT_NE(told.front().find("is away (" + server_.address() + ": Connection refused)"), std::string::npos)
      << told.front();
  EXPECT_EQ(told.back(), "the shared cache store is there");
}

TEST_F(Outage, AnAnswerThatWasUnderWayBeforeTheFirstConnectionIsNotTrusted) {
  server_.kill_it();
  const auto a = open_cache(server_.cache_settings());
  const std::uint64_t before = a->generation();
  ASSERT_TRUE(server_.start());
  ASSERT_TRUE(eventually([&] { return connected(*a); }));
  EXPECT_FALSE(store(*a, Asked().key(), answer("a"), {.generation = before}));
  EXPECT_TRUE(keep(*a, Asked()));
}

TEST_F(Outage, AServerThatLostItsDataTakesMemoryAlong) {
  RedisServer forgetful;
  ASSERT_TRUE(forgetful.start());
  const auto a = open_cache(forgetful.cache_settings());
  ASSERT_TRUE(keep(*a, Asked()));
  forgetful.kill_it();
  ASSERT_TRUE(forgetful.start());
  ASSERT_TRUE(eventually([&] { return connected(*a) && a->stats().shared->reloads == 1; }));
  EXPECT_EQ(a->stats().entries, 0U) << "what the store does not have is not served";
  EXPECT_TRUE(keep(*a, Asked()));
}

TEST_F(Outage, ARemovalThatTheServerForgotWhenItDiedIsTold) {
  RedisServer forgetful({"--dbfilename", "saved.rdb"});
  ASSERT_TRUE(forgetful.start());
  const auto a = open_cache(forgetful.cache_settings());
  Asked asked;
  asked.documents = {{"d1", "text", "", "", ""}};
  ASSERT_TRUE(keep(*a, asked));
  forgetful.command({"SAVE"});
  EXPECT_EQ(a->invalidate({.documents = {"d1"}}), 1U);
  forgetful.kill_it();
  ASSERT_TRUE(forgetful.start());  // with the entry, without its removal
  ASSERT_TRUE(eventually([&] { return connected(*a) && a->stats().shared->reloads == 1; }));
  EXPECT_FALSE(served(*a, asked));
  EXPECT_EQ(open_cache(forgetful.cache_settings())->stats().entries, 0U);
}

TEST_F(Outage, AHungServerCostsOneTimeoutAndThenNothing) {
  const auto a = open_cache(server_.cache_settings());
  ASSERT_TRUE(keep(*a, Asked()));
  server_.send_signal(SIGSTOP);
  const auto stopped = steady_clock::now();
  EXPECT_FALSE(keep(*a, Asked("first")));
  const auto first = steady_clock::now();
  EXPECT_FALSE(keep(*a, Asked("second")));
  const auto second = steady_clock::now();
  std::printf("a hung server: the first store failed after %.1f ms, the next after %.3f ms\n",
              std::chrono::duration<double, std::milli>(first - stopped).count(),
              std::chrono::duration<double, std::milli>(second - first).count());
  EXPECT_TRUE(eventually([&] { return !connected(*a); }));
  EXPECT_FALSE(served(*a, Asked()));
  server_.send_signal(SIGCONT);
  ASSERT_TRUE(eventually([&] { return connected(*a); }));
  EXPECT_TRUE(served(*a, Asked()));
  // Nobody was told that it was stored, and yet it may have been: then it is served like any other.
  EXPECT_TRUE(eventually([&] { return served(*a, Asked("first")) || server_.keys("*:entry:*").size() == 1; }));
}

// Look-ups and stores from several threads, with the time that each of them took.
class Load {
 public:
  Load(ResponseCache& cache, int threads) : cache_(cache) {
    for (int number = 0; number < threads; ++number) threads_.emplace_back([this, number] { run(number); });
  }
  ~Load() { stop(); }

  void stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  double longest_ms() {
    const std::lock_guard lock(mutex_);
    return longest_.count();
  }
  void begin_again() {
    const std::lock_guard lock(mutex_);
    longest_ = {};
  }

  std::atomic<int> asked{0};
  std::atomic<int> answered{0};
  std::atomic<int> hits{0};
  std::atomic<int> stored{0};

 private:
  void run(int thread) {
    for (int i = 0; !stopping_; ++i) {
      const Asked question(std::to_string(thread) + " " + std::to_string(i));
      const CacheKey key = question.key();
      const auto begin = steady_clock::now();
      ++asked;
      if (cache_.find_exact(key, {}).entry) ++hits;
      if (store(cache_, key, answer("a"), {.vector = at_angle(i), .generation = cache_.generation()})) ++stored;
      ++answered;
      const std::chrono::duration<double, std::milli> took = steady_clock::now() - begin;
      {
        const std::lock_guard lock(mutex_);
        longest_ = std::max(longest_, took);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
  }

  ResponseCache& cache_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::chrono::duration<double, std::milli> longest_{0};
  std::vector<std::thread> threads_;
};

TEST_F(Outage, KilledAndRestartedUnderLoadItLosesNoRequest) {
  const auto a = open_cache(server_.cache_settings());
  const auto b = open_cache(server_.cache_settings());
  {
    Load load(*a, 4);
    ASSERT_TRUE(eventually([&] { return load.stored > 500; }));
    std::printf("there: longest look-up and store %.2f ms\n", load.longest_ms());
    for (int round = 0; round < 3; ++round) {
      load.begin_again();
      server_.kill_it();
      const int then = load.asked;
      ASSERT_TRUE(eventually([&] { return load.asked > then + 2000; })) << "requests stood still";
      std::printf("away: longest look-up and store %.2f ms\n", load.longest_ms());
      ASSERT_TRUE(server_.start());
      const auto there = steady_clock::now();
      ASSERT_TRUE(eventually([&] { return connected(*a) && connected(*b); }));
      std::printf("back %.0f ms after the server\n",
                  std::chrono::duration<double, std::milli>(steady_clock::now() - there).count());
      const int before = load.stored;
      ASSERT_TRUE(eventually([&] { return load.stored > before + 200; }));
    }
    load.stop();
    EXPECT_EQ(load.asked, load.answered);
  }
  // Every acknowledged answer is in both, and in the store.
  EXPECT_TRUE(eventually([&] { return a->stats().entries == b->stats().entries; }));
  EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, a->stats().entries);
  EXPECT_GE(a->stats().entries, a->stats().stored);
  EXPECT_EQ(a->stats().corrupt, 0U);
}

}  // namespace
}  // namespace kvasir::cache::test
