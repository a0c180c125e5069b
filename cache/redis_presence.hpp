// Whether all shards are followed, since when not, and what an operator should hear about it. Thread safe.
#pragma once

#include "cache/response_cache.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <set>
#include <string>

namespace kvasir::cache {

class RedisPresence {
 public:
  using Steady = std::chrono::steady_clock;

  // `grace`: how long memory may be served while a shard is away.
  RedisPresence(std::size_t shards, std::chrono::milliseconds grace, CacheLog log);

  // One shard is followed; one is not any more, or not yet, and why.
  void came();
  void lost();
  void failed(const std::string& why);

  bool whole() const { return present_.load(std::memory_order_acquire) == shards_; }
  bool may_serve() const;
  void read(SharedStoreStats& stats) const;

 private:
  void tell(const std::string& text) const;

  const std::size_t shards_;
  const std::chrono::milliseconds grace_;
  const CacheLog log_;
  std::atomic<std::size_t> present_{0};
  std::atomic<Steady::rep> away_since_;
  std::atomic<std::uint64_t> disconnects_{0};
  std::atomic<std::uint64_t> reconnects_{0};
  std::mutex mutex_;
  bool ever_whole_ = false;
  std::set<std::string> told_;  // reasons, since it was last whole
};

}  // namespace kvasir::cache
