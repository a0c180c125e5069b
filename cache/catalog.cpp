#include "cache/catalog.hpp"

#include "cache/invalidation.hpp"

#include <cassert>
#include <iterator>
#include <ranges>

namespace kvasir::cache {

void Catalog::insert(const RecordPtr& record) {
  const Entry& entry = record->entry;
  assert(!by_id_.contains(entry.id));
  record->sequence = next_sequence_++;
  by_id_.emplace(entry.id, record);
  by_sequence_.emplace_hint(by_sequence_.end(), record->sequence, record);
  by_expiry_.emplace(entry.expires, record);
  link(by_document_, entry.key.documents, record);
  link(by_tag_, entry.tags, record);
}

void Catalog::remove(const RecordPtr& record) {
  const Entry& entry = record->entry;
  by_sequence_.erase(record->sequence);
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
  // Two rounds at most: the first clears every mark.
  for (std::size_t steps = 0; steps <= 2 * by_sequence_.size(); ++steps, ++at) {
    if (at == by_sequence_.end()) at = by_sequence_.begin();
    if (!at->second->used.exchange(false, std::memory_order_relaxed)) break;
  }
  if (at == by_sequence_.end()) at = by_sequence_.begin();
  hand_ = at->first + 1;
  return at->second;
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
