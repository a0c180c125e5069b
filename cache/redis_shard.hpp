// One shard of the shared store, as its two users see it: the writer, and the follower that keeps memory up to date.
//
// All keys of a shard are in one slot, so on one server; a single server is one shard. An invalidation goes to every
// shard, and each has it at one place in its own stream of changes. Writer and follower keep an invalidated answer from
// coming back like this: the follower has seen the removals up to `seen`; the writer judges an answer after it has read
// `seen`, and the server writes the answer only if no removal has come since.
#pragma once

#include "cache/redis_change.hpp"
#include "cache/redis_cluster.hpp"
#include "cache/redis_connection.hpp"
#include "cache/redis_presence.hpp"
#include "cache/redis_scripts.hpp"
#include "cache/store.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace kvasir::cache {

// What the shards of one store have in common.
struct RedisShared {
  RedisShared(const RedisSettings& given, std::size_t shards, CacheLog log);

  // A name for a removal, no two alike.
  std::string new_token();
  // False if this removal was met before, in the stream of another shard.
  bool is_first_sight(const std::string& token);

  const RedisSettings settings;
  const std::string origin;  // this gateway, as long as it runs
  const std::string insert_sha;
  const std::string remove_sha;
  RedisPresence presence;
  StoreListener* listener = nullptr;  // set before anything runs
  std::atomic<std::uint64_t> from_others{0};
  std::atomic<std::uint64_t> damaged{0};
  std::atomic<std::uint64_t> reloads{0};
  std::atomic<std::int64_t> lag_ms{0};

 private:
  std::atomic<std::uint64_t> next_token_{1};
  std::mutex mutex_;
  std::deque<std::string> token_order_;
  std::unordered_set<std::string> tokens_;
};

class RedisShard {
 public:
  RedisShard(const std::string& prefix, std::size_t number, std::size_t count);

  const RedisKeys& keys() const { return keys_; }
  std::uint16_t slot() const { return cluster_slot(keys_.changes()); }
  bool has(const std::string& entry_id) const { return of(entry_id, count_) == number_; }
  static std::size_t of(const std::string& entry_id, std::size_t count);

  // The connection to write with, until it is given back. Null: there is none, and these removals are owed.
  std::unique_ptr<RedisConnection> lend(const std::vector<StoredRemoval>& removals);
  // One that failed is thrown away.
  void give_back(std::unique_ptr<RedisConnection> connection);
  // True if there is none and a new one would be welcome.
  bool wants_writer() const;
  void set_writer(std::unique_ptr<RedisConnection> connection);
  void drop_writer();

  // The server said that the shard is elsewhere.
  void redirect(const RedisRedirection& there);
  // It has forgotten the scripts, which come with a new connection.
  void reconnect();
  bool wants_reconnect() const;
  // For a new connection; from here on neither was said.
  std::optional<RedisRedirection> take_redirection();

  // The removal up to which the follower has told the listener everything.
  std::string seen() const;
  void set_seen(const std::string& removal);
  // False: it was not seen in time.
  bool wait_until_seen(const std::string& removal, std::chrono::milliseconds patience);

  // Nobody knows whether this entry was written: if it shows up in the stream, it was.
  void expect(const std::string& entry_id);
  bool was_expected(const std::string& entry_id);

  // Removals that failed, or of which nobody knows.
  void owe(const StoredRemoval& removal);
  std::vector<StoredRemoval> owed_removals() const;
  // One was done. Those of the last moments are kept: a server that loses its last moments must be told again.
  void remember(const StoredRemoval& removal);
  std::vector<StoredRemoval> recent_removals() const;

 private:
  using Steady = std::chrono::steady_clock;

  const std::size_t number_;
  const std::size_t count_;
  const RedisKeys keys_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<RedisConnection> writer_;
  bool lent_ = false;
  bool dropped_while_lent_ = false;
  std::optional<RedisRedirection> redirection_;
  bool reconnect_ = false;
  std::string seen_ = "0-0";
  std::unordered_set<std::string> expected_;
  std::unordered_map<std::string, StoredRemoval> owed_;  // by all that it says
  std::deque<std::pair<Steady::time_point, StoredRemoval>> recent_;
};

}  // namespace kvasir::cache
