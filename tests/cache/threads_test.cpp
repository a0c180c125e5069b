// Look-ups, stores and removals at the same time.
#include "tests/cache/support.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

class Threads : public testing::Test {
 protected:
  Threads() {
    settings_.path = folder_.store();
    settings_.max_entries = 40;
    cache_ = open_cache(settings_);
  }

  static std::string document(int number) { return std::string("d").append(std::to_string(number % 4)); }

  static Asked question(int number) {
    Asked asked(std::string("question ")
                    .append(1, static_cast<char>('a' + number % 26))
                    .append(static_cast<std::size_t>(number / 26), '!'));
    asked.documents = {{document(number), "text", "", "", ""}};
    return asked;
  }

  TemporaryFolder folder_;
  CacheSettings settings_;
  std::unique_ptr<ResponseCache> cache_;
};

TEST_F(Threads, EveryHitIsTheAnswerToItsQuestion) {
  constexpr int questions = 80;
  std::atomic<bool> stop{false};
  std::atomic<int> hits{0};
  std::vector<std::thread> threads;
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&, reader] {
      for (int i = reader; !stop; ++i) {
        const Asked asked = question(i % questions);
        const Decision exact = cache_->find_exact(asked.key(), {});
        const Decision near = cache_->find_semantic(asked.key(), at_angle(i % questions), {});
        if (exact.entry) {
          ++hits;
          EXPECT_EQ(text_of(exact), asked.question);
        }
        if (near.entry) {
          EXPECT_EQ(near.entry->key.partition, asked.key().partition);
        }
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      cache_->invalidate({.documents = {document(i)}});
      cache_->stats();
      cache_->entries(0, 10);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  for (int i = 0; i < 3000; ++i) {
    const Asked asked = question(i % questions);
    store(*cache_, asked.key(), answer(asked.question),
          {.vector = at_angle(i % questions), .generation = cache_->generation()});
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(hits, 0);
  EXPECT_LE(cache_->stats().entries, 40U);
}

// Whoever sees the invalidation return must never again see an answer that began before it.
TEST_F(Threads, NoAnswerFromBeforeAnInvalidationIsServedAfterIt) {
  std::atomic<int> version{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 2; ++writer) {
    writers.emplace_back([&] {
      while (!stop) {
        // Reads the document after the generation, as a computation would.
        const std::uint64_t generation = cache_->generation();
        const int seen = version;
        store(*cache_, question(1).key(), answer(std::to_string(seen)), {.generation = generation});
      }
    });
  }
  int served = 0;
  for (int i = 1; i <= 300; ++i) {
    version = i;
    cache_->invalidate({.documents = {"d1"}});
    for (int look = 0; look < 20; ++look) {
      const Decision decision = cache_->find_exact(question(1).key(), {});
      if (!decision.entry) continue;
      ++served;
      EXPECT_EQ(text_of(decision), std::to_string(i));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    if (cache_->find_exact(question(1).key(), {}).entry) ++served;
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_GT(served, 0);
  // The store agrees: what a restart would serve is of the last version.
  cache_.reset();
  cache_ = open_cache(settings_);
  const Decision after = cache_->find_exact(question(1).key(), {});
  if (after.entry) {
    EXPECT_EQ(text_of(after), "300");
  }
}

TEST_F(Threads, ClosingTheCacheFinishesWhatWasHandedToIt) {
  constexpr int answers = 30;
  std::atomic<int> acknowledged{0};
  for (int i = 0; i < answers; ++i) {
    cache_->store(cache_->new_entry_id(), question(i).key(), answer("a"), {}, std::chrono::hours(1), {}, 0,
                  [&](bool stored) { acknowledged += stored ? 1 : 0; });
  }
  cache_.reset();
  EXPECT_EQ(acknowledged, answers);
  cache_ = open_cache(settings_);
  EXPECT_EQ(cache_->stats().entries, static_cast<std::uint64_t>(answers));
}

}  // namespace
}  // namespace kvasir::cache::test
