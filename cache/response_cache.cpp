#include "cache/response_cache.hpp"

#include "cache/guards.hpp"
#include "cache/redis_store.hpp"
#include "cache/sqlite_store.hpp"
#include "cache/store.hpp"
#include "cache/stored_cache.hpp"

#include <utility>

namespace kvasir::cache {

namespace {

std::unique_ptr<Store> open_store(const CacheSettings& settings, CacheLog log, std::string& error) {
  if (settings.redis) return make_redis_store(*settings.redis, std::move(log));
  return settings.path == ":memory:" ? make_forgetful_store() : open_sqlite_store(settings.path, error);
}

}  // namespace

std::unique_ptr<ResponseCache> ResponseCache::open(const CacheSettings& settings, const std::string& embedder,
                                                   int dimension, std::string& error, CacheLog log) {
  if (settings.semantic && settings.guards) load_guards();
  std::string wrong;
  std::unique_ptr<ResponseCache> cache;
  std::unique_ptr<Store> store = open_store(settings, std::move(log), wrong);
  if (store) cache = StoredCache::open(settings, embedder, dimension, std::move(store), Clock::now, wrong);
  if (!cache) error = "the cache store " + settings.path + " cannot be opened: " + wrong;
  return cache;
}

}  // namespace kvasir::cache
