// Redis Cluster: which node has a key, and where an error sends one instead (Redis Cluster specification).
#pragma once

#include "cache/redis_reply.hpp"
#include "cache/redis_settings.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace kvasir::cache {

// 0 … 16383: CRC16 of the key, or of what stands between its first braces.
std::uint16_t cluster_slot(std::string_view key);

// The master of `slot` in a reply to CLUSTER SLOTS; nothing if nobody serves it. A node without an address of its own
// is where the question was asked.
std::optional<RedisNode> master_of(std::uint16_t slot, const RedisReply& slots, const RedisNode& asked);

struct RedisRedirection {
  RedisNode node;
  bool asking = false;  // for this once: the slot is still on its way
};
// Where "MOVED 3999 127.0.0.1:6381" or "ASK 3999 127.0.0.1:6381" leads; nothing if the error is neither.
std::optional<RedisRedirection> redirection(const RedisReply& error, const RedisNode& asked);

}  // namespace kvasir::cache
