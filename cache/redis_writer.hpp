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

  void plan(const StoreOperation& operation, std::size_t number);
  void send(std::size_t shard);
  void receive(std::size_t shard);
  void settle(std::size_t shard, Task task, const RedisReply& reply);
  void wait_for_followers();
  void fail(std::size_t shard, const Task& task);

  RedisShared* shared_;
  std::vector<std::unique_ptr<RedisShard>>* shards_;
  std::vector<Lane> lanes_;
  std::vector<bool> applied_;
};

}  // namespace kvasir::cache
