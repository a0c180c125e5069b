// Nothing that was removed comes back, however stores and removals of several caches meet.
#include "tests/cache/redis_server.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

constexpr int documents = 4;
constexpr int questions = 6;

Asked about(int document, int question) {
  const std::string name = std::to_string(document);
  Asked asked(std::to_string(question) + " about " + name);
  asked.documents = {{name, "text", "", "", ""}};
  return asked;
}

// Documents with versions: an answer says which version it was computed from.
class Race : public testing::Test {
 protected:
  void SetUp() override {
    if (!redis_is_installed()) GTEST_SKIP() << "redis-server is not installed";
    ASSERT_TRUE(server_.start());
    for (auto& cache : caches_) cache = open_cache(server_.cache_settings());
  }

  ResponseCache& any(std::minstd_rand& random) { return *caches_[random() % caches_.size()]; }

  void compute_and_store(std::minstd_rand& random) {
    ResponseCache& cache = any(random);
    const int document = static_cast<int>(random() % documents);
    const std::uint64_t generation = cache.generation();
    const int version = versions_[static_cast<std::size_t>(document)];
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
    const Asked asked = about(document, static_cast<int>(random() % questions));
    const bool kept = store(cache, asked.key(), answer(std::to_string(version)), {.generation = generation});
    ++(kept ? stored_ : refused_);
  }

  void change_document(std::minstd_rand& random) {
    const auto document = random() % documents;
    ResponseCache& cache = any(random);
    const int fresh = ++versions_[document];
    cache.invalidate({.documents = {std::to_string(document)}});
    for (int question = 0; question < questions; ++question) {
      const std::string text = text_of(cache.find_exact(about(static_cast<int>(document), question).key(), {}));
      if (!text.empty() && std::stoi(text) < fresh) ++stale_at_once_;
    }
  }

  int stale_in(ResponseCache& cache) {
    int stale = 0;
    for (int document = 0; document < documents; ++document) {
      for (int question = 0; question < questions; ++question) {
        const std::string text = text_of(cache.find_exact(about(document, question).key(), {}));
        if (!text.empty() && std::stoi(text) < versions_[static_cast<std::size_t>(document)]) ++stale;
      }
    }
    return stale;
  }

  RedisServer server_;
  std::array<std::unique_ptr<ResponseCache>, 3> caches_;
  std::array<std::atomic<int>, documents> versions_{};
  std::atomic<int> stored_{0}, refused_{0}, stale_at_once_{0};
};

TEST_F(Race, NoAnswerComputedFromAnOldDocumentOutlivesItsRemoval) {
  for (int round = 0; round < 15; ++round) {
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < 6; ++number) {
      threads.emplace_back([&, number] {
        std::minstd_rand random(1000U * static_cast<unsigned>(round) + number);
        for (int i = 0; i < 60; ++i) {
          if (number == 0 && i % 2 == 0) {
            change_document(random);
          } else {
            compute_and_store(random);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    // The last removals are acknowledged, and so in the store; the others hear of them in a moment.
    for (const auto& cache : caches_) EXPECT_TRUE(eventually([&] { return stale_in(*cache) == 0; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    for (const auto& cache : caches_) EXPECT_EQ(stale_in(*cache), 0) << "it came back in round " << round;
    EXPECT_EQ(stale_in(*open_cache(server_.cache_settings())), 0) << "the store kept it in round " << round;
  }
  EXPECT_EQ(stale_at_once_, 0) << "an invalidation had returned and the same cache still served what it removed";
  EXPECT_GT(stored_, 500);
  EXPECT_GT(refused_, 0) << "no store ever met a removal: this shows nothing";
  std::printf("%d stored, %d refused\n", stored_.load(), refused_.load());
}

TEST_F(Race, WhatOthersStoreWhileARemovalIsOnItsWayIsGoneWhenItReturns) {
  ResponseCache& a = *caches_[0];
  ResponseCache& b = *caches_[1];
  std::promise<void> release;
  std::promise<void> busy;
  // The store's thread of a is held up, so that the removal waits behind it.
  a.store(a.new_entry_id(), Asked("first").key(), answer("a"), {}, std::chrono::hours(1), {}, a.generation(),
          [&](bool /*stored*/) {
            busy.set_value();
            release.get_future().wait();
          });
  busy.get_future().wait();
  const std::uint64_t before = a.generation();
  std::thread removal([&] { a.invalidate({.documents = {"0"}}); });
  ASSERT_TRUE(eventually([&] { return a.generation() > before; }));
  ASSERT_TRUE(store(b, about(0, 0).key(), answer("stale"), {.generation = b.generation()}));
  ASSERT_TRUE(eventually([&] { return a.find_exact(about(0, 0).key(), {}).entry != nullptr; }));
  release.set_value();
  removal.join();
  EXPECT_FALSE(a.find_exact(about(0, 0).key(), {}).entry);
  EXPECT_TRUE(eventually([&] { return !b.find_exact(about(0, 0).key(), {}).entry; }));
  EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, 1U) << "only the first";
}

TEST_F(Race, AllCachesEndUpWithTheSameEntries) {
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 6; ++number) {
    threads.emplace_back([&, number] {
      std::minstd_rand random(number);
      for (int i = 0; i < 200; ++i) compute_and_store(random);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto same = [&] {
    for (int document = 0; document < documents; ++document) {
      for (int question = 0; question < questions; ++question) {
        const CacheKey key = about(document, question).key();
        for (const auto& cache : caches_) {
          if (!cache->find_exact(key, {}).entry) return false;
        }
      }
    }
    return caches_[0]->stats().entries == static_cast<std::uint64_t>(documents * questions);
  };
  EXPECT_TRUE(eventually(same)) << "racing answers to one question removed each other";
}

TEST_F(Race, HowManyAnswersASecondAreStored) {
  constexpr int answers = 20'000;
  std::vector<CacheKey> keys;
  for (int i = 0; i < answers; ++i) keys.push_back(Asked(std::to_string(i)).key());
  std::atomic<int> told{0};
  std::atomic<int> kept{0};
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < answers; ++i) {
    while (i - told >= 2000) std::this_thread::yield();
    caches_[0]->store(caches_[0]->new_entry_id(), keys[static_cast<std::size_t>(i)], answer(std::string(1000, 'x')),
                      at_angle(i), std::chrono::hours(1), {"t"}, caches_[0]->generation(), [&](bool stored) {
                        if (stored) ++kept;
                        ++told;
                      });
  }
  ASSERT_TRUE(eventually([&] { return told == answers; }));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(kept, answers);
  EXPECT_TRUE(eventually([&] { return caches_[1]->stats().entries == caches_[0]->stats().entries; }));
  std::printf("%.0f answers of 1 kB a second, followed by two others\n", answers / took.count());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(open_cache(server_.cache_settings())->stats().entries, caches_[0]->stats().entries);
  const std::chrono::duration<double> open = std::chrono::steady_clock::now() - start;
  std::printf("a cache that starts has all %d after %.2f s (and ends)\n", answers, open.count());
}

}  // namespace
}  // namespace kvasir::cache::test
