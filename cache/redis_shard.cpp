#include "cache/redis_shard.hpp"

#include "cache/entry_id.hpp"

#include <array>
#include <utility>

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <openssl/evp.h>
#include <xxhash.h>

namespace kvasir::cache {
namespace {

constexpr std::size_t tokens_kept = 8192;
constexpr std::size_t expected_kept = 8192;
constexpr std::size_t removals_kept = 1024;
constexpr std::chrono::seconds removals_kept_for{10};

// How EVALSHA names a script.
std::string sha1(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

// What stands in the braces of a shard's keys. Of several shards each has the same share of the slots, so that the
// nodes of a cluster have the same number of shards.
std::string tag_of(std::size_t number, std::size_t count) {
  if (count == 1) return "all";
  constexpr std::size_t slots = 16384;
  std::string tag;
  for (int attempt = 0; tag.empty() || cluster_slot(tag) * count / slots != number; ++attempt) {
    tag = fmt::format("{}.{}", number, attempt);
  }
  return tag;
}

// Equal for equal removals.
std::string all_of(const StoredRemoval& removal) {
  std::string text;
  for (const std::string& field : fields_of(removal, "", "")) text += fmt::format("{}:{}", field.size(), field);
  return text;
}

}  // namespace

RedisShared::RedisShared(const RedisSettings& given, std::size_t shards, CacheLog log)
    : settings(given),
      origin(random_entry_id().substr(4, 16)),
      insert_sha(sha1(insert_script)),
      remove_sha(sha1(remove_script)),
      presence(shards, settings.serve_disconnected, std::move(log)) {}

std::string RedisShared::new_token() {
  return fmt::format("{}-{}", origin, next_token_.fetch_add(1, std::memory_order_relaxed));
}

bool RedisShared::is_first_sight(const std::string& token) {
  const std::lock_guard lock(mutex_);
  if (!tokens_.insert(token).second) return false;
  token_order_.push_back(token);
  if (token_order_.size() > tokens_kept) {
    tokens_.erase(token_order_.front());
    token_order_.pop_front();
  }
  return true;
}

RedisShard::RedisShard(const std::string& prefix, std::size_t number, std::size_t count)
    : number_(number), count_(count), keys_(prefix, tag_of(number, count)) {}

std::size_t RedisShard::of(const std::string& entry_id, std::size_t count) {
  return XXH3_64bits(entry_id.data(), entry_id.size()) % count;
}

std::unique_ptr<RedisConnection> RedisShard::lend(const std::vector<StoredRemoval>& removals) {
  const std::lock_guard lock(mutex_);
  if (!writer_) {
    for (const StoredRemoval& removal : removals) owed_.emplace(all_of(removal), removal);
  }
  lent_ = writer_ != nullptr;
  return std::move(writer_);
}

void RedisShard::give_back(std::unique_ptr<RedisConnection> connection) {
  const std::lock_guard lock(mutex_);
  lent_ = false;
  if (!std::exchange(dropped_while_lent_, false) && !reconnect_ && !redirection_ && connection->good()) {
    writer_ = std::move(connection);
  }
}

bool RedisShard::wants_writer() const {
  const std::lock_guard lock(mutex_);
  return !writer_ && !lent_;
}

void RedisShard::set_writer(std::unique_ptr<RedisConnection> connection) {
  const std::lock_guard lock(mutex_);
  writer_ = std::move(connection);
}

void RedisShard::drop_writer() {
  const std::lock_guard lock(mutex_);
  writer_.reset();
  dropped_while_lent_ = lent_;
}

void RedisShard::redirect(const RedisRedirection& there) {
  const std::lock_guard lock(mutex_);
  redirection_ = there;
}

void RedisShard::reconnect() {
  const std::lock_guard lock(mutex_);
  reconnect_ = true;
}

std::optional<RedisRedirection> RedisShard::take_redirection() {
  const std::lock_guard lock(mutex_);
  reconnect_ = false;
  return std::exchange(redirection_, std::nullopt);
}

bool RedisShard::wants_reconnect() const {
  const std::lock_guard lock(mutex_);
  return reconnect_ || redirection_;
}

std::string RedisShard::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

void RedisShard::set_seen(const std::string& removal) {
  {
    const std::lock_guard lock(mutex_);
    seen_ = removal;
  }
  changed_.notify_all();
}

bool RedisShard::wait_until_seen(const std::string& removal, std::chrono::milliseconds patience) {
  const std::optional<StreamId> wanted = StreamId::parse(removal);
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return StreamId::parse(seen_) >= wanted; });
}

void RedisShard::expect(const std::string& entry_id) {
  const std::lock_guard lock(mutex_);
  if (expected_.size() < expected_kept) expected_.insert(entry_id);
}

bool RedisShard::was_expected(const std::string& entry_id) {
  const std::lock_guard lock(mutex_);
  return expected_.erase(entry_id) > 0;
}

void RedisShard::owe(const StoredRemoval& removal) {
  const std::lock_guard lock(mutex_);
  owed_.emplace(all_of(removal), removal);
}

std::vector<StoredRemoval> RedisShard::owed_removals() const {
  const std::lock_guard lock(mutex_);
  std::vector<StoredRemoval> removals;
  for (const auto& [text, removal] : owed_) removals.push_back(removal);
  return removals;
}

void RedisShard::remember(const StoredRemoval& removal) {
  const std::lock_guard lock(mutex_);
  owed_.erase(all_of(removal));
  recent_.emplace_back(Steady::now(), removal);
  if (recent_.size() > removals_kept) recent_.pop_front();
}

std::vector<StoredRemoval> RedisShard::recent_removals() const {
  const std::lock_guard lock(mutex_);
  std::vector<StoredRemoval> removals;
  const Steady::time_point oldest = Steady::now() - removals_kept_for;
  for (const auto& [when, removal] : recent_) {
    if (when >= oldest) removals.push_back(removal);
  }
  return removals;
}

}  // namespace kvasir::cache
