// What is written into a shard's stream of changes, and read from it by every gateway.
#pragma once

#include "cache/redis_reply.hpp"
#include "cache/store.hpp"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::cache {

// An id in a stream, "1526985054069-0": milliseconds of Redis' clock, and a number within.
struct StreamId {
  std::uint64_t milliseconds = 0;
  std::uint64_t number = 0;

  static std::optional<StreamId> parse(std::string_view text);
  std::string text() const;
  auto operator<=>(const StreamId&) const = default;
};

struct RedisChange {
  StreamId id;
  std::string origin;    // the gateway that made it
  std::string inserted;  // the id of a new entry; empty: a removal, or nothing
  std::string token;     // names a removal: one that is in the streams of several shards has the same token in each
  StoredRemoval removed;
};

// The fields of a removal: name, value, name, value … A name may stand several times.
std::vector<std::string> fields_of(const StoredRemoval& removal, const std::string& origin, const std::string& token);
// From an element of XREAD's or XRANGE's reply: [id, [name, value, …]].
std::optional<RedisChange> change_from(const RedisReply& element);

// A removal in pieces that one script call takes: at most `most` names or ids each.
std::vector<StoredRemoval> pieces_of(const StoredRemoval& removal, std::size_t most);
}  // namespace kvasir::cache
