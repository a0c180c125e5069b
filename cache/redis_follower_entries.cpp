// How a follower brings entries from the server to memory.
#include "cache/entry_codec.hpp"
#include "cache/redis_follower.hpp"
#include "cache/stored_bytes.hpp"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

namespace kvasir::cache {
namespace {

constexpr std::size_t entries_at_once = 256;

// From [body, vector, embedder, checksum]; nothing if it is damaged.
std::optional<StoredEntry> entry_from(const RedisReply& fields, const std::string& id) {
  if (fields.is_error("WRONGTYPE")) return std::nullopt;
  const std::string& body = fields.list[0].text;
  const std::string& vector = fields.list[1].text;
  const std::string& embedder = fields.list[2].text;
  if (std::to_string(checksum(body, embedder, vector)) != fields.list[3].text) return std::nullopt;
  std::optional<Entry> entry = decode(body);
  if (!entry || entry->id != id) return std::nullopt;
  return StoredEntry{std::move(*entry), vector_from(vector), embedder};
}

bool is_gone(const RedisReply& fields) {
  return fields.is_list() && std::ranges::none_of(fields.list, [](const RedisReply& field) { return field.is_text(); });
}

}  // namespace

bool RedisFollower::take(const std::vector<std::string>& ids) {
  std::vector<std::string> unknown;
  std::ranges::copy_if(ids, std::back_inserter(unknown),
                       [this](const std::string& id) { return !shared_->listener->knows(id); });
  std::vector<StoredEntry> entries;
  if (!fetch(unknown, entries)) return false;
  for (StoredEntry& stored : entries) shared_->listener->take(std::move(stored));
  shared_->from_others.fetch_add(entries.size(), std::memory_order_relaxed);
  return true;
}

bool RedisFollower::fetch(const std::vector<std::string>& ids, std::vector<StoredEntry>& into) {
  for (std::size_t first = 0; first < ids.size(); first += entries_at_once) {
    const auto some = std::span(ids).subspan(first, std::min(entries_at_once, ids.size() - first));
    RedisCommands commands = link_->commands();
    for (const std::string& id : some) {
      const std::string key = shard_->keys().entry(id);
      commands.add({"HMGET", key, "body", "vector", "embedder", "checksum"});
    }
    const std::vector<RedisReply> replies = exchange(commands);
    if (stopping_ || replies.size() != some.size()) return false;
    std::vector<std::string> damaged;
    for (std::size_t i = 0; i < some.size(); ++i) {
      if (is_gone(replies[i])) continue;
      if (!replies[i].is_error("WRONGTYPE") && (!is_good(replies[i]) || replies[i].list.size() != 4)) return false;
      if (std::optional<StoredEntry> stored = entry_from(replies[i], some[i])) {
        into.push_back(std::move(*stored));
      } else {
        damaged.push_back(some[i]);
      }
    }
    if (!drop_damaged(damaged)) return false;
  }
  return true;
}

bool RedisFollower::drop_damaged(const std::vector<std::string>& ids) {
  if (ids.empty()) return true;
  shared_->damaged.fetch_add(ids.size(), std::memory_order_relaxed);
  const std::string entries = shard_->keys().entries();
  RedisCommands commands = link_->commands();
  for (const std::string& id : ids) {
    const std::string key = shard_->keys().entry(id);
    commands.add({"DEL", key});
    commands.add({"ZREM", entries, id});
  }
  const std::vector<RedisReply> replies = exchange(commands);
  return !replies.empty() && std::ranges::all_of(replies, [this](const RedisReply& reply) { return is_good(reply); });
}

}  // namespace kvasir::cache
