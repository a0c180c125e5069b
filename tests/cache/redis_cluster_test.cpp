// A Redis Cluster of three real nodes.
#include "cache/redis_cluster.hpp"

#include "tests/cache/redis_server.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

class Cluster : public testing::Test {
 protected:
  void SetUp() override {
    if (!redis_is_installed()) GTEST_SKIP() << "redis-server is not installed";
    std::vector<std::string> create{"redis-cli", "--cluster", "create"};
    for (auto& node : nodes_) {
      node = std::make_unique<RedisServer>(std::vector<std::string>{
          "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000",
          "--cluster-require-full-coverage", "no", "--appendonly", "yes", "--appendfsync", "always"});
      ASSERT_TRUE(node->start());
      create.push_back(node->address());
    }
    create.insert(create.end(), {"--cluster-replicas", "0", "--cluster-yes"});
    ASSERT_EQ(run_program(create), 0);
    for (const auto& node : nodes_) {
      ASSERT_TRUE(eventually([&] {
        return node->command({"CLUSTER", "INFO"}).text.find("cluster_state:ok") != std::string::npos;
      }));
    }
    settings_ = nodes_[0]->cache_settings();
    settings_.redis->cluster = true;
    settings_.redis->urls.push_back(nodes_[1]->settings().urls.front());
  }

  static bool served(ResponseCache& cache, const Asked& asked) { return !!cache.find_exact(asked.key(), {}).entry; }
  static bool connected(const ResponseCache& cache) { return cache.stats().shared->connected; }
  static Asked about(const std::string& document, int number) {
    Asked asked(std::to_string(number) + " about " + document);
    asked.documents = {{document, "text", "", "", ""}};
    return asked;
  }
  static bool keep(ResponseCache& cache, const Asked& asked) {
    return store(cache, asked.key(), answer("a"), {.tags = {"t"}, .generation = cache.generation()});
  }
  std::string id_of(std::size_t node) const { return nodes_[node]->command({"CLUSTER", "MYID"}).text; }

  std::array<std::unique_ptr<RedisServer>, 3> nodes_;
  CacheSettings settings_;
};

TEST_F(Cluster, EntriesAreSpreadAndEachIsInOneSlotWithItsParts) {
  const auto a = open_cache(settings_);
  const auto b = open_cache(settings_);
  ASSERT_TRUE(connected(*a));
  constexpr int entries = 100;
  for (int i = 0; i < entries; ++i) ASSERT_TRUE(keep(*a, about(i % 2 == 0 ? "even" : "odd", i))) << i;
  ASSERT_TRUE(eventually([&] { return b->stats().entries == entries; }));
  std::size_t found = 0;
  for (const auto& node : nodes_) {
    const std::vector<std::string> keys = node->keys("kvasir:*:entry:*");
    EXPECT_FALSE(keys.empty()) << "a node has nothing to do";
    found += keys.size();
    for (const std::string& key : node->keys("kvasir:*")) {
      EXPECT_EQ(node->command({"CLUSTER", "KEYSLOT", key}).integer, cluster_slot(key));
    }
  }
  EXPECT_EQ(found, static_cast<std::size_t>(entries));

  EXPECT_EQ(b->invalidate({.documents = {"even"}}), static_cast<std::uint64_t>(entries / 2));
  EXPECT_TRUE(eventually([&] { return a->stats().entries == entries / 2; }));
  EXPECT_EQ(open_cache(settings_)->stats().entries, static_cast<std::uint64_t>(entries / 2));
  EXPECT_TRUE(keep(*a, about("even", 1000))) << "fresh after the removal";
  EXPECT_EQ(a->invalidate({.all = true}), static_cast<std::uint64_t>(entries / 2 + 1));
  EXPECT_TRUE(eventually([&] { return b->stats().entries == 0; }));
  EXPECT_EQ(open_cache(settings_)->stats().entries, 0U);
}

TEST_F(Cluster, ASlotThatMovesIsFollowed) {
  const auto a = open_cache(settings_);
  const auto b = open_cache(settings_);
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(keep(*a, about("d", i)));
  ASSERT_TRUE(eventually([&] { return b->stats().entries == 60; }));
  // All slots of the first node go to the second, keys and all, while both caches are at work.
  ASSERT_EQ(run_program({"redis-cli", "--cluster", "reshard", nodes_[0]->address(), "--cluster-from", id_of(0),
                         "--cluster-to", id_of(1), "--cluster-slots", "5461", "--cluster-yes"}),
            0);
  ASSERT_TRUE(nodes_[0]->keys("kvasir:*").empty());
  // Whoever asks the old node is told where to go.
  int number = 1000;
  const auto all_shards_take = [&] {
    bool good = true;
    for (int i = 0; i < 40; ++i) good = keep(*a, about("d", number++)) && good;
    return good;
  };
  ASSERT_TRUE(eventually(all_shards_take));
  ASSERT_TRUE(eventually([&] { return connected(*a) && connected(*b); }));
  EXPECT_TRUE(served(*a, about("d", 0)));
  EXPECT_TRUE(eventually([&] { return b->stats().entries == a->stats().entries; }));
  EXPECT_TRUE(served(*b, about("d", number - 1)));
  b->invalidate({.tags = {"t"}});
  EXPECT_TRUE(eventually([&] { return a->stats().entries == 0; }));
  EXPECT_EQ(open_cache(settings_)->stats().entries, 0U);
}

TEST_F(Cluster, ANodeThatDiesIsMissedAndComesBack) {
  const auto a = open_cache(settings_);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(keep(*a, about("d", i)));
  nodes_[2]->kill_it();
  ASSERT_TRUE(eventually([&] { return !connected(*a); }));
  EXPECT_EQ(a->find_exact(about("d", 0).key(), {}).reason, "store_away") << "its removals can no longer be seen";
  EXPECT_GT(a->invalidate({.documents = {"d"}}), 0U);
  EXPECT_EQ(a->stats().removals_owed, 1U) << "one part of it could not be told";
  int kept = 0;
  for (int i = 100; i < 140; ++i) kept += keep(*a, about("e", i)) ? 1 : 0;
  EXPECT_GT(kept, 0) << "the other nodes take what is theirs";
  EXPECT_LT(kept, 40);
  ASSERT_TRUE(nodes_[2]->start());
  ASSERT_TRUE(eventually([&] { return connected(*a); }, std::chrono::seconds(60)));
  ASSERT_TRUE(eventually([&] { return a->stats().removals_owed == 0; }));
  EXPECT_EQ(open_cache(settings_)->stats().entries, static_cast<std::uint64_t>(kept));
}

TEST_F(Cluster, ANodeThatIsTakenForALoneServerSaysSo) {
  const std::uint16_t slot = cluster_slot("{all}");
  const std::size_t elsewhere = slot < 5461 ? 2 : 0;
  settings_ = nodes_[elsewhere]->cache_settings();
  std::vector<std::string> told;
  std::mutex mutex;
  std::string error;
  const auto a = ResponseCache::open(settings_, embedder, dimension, error, [&](std::string_view text) {
    const std::lock_guard lock(mutex);
    told.emplace_back(text);
  });
  ASSERT_TRUE(a);
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return std::ranges::any_of(
        told, [](const std::string& text) { return text.find("cache.store.cluster") != std::string::npos; });
  }));
}

}  // namespace
}  // namespace kvasir::cache::test
