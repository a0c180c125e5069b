// Every live entry, by whatever it is asked for: id, age, expiry, documents, tags; and whose turn it is to go.
#pragma once

#include "cache/record.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace kvasir::cache {

// Not thread safe; the cache guards it with one lock, which look-ups do not take.
class Catalog {
 public:
  void insert(const RecordPtr& record);
  void remove(const RecordPtr& record);

  std::size_t size() const { return by_id_.size(); }
  RecordPtr find(const std::string& id) const;
  // Newest first.
  std::vector<EntryPtr> newest(std::size_t offset, std::size_t limit) const;
  std::vector<RecordPtr> matching(const Invalidation& what) const;
  // At most `limit` entries whose time is over.
  std::vector<RecordPtr> expired(Clock::time_point now, std::size_t limit) const;
  // The entry to give up next: the oldest one that was not used since the hand last passed (CLOCK, Corbató 1968).
  // Null if empty.
  RecordPtr victim();

 private:
  using ByName = std::unordered_map<std::string, std::unordered_set<RecordPtr>>;

  static void link(ByName& index, const std::vector<std::string>& names, const RecordPtr& record);
  static void unlink(ByName& index, const std::vector<std::string>& names, const RecordPtr& record);
  void collect(const ByName& index, const std::vector<std::string>& names, const Invalidation& what,
               std::unordered_set<RecordPtr>& into) const;

  std::unordered_map<std::string, RecordPtr> by_id_;
  std::map<std::uint64_t, RecordPtr> by_sequence_;
  std::set<std::pair<Clock::time_point, RecordPtr>> by_expiry_;
  ByName by_document_;
  ByName by_tag_;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t hand_ = 0;  // sequence at which the eviction's clock hand stands
};

}  // namespace kvasir::cache
