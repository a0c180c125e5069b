#include "cache/redis_scripts.hpp"

#include "cache/entry_codec.hpp"
#include "cache/invalidation.hpp"
#include "cache/redis_change.hpp"
#include "cache/stored_bytes.hpp"

#include <chrono>

#include <fmt/format.h>

namespace kvasir::cache {
namespace {

constexpr const char* stream_length = "16384";  // changes, about: whoever falls behind further reads everything again
constexpr const char* removed_at_once = "1000";

}  // namespace

const char* const insert_script = R"lua(
local entry, entries, names, changes, removed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local seen, id, ends, origin, length = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local last = redis.call('GET', removed) or '0-0'
if last ~= seen then return {0, last} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', entry, 'body', ARGV[6], 'vector', ARGV[7], 'embedder', ARGV[8], 'checksum', ARGV[9],
           'tenant', ARGV[10], 'model', ARGV[11])
redis.call('PEXPIREAT', entry, ARGV[3])
redis.call('ZADD', entries, ARGV[3], id)
redis.call('ZREMRANGEBYSCORE', entries, '-inf', now)
for i = 6, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[3], id)
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  local known = redis.call('ZSCORE', names, KEYS[i])
  if not known or tonumber(known) < ends then redis.call('ZADD', names, ARGV[3], KEYS[i]) end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', names, '-inf', now, 'LIMIT', 0, 4)) do
  redis.call('DEL', name)
  redis.call('ZREM', names, name)
end
redis.call('XADD', changes, 'MAXLEN', '~', length, '*', 'origin', origin, 'insert', id)
return {1, ''}
)lua";

const char* const remove_script = R"lua(
local entries, changes, removed = KEYS[1], KEYS[2], KEYS[3]
local prefix, tenant, model, length = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local name, offset, budget, ids = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local first = name == 1 and offset == 0
-- Redis lets a script go on in full memory once it has written, and a removal must not wait for memory.
redis.call('DEL', prefix)
if first then
  for i = 9, 8 + ids do
    redis.call('DEL', prefix .. ARGV[i])
    redis.call('ZREM', entries, ARGV[i])
  end
end
while name <= #KEYS - 3 and budget > 0 do
  local index = KEYS[3 + name]
  local found = redis.call('ZRANGE', index, offset, offset + budget - 1)
  local kept = 0
  for _, id in ipairs(found) do
    local of = redis.call('HMGET', prefix .. id, 'tenant', 'model')
    if of[1] and ((tenant ~= '' and of[1] ~= tenant) or (model ~= '' and of[2] ~= model)) then
      kept = kept + 1
    else
      redis.call('DEL', prefix .. id)
      redis.call('ZREM', entries, id)
      redis.call('ZREM', index, id)
    end
  end
  if #found < budget then
    name, offset = name + 1, 0
  else
    offset = offset + kept
  end
  budget = budget - #found
end
local finished = name > #KEYS - 3
local announced = ''
if first or finished then
  local fields = {}
  for i = 9 + ids, #ARGV do fields[#fields + 1] = ARGV[i] end
  announced = redis.call('XADD', changes, 'MAXLEN', '~', length, '*', unpack(fields))
  if fields[#fields - 1] == 'superseded' then
    announced = ''
  else
    redis.call('SET', removed, announced)
  end
end
if finished then return {1, announced} end
return {0, announced, tostring(name), tostring(offset)}
)lua";

const char* const position_script = R"lua(
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local id = last[1] and last[1][1] or redis.call('XADD', KEYS[1], '*', 'origin', ARGV[1])
return {id, redis.call('GET', KEYS[2]) or '0-0'}
)lua";

RedisKeys::RedisKeys(const std::string& prefix, const std::string& tag)
    : base_(fmt::format("{}:{{{}}}:", prefix, tag)) {}

std::string RedisKeys::index(std::string_view kind, std::string_view name) const {
  return fmt::format("{}{}:{}", base_, kind, name);
}

std::vector<std::string> insert_arguments(const RedisKeys& keys, const StoredEntry& stored, const std::string& seen,
                                          const std::string& origin) {
  const Entry& entry = stored.entry;
  std::vector<std::string> names{keys.entry(entry.id),
                                 keys.entries(),
                                 keys.names(),
                                 keys.changes(),
                                 keys.removed(),
                                 keys.index("tenant", entry.key.tenant),
                                 keys.index("model", entry.key.model)};
  for (const std::string& document : entry.key.documents) names.push_back(keys.index("document", document));
  for (const std::string& tag : entry.tags) names.push_back(keys.index("tag", tag));
  const auto ends = std::chrono::duration_cast<std::chrono::milliseconds>(entry.expires.time_since_epoch()).count();
  const std::string body = encode(entry);
  const std::string_view vector = bytes_of(stored.vector);

  std::vector<std::string> arguments{std::to_string(names.size())};
  arguments.insert(arguments.end(), names.begin(), names.end());
  const std::vector<std::string> rest{seen,
                                      entry.id,
                                      std::to_string(ends),
                                      origin,
                                      stream_length,
                                      body,
                                      std::string(vector),
                                      stored.embedder,
                                      std::to_string(checksum(body, stored.embedder, vector)),
                                      entry.key.tenant,
                                      entry.key.model};
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  return arguments;
}

std::vector<std::string> remove_arguments(const RedisKeys& keys, const StoredRemoval& piece, const RemovalPlace& from,
                                          const std::string& origin, const std::string& token) {
  const Invalidation& what = piece.what;
  std::vector<std::string> names{keys.entries(), keys.changes(), keys.removed()};
  for (const std::string& document : what.documents) names.push_back(keys.index("document", document));
  for (const std::string& tag : what.tags) names.push_back(keys.index("tag", tag));
  if (what.documents.empty() && what.tags.empty() && selects(what)) {
    // The narrowest index that has all of them.
    const std::string& wide = what.tenant.empty() ? what.model : what.tenant;
    names.push_back(wide.empty() ? keys.entries() : keys.index(what.tenant.empty() ? "model" : "tenant", wide));
  }
  std::vector<std::string> arguments{std::to_string(names.size())};
  arguments.insert(arguments.end(), names.begin(), names.end());
  const std::vector<std::string> rest{
      keys.entry_prefix(), what.tenant, what.model,      stream_length,
      from.index,          from.offset, removed_at_once, std::to_string(piece.ids.size())};
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  arguments.insert(arguments.end(), piece.ids.begin(), piece.ids.end());
  const std::vector<std::string> fields = fields_of(piece, origin, token);
  arguments.insert(arguments.end(), fields.begin(), fields.end());
  return arguments;
}

}  // namespace kvasir::cache
