// The shared store: a Redis server or a Redis Cluster that several gateways write to and follow.
//
// In: operations of the cache's writer. Out: changes by others, told to the cache. Nothing here ever holds up a
// look-up; a write waits for a server that answers, and fails at once while there is none.
#pragma once

#include "cache/redis_settings.hpp"
#include "cache/response_cache.hpp"
#include "cache/store.hpp"

#include <memory>

namespace kvasir::cache {

// Connects in follow(), and again in the background whenever the connection is lost. A gateway may write at once, and
// what it writes is refused until then.
std::unique_ptr<Store> make_redis_store(const RedisSettings& settings, CacheLog log);

}  // namespace kvasir::cache
