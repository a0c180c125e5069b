// A long random life, held against a list that is searched from end to end.
#include "cache/sqlite_store.hpp"
#include "cache/stored_cache.hpp"
#include "tests/cache/support.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

using std::chrono::seconds;

struct Known {
  std::string id;
  Asked asked;
  std::string text;
  std::string tag;
  std::int64_t expires;
  rag::ContentId exact = asked.key().exact;
};

// The cache's promises in their simplest form. No eviction here: the cache under test is never full.
class NaiveCache {
 public:
  void store(Known entry) {
    remove([&](const Known& old) { return old.exact == entry.exact; });
    entries_.push_back(std::move(entry));
  }
  template <typename Predicate>
  std::size_t remove(Predicate predicate) {
    return std::erase_if(entries_, predicate);
  }
  const Known* find(const Asked& asked, std::int64_t now) const {
    const rag::ContentId exact = asked.key().exact;
    const auto found =
        std::ranges::find_if(entries_, [&](const Known& known) { return known.exact == exact && known.expires > now; });
    return found == entries_.end() ? nullptr : &*found;
  }
  std::size_t alive(std::int64_t now) const {
    return static_cast<std::size_t>(std::ranges::count_if(entries_, [&](const Known& k) { return k.expires > now; }));
  }

 private:
  std::vector<Known> entries_;
};

class Randomised : public testing::Test {
 protected:
  Randomised() {
    settings_.path = folder_.store();
    open();
  }

  void open() {
    cache_.reset();
    std::string error;
    std::unique_ptr<Store> file = open_sqlite_store(settings_.path, error);
    ASSERT_TRUE(file) << error;
    cache_ = StoredCache::open(
        settings_, embedder, dimension, std::move(file), [this] { return Clock::time_point(seconds(now_.load())); },
        error);
    ASSERT_TRUE(cache_) << error;
  }

  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }

  Asked random_request() {
    Asked asked("question " + std::string(1, static_cast<char>('a' + below(12))));
    asked.request.tenant = std::string(1, static_cast<char>('a' + below(3)));
    asked.request.model = std::string(1, static_cast<char>('m' + below(2)));
    const std::string document = "d" + std::to_string(below(4));
    if (below(3) > 0) asked.documents = {{document, "text", "", "", ""}};
    return asked;
  }

  // The question's own direction: no two questions of the test lie within the threshold.
  static std::vector<float> vector_of(const Asked& asked) {
    const int number = asked.question.back() - 'a';
    return at_angle(25.0 + 40.0 * (number % 2), 1 + static_cast<std::size_t>(number / 2) % 6);
  }

  void store_one() {
    const Asked asked = random_request();
    const std::int64_t ttl = 1 + below(200);
    const Known known{cache_->new_entry_id(), asked, "answer " + std::to_string(below(1 << 30)),
                      "t" + std::to_string(below(3)), now_ + ttl};
    ASSERT_TRUE(store(*cache_, asked.key(), answer(known.text),
                      {vector_of(asked), seconds(ttl), {known.tag}, cache_->generation(), known.id}));
    naive_.store(known);
  }

  void look_up() {
    const Asked asked = random_request();
    const Known* expected = naive_.find(asked, now_);
    const std::string text = expected == nullptr ? "" : expected->text;
    EXPECT_EQ(text_of(cache_->find_exact(asked.key(), {})), text);
    EXPECT_EQ(text_of(cache_->find_semantic(asked.key(), vector_of(asked), {})), text);
  }

  void invalidate() {
    const std::string document = "d" + std::to_string(below(4));
    const std::string tag = "t" + std::to_string(below(3));
    const std::string tenant(1, static_cast<char>('a' + below(3)));
    switch (below(3)) {
      case 0:
        cache_->invalidate({.documents = {document}});
        naive_.remove(
            [&](const Known& k) { return !k.asked.documents.empty() && k.asked.documents.front().id == document; });
        break;
      case 1:
        cache_->invalidate({.tags = {tag}, .tenant = tenant});
        naive_.remove([&](const Known& k) { return k.tag == tag && k.asked.request.tenant == tenant; });
        break;
      default:
        cache_->invalidate({.tenant = tenant});
        naive_.remove([&](const Known& k) { return k.asked.request.tenant == tenant; });
    }
  }

  void erase_one() {
    const Asked asked = random_request();
    const Known* known = naive_.find(asked, now_);
    if (known == nullptr) return;
    const std::string id = known->id;
    EXPECT_TRUE(cache_->erase(id));
    naive_.remove([&](const Known& k) { return k.id == id; });
  }

  void compare_size() {
    while (cache_->sweep()) {
    }
    EXPECT_EQ(cache_->stats().entries, naive_.alive(now_));
    EXPECT_EQ(cache_->stats().vectors, naive_.alive(now_));
    EXPECT_EQ(cache_->entries(0, 1000).size(), naive_.alive(now_));
  }

  TemporaryFolder folder_;
  CacheSettings settings_;
  std::atomic<std::int64_t> now_{1'000'000};
  std::unique_ptr<StoredCache> cache_;
  NaiveCache naive_;
  std::mt19937 random_{20240607};
};

// Look-ups by the million, while entries come, expire and are invalidated.
TEST_F(Randomised, AMillionLookUpsAnswerLikeTheNaiveOne) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int look_ups = 40'000;
#else
  constexpr int look_ups = 1'000'000;
#endif
  for (int done = 0; done < look_ups && !HasFailure();) {
    SCOPED_TRACE("after " + std::to_string(done));
    const int dice = below(1000);
    if (dice < 4) {
      store_one();
    } else if (dice < 6) {
      dice % 2 == 0 ? invalidate() : erase_one();
    } else if (dice < 8) {
      now_ += below(30);
    } else {
      look_up();
      done += 2;  // one in each tier
    }
    if (done % 50'000 == 0) compare_size();
  }
}

TEST_F(Randomised, TheCacheAnswersLikeTheNaiveOne) {
  for (int step = 0; step < 6000 && !HasFailure(); ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    const int dice = below(1000);
    if (dice < 450) {
      store_one();
    } else if (dice < 930) {
      look_up();
    } else if (dice < 950) {
      invalidate();
    } else if (dice < 970) {
      erase_one();
    } else if (dice < 990) {
      now_ += below(30);
    } else if (dice < 998) {
      compare_size();
    } else {
      open();
    }
  }
}

}  // namespace
}  // namespace kvasir::cache::test
