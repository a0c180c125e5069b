// Keeps memory up with one shard: reads what is there, then every change, and comes back by itself after a failure.
//
// Owns the shard's second connection, which waits for changes, and opens the one that the writer uses.
#pragma once

#include "cache/redis_shard.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace kvasir::cache {

class RedisFollower {
 public:
  RedisFollower(RedisShared& shared, RedisShard& shard) : shared_(&shared), shard_(&shard) {}
  ~RedisFollower();
  RedisFollower(const RedisFollower&) = delete;
  RedisFollower& operator=(const RedisFollower&) = delete;

  void start();
  // Until memory has what the server has, or the server could not be reached once.
  void wait_for_first_attempt();
  void tell_to_stop();

 private:
  enum class Round { lost, idle, busy };

  void run();
  void pause(std::chrono::milliseconds how_long);
  void attempted();

  // False: `error_` says why.
  bool fail(std::string why);
  bool connect();
  bool connect_to(const RedisNode& node, bool asking);
  bool find_in_cluster(const RedisNode& node);
  bool open_writer();
  bool come_back();
  bool catch_up();
  bool read_to_the_end();
  bool is_position_kept();
  bool remove_again(const std::vector<StoredRemoval>& removals);
  bool reload();
  bool read_ids(std::vector<std::string>& ids);
  void follow();
  Round read_changes(std::chrono::milliseconds wait);
  bool handle(const std::vector<RedisReply>& elements);
  void handle_removal(const RedisChange& change);
  // Those that are still there; damaged ones are dropped.
  bool fetch(const std::vector<std::string>& ids, std::vector<StoredEntry>& into);
  // Hands over to the listener what it does not know yet.
  bool take(const std::vector<std::string>& ids);
  bool drop_damaged(const std::vector<std::string>& ids);

  std::vector<RedisReply> exchange(const RedisCommands& commands, std::chrono::milliseconds patience = {});
  // False for an error; one that leads elsewhere is followed at the next connection.
  bool is_good(const RedisReply& reply);

  RedisShared* shared_;
  RedisShard* shard_;
  std::unique_ptr<RedisConnection> link_;
  bool asking_ = false;
  std::optional<RedisNode> last_node_;
  std::optional<StreamId> position_;  // the last change that was handled
  std::string error_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> attempted_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace kvasir::cache
