#include "cache/catalog.hpp"

#include "cache/invalidation.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <ranges>

namespace kvasir::cache {
namespace {

constexpr std::size_t kConsidered = 32;  // entries, for each that is given up

float value_of(const Record& record) {
  const auto hits = static_cast<float>(record.hits.load(std::memory_order_relaxed)) + 1;
  return record.age.load(std::memory_order_relaxed) + hits * record.cost / static_cast<float>(record.bytes);
}

}  // namespace

void Catalog::insert(const RecordPtr& record) {
  const Entry& entry = record->entry;
  assert(!by_id_.contains(entry.id));
  record->sequence = next_sequence_++;
  record->age.store(age_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  bytes_ += record->bytes;
  by_id_.emplace(entry.id, record);
  by_sequence_.emplace_hint(by_sequence_.end(), record->sequence, record);
  by_expiry_.emplace(entry.expires, record);
  link(by_document_, entry.key.documents, record);
  link(by_tag_, entry.tags, record);
}

void Catalog::remove(const RecordPtr& record) {
  const Entry& entry = record->entry;
  by_sequence_.erase(record->sequence);
  bytes_ -= record->bytes;
  by_expiry_.erase({entry.expires, record});
  unlink(by_document_, entry.key.documents, record);
  unlink(by_tag_, entry.tags, record);
  by_id_.erase(entry.id);
}

RecordPtr Catalog::find(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::vector<EntryPtr> Catalog::newest(std::size_t offset, std::size_t limit) const {
  std::vector<EntryPtr> entries;
  for (const auto& [sequence, record] : by_sequence_ | std::views::reverse) {
    if (entries.size() == limit) break;
    if (offset > 0) {
      --offset;
    } else {
      entries.push_back(entry_of(record));
    }
  }
  return entries;
}

std::vector<EntryPtr> Catalog::before(std::uint64_t& below, std::size_t count) const {
  std::vector<EntryPtr> entries;
  auto at = by_sequence_.lower_bound(below);
  while (at != by_sequence_.begin() && entries.size() < count) entries.push_back(entry_of((--at)->second));
  below = at == by_sequence_.begin() ? 0 : at->first;
  return entries;
}

std::vector<RecordPtr> Catalog::matching(const Invalidation& what) const {
  std::unordered_set<RecordPtr> found;
  const bool by_name = !what.all && what.names();
  if (by_name) {
    collect(by_document_, what.documents, what, found);
    collect(by_tag_, what.tags, what, found);
    for (const CurrentDocument& current : what.current) collect(by_document_, {current.id}, what, found);
  } else {
    for (const auto& [sequence, record] : by_sequence_) {
      if (matches(what, record->entry)) found.insert(record);
    }
  }
  return {found.begin(), found.end()};
}

std::vector<RecordPtr> Catalog::expired(Clock::time_point now, std::size_t limit) const {
  std::vector<RecordPtr> records;
  for (const auto& [expires, record] : by_expiry_) {
    if (expires > now || records.size() == limit) break;
    records.push_back(record);
  }
  return records;
}

RecordPtr Catalog::victim() {
  if (by_sequence_.empty()) return nullptr;
  auto at = by_sequence_.lower_bound(hand_);
  RecordPtr least;
  float least_value = 0;
  const std::size_t considered = std::min(kConsidered, by_sequence_.size());
  for (std::size_t i = 0; i < considered; ++i, ++at) {
    if (at == by_sequence_.end()) at = by_sequence_.begin();
    // The newest is what room is made for.
    if (considered > 1 && at->second->sequence + 1 == next_sequence_) continue;
    const float value = value_of(*at->second);
    if (least && value >= least_value) continue;
    least = at->second;
    least_value = value;
  }
  // The next round begins where this one ended, but for those that it passed over.
  hand_ = least->sequence + 1;
  age_.store(std::max(age_.load(std::memory_order_relaxed), least_value), std::memory_order_relaxed);
  return least;
}

void Catalog::mark_used(const Record& record) const {
  constexpr std::uint8_t most = 255;
  // Read first: a popular record's cache line stays shared between cores.
  const std::uint8_t hits = record.hits.load(std::memory_order_relaxed);
  if (hits < most) record.hits.store(static_cast<std::uint8_t>(hits + 1), std::memory_order_relaxed);
  const float age = age_.load(std::memory_order_relaxed);
  if (record.age.load(std::memory_order_relaxed) != age) record.age.store(age, std::memory_order_relaxed);
}

void Catalog::link(ByName& index, const std::vector<std::string>& names, const RecordPtr& record) {
  for (const std::string& name : names) index[name].insert(record);
}

void Catalog::unlink(ByName& index, const std::vector<std::string>& names, const RecordPtr& record) {
  for (const std::string& name : names) {
    const auto found = index.find(name);
    if (found == index.end()) continue;
    found->second.erase(record);
    if (found->second.empty()) index.erase(found);
  }
}

void Catalog::collect(const ByName& index, const std::vector<std::string>& names, const Invalidation& what,
                      std::unordered_set<RecordPtr>& into) const {
  for (const std::string& name : names) {
    const auto found = index.find(name);
    if (found == index.end()) continue;
    for (const RecordPtr& record : found->second) {
      if (matches(what, record->entry)) into.insert(record);
    }
  }
}

}  // namespace kvasir::cache
