#include "cache/exact_tier.hpp"

#include <mutex>
#include <ranges>

namespace kvasir::cache {
namespace {

// Answers under one key: for several sets of documents, limits or logprobs.
constexpr std::size_t largest_bucket = 64;

}  // namespace

ExactTier::Found ExactTier::find(const Admission& request) const {
  const Shard& shard = shard_of(request.key.exact);
  const std::shared_lock lock(shard.mutex);
  const auto bucket = shard.buckets.find(request.key.exact);
  Found found;
  if (bucket == shard.buckets.end()) return found;
  for (const RecordPtr& record : bucket->second | std::views::reverse) {
    if (record->entry.key.canonical != request.key.canonical) continue;
    const std::string_view reason = objection(*record, request);
    if (reason.empty()) return {record, "hit"};
    if (found.reason == "empty") found.reason = reason;
  }
  return found;
}

std::vector<RecordPtr> ExactTier::replaced_by(const Entry& newer) const {
  const Shard& shard = shard_of(newer.key.exact);
  const std::shared_lock lock(shard.mutex);
  std::vector<RecordPtr> replaced;
  const auto bucket = shard.buckets.find(newer.key.exact);
  if (bucket == shard.buckets.end()) return replaced;
  for (const RecordPtr& record : bucket->second) {
    if (record->entry.key.canonical == newer.key.canonical && replaces(newer, record->entry))
      replaced.push_back(record);
  }
  // Look-ups walk through a bucket.
  if (replaced.empty() && bucket->second.size() >= largest_bucket) replaced.push_back(bucket->second.front());
  return replaced;
}

void ExactTier::insert(RecordPtr record) {
  Shard& shard = shard_of(record->entry.key.exact);
  const std::unique_lock lock(shard.mutex);
  shard.buckets[record->entry.key.exact].push_back(std::move(record));
}

void ExactTier::remove(const Record& record) {
  Shard& shard = shard_of(record.entry.key.exact);
  const std::unique_lock lock(shard.mutex);
  const auto bucket = shard.buckets.find(record.entry.key.exact);
  if (bucket == shard.buckets.end()) return;
  std::erase_if(bucket->second, [&](const RecordPtr& held) { return held.get() == &record; });
  if (bucket->second.empty()) shard.buckets.erase(bucket);
}

}  // namespace kvasir::cache
