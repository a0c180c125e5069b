#include "cache/redis_presence.hpp"

#include <utility>

#include <fmt/format.h>

namespace kvasir::cache {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

constexpr std::size_t reasons_told = 8;  // in one absence

}  // namespace

RedisPresence::RedisPresence(std::size_t shards, milliseconds grace, CacheLog log)
    : shards_(shards), grace_(grace), log_(std::move(log)), away_since_(Steady::now().time_since_epoch().count()) {}

void RedisPresence::came() {
  const std::lock_guard lock(mutex_);
  SharedStoreStats stats;
  read(stats);
  if (present_.fetch_add(1, std::memory_order_acq_rel) + 1 != shards_) return;
  if (ever_whole_) {
    reconnects_.fetch_add(1, std::memory_order_relaxed);
    tell(fmt::format("the shared cache store is back after {} ms", stats.away.count()));
  } else if (!told_.empty()) {
    tell("the shared cache store is there");
  }
  ever_whole_ = true;
  told_.clear();
}

void RedisPresence::lost() {
  const std::lock_guard lock(mutex_);
  const bool was_whole = whole();
  if (was_whole) {
    away_since_.store(Steady::now().time_since_epoch().count(), std::memory_order_release);
    disconnects_.fetch_add(1, std::memory_order_relaxed);
  }
  present_.fetch_sub(1, std::memory_order_acq_rel);
}

void RedisPresence::failed(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (told_.size() >= reasons_told || !told_.insert(why).second) return;
  tell(fmt::format("the shared cache store is away ({}); requests go on as misses", why));
}

bool RedisPresence::may_serve() const {
  if (whole()) return true;
  if (grace_.count() == 0) return false;
  const Steady::time_point since{Steady::duration(away_since_.load(std::memory_order_acquire))};
  return Steady::now() - since < grace_;
}

void RedisPresence::read(SharedStoreStats& stats) const {
  stats.connected = whole();
  stats.disconnects = disconnects_.load(std::memory_order_relaxed);
  stats.reconnects = reconnects_.load(std::memory_order_relaxed);
  const Steady::time_point since{Steady::duration(away_since_.load(std::memory_order_acquire))};
  stats.away = stats.connected ? milliseconds(0) : duration_cast<milliseconds>(Steady::now() - since);
}

void RedisPresence::tell(const std::string& text) const {
  if (log_) log_(text);
}

}  // namespace kvasir::cache
