// The changes that must be whole or not at all, as scripts that Redis runs in one piece, and the keys that they touch.
//
// A shard's keys share the tag in braces, so that all of them are in one slot of a cluster:
//   PREFIX:{TAG}:entry:ID        hash: body, vector, embedder, checksum, tenant, model; Redis ends it with PEXPIREAT
//   PREFIX:{TAG}:entries         sorted set: ids by the millisecond of their end
//   PREFIX:{TAG}:document:NAME   the same of those that used a document; likewise tag:, tenant: and model:
//   PREFIX:{TAG}:names           sorted set: those index keys by the end of their last entry, to be cleaned up by
//   PREFIX:{TAG}:changes         stream: insertions and removals, in their order
//   PREFIX:{TAG}:removed         id of the last removal in the stream
// Only entries carry an expiry, so that a server that runs out of memory (maxmemory-policy volatile-…) gives up
// entries, never what finds or removes them.
#pragma once

#include "cache/store.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

class RedisKeys {
 public:
  RedisKeys(const std::string& prefix, const std::string& tag);

  std::string entry(std::string_view id) const { return entry_prefix() + std::string(id); }
  std::string entry_prefix() const { return base_ + "entry:"; }
  std::string index(std::string_view kind, std::string_view name) const;
  std::string entries() const { return base_ + "entries"; }
  std::string names() const { return base_ + "names"; }
  std::string changes() const { return base_ + "changes"; }
  std::string removed() const { return base_ + "removed"; }

 private:
  std::string base_;
};

// Writes one entry and announces it, unless there was a removal that the writer had not seen when it judged the entry.
// Returns [1, ""], or [0, id of the last removal] and nothing was written.
extern const char* const insert_script;
std::vector<std::string> insert_arguments(const RedisKeys& keys, const StoredEntry& stored, const std::string& seen,
                                          const std::string& origin);

// Removes entries by id and by index, `budget` of them at a time, and announces it. Returns [1, id] when it is done, or
// [0, id, next index, next offset]; `id` is the announcement's, empty if no answer under way need be held against it.
extern const char* const remove_script;
struct RemovalPlace {
  std::string index = "1";
  std::string offset = "0";
};
std::vector<std::string> remove_arguments(const RedisKeys& keys, const StoredRemoval& piece, const RemovalPlace& from,
                                          const std::string& origin, const std::string& token);

// Of a stream and the id of its last removal: returns [id of the last change, id of the last removal]. A stream without
// a change gets one that says nothing, so that there is a place from which to follow it.
extern const char* const position_script;

}  // namespace kvasir::cache
