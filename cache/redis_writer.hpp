// Writes the cache's operations to the shards, pipelined: all commands of a round go out before any reply is read.
#pragma once

#include "cache/redis_shard.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kvasir::cache {

// Used by one thread.
class RedisWriter {
 public:
  RedisWriter(RedisShared& shared, std::vector<std::unique_ptr<RedisShard>>& shards);

  // Which of the operations the server has. A removal is done once it is in force here as everywhere: whatever others
  // stored before it is gone from memory too.
  std::vector<bool> write(std::span<const StoreOperation* const> operations);

 private:
  // A part of an operation, for one shard.
  struct Task {
    std::size_t operation;
    const StoredEntry* entry = nullptr;  // null: a removal
    StoredRemoval removal = {};
    RemovalPlace place = {};
    std::string token = {};
    int attempts = 0;
  };
  // What one shard has to do in this round.
  struct Lane {
    std::vector<Task> tasks;
    std::vector<Task> sent = {};
    std::unique_ptr<RedisConnection> connection = nullptr;
    RedisCommands commands = {};
    std::string last_removal = {};
  };

  using Steady = std::chrono::steady_clock;

  void plan(const StoreOperation& operation, std::size_t number);
  // `number`: of the shard.
  void send(std::size_t number);
  void receive(std::size_t number);
  void settle(std::size_t number, Task task, const RedisReply& reply);
  void fail(std::size_t number, const Task& task);
  void wait_for_followers();
  std::chrono::milliseconds patience_left() const;

  RedisShared* shared_;
  std::vector<std::unique_ptr<RedisShard>>* shards_;
  std::vector<Lane> lanes_;
  std::vector<bool> applied_;
  bool stalled_ = false;              // some server has not answered in time
  Steady::time_point patience_ends_;  // with followers
};

}  // namespace kvasir::cache
