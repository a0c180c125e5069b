// One connection to one Redis server, over TCP or TLS: commands go out together, replies come back in order.
#pragma once

#include "cache/redis_reply.hpp"
#include "cache/redis_settings.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvasir::cache {

// Used by one thread at a time. After the first failure it is good for nothing.
class RedisConnection {
 public:
  // Connects, verifies the certificate, logs in, selects the database. Null on failure, and in `error` what is wrong.
  static std::unique_ptr<RedisConnection> open(const RedisNode& node, const RedisSettings& settings,
                                               std::string& error);
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  bool good() const;
  const std::string& error() const;
  bool timed_out() const;
  const RedisNode& node() const;
  // Instead of settings.timeout.
  void set_timeout(std::chrono::milliseconds timeout);
  // Of a slot that is on its way to this node: see RedisCommands.
  void set_asking(bool asking) { asking_ = asking; }
  RedisCommands commands() const;

  // Sends and waits for all replies. Empty if the connection was lost, or nothing moved for settings.timeout (and for
  // `patience` before the first byte of the replies).
  std::vector<RedisReply> exchange(const RedisCommands& commands, std::chrono::milliseconds patience = {});
  // The halves of exchange(), so that several connections work side by side.
  bool send(const RedisCommands& commands);
  std::vector<RedisReply> receive(const RedisCommands& commands, std::chrono::milliseconds patience = {});

 private:
  struct Wire;
  explicit RedisConnection(std::unique_ptr<Wire> wire);
  bool log_in(const RedisSettings& settings);

  std::unique_ptr<Wire> wire_;
  RedisParser parser_;
  bool asking_ = false;
};

}  // namespace kvasir::cache
