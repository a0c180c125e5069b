#include "cache/redis_store.hpp"

#include "cache/redis_follower.hpp"
#include "cache/redis_shard.hpp"
#include "cache/redis_writer.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace kvasir::cache {
namespace {

// Of a cluster: enough for as many masters, few enough for the two connections that each of them has.
constexpr std::size_t cluster_shards = 16;

std::size_t shards_of(const RedisSettings& settings) {
  return settings.cluster ? cluster_shards : 1;
}

class RedisStore final : public Store {
 public:
  RedisStore(const RedisSettings& settings, CacheLog log)
      : shared_(settings, shards_of(settings), std::move(log)), writer_(shared_, shards_) {
    const std::size_t count = shards_of(settings);
    for (std::size_t number = 0; number < count; ++number) {
      shards_.push_back(std::make_unique<RedisShard>(shared_.settings.prefix, number, count));
    }
  }
  ~RedisStore() override {
    for (const auto& follower : followers_) follower->tell_to_stop();
  }
  RedisStore(const RedisStore&) = delete;
  RedisStore& operator=(const RedisStore&) = delete;

  // The listener is told what is there once it listens.
  std::uint64_t load(const std::function<void(StoredEntry)>& /*each*/, std::string& /*error*/) override { return 0; }

  bool apply(std::span<const StoreOperation* const> operations) override {
    const std::vector<bool> applied = apply_each(operations);
    return std::ranges::find(applied, false) == applied.end();
  }
  std::vector<bool> apply_each(std::span<const StoreOperation* const> operations) override {
    return writer_.write(operations);
  }

  bool is_shared() const override { return true; }
  void follow(StoreListener& listener) override {
    shared_.listener = &listener;
    for (const auto& shard : shards_) followers_.push_back(std::make_unique<RedisFollower>(shared_, *shard));
    for (const auto& follower : followers_) follower->start();
    for (const auto& follower : followers_) follower->wait_for_first_attempt();
  }
  bool may_serve() const override { return shared_.presence.may_serve(); }

  std::optional<SharedStoreStats> shared_stats() const override {
    SharedStoreStats stats;
    shared_.presence.read(stats);
    stats.from_others = shared_.from_others.load(std::memory_order_relaxed);
    stats.damaged = shared_.damaged.load(std::memory_order_relaxed);
    stats.reloads = shared_.reloads.load(std::memory_order_relaxed);
    stats.lag = std::chrono::milliseconds(shared_.lag_ms.load(std::memory_order_relaxed));
    return stats;
  }

 private:
  RedisShared shared_;
  std::vector<std::unique_ptr<RedisShard>> shards_;
  RedisWriter writer_;
  std::vector<std::unique_ptr<RedisFollower>> followers_;  // last: their threads use everything above
};

}  // namespace

std::unique_ptr<Store> make_redis_store(const RedisSettings& settings, CacheLog log) {
  return std::make_unique<RedisStore>(settings, std::move(log));
}

}  // namespace kvasir::cache
