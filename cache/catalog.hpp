// Every live entry, by whatever it is asked for: id, age, expiry, documents, tags; and whose turn it is to go.
#pragma once

#include "cache/record.hpp"

#include <atomic>
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
  // At most `count` entries older than `below`, newest first; `below` becomes the age to go on from, 0 at the end.
  static constexpr std::uint64_t newest_of_all = UINT64_MAX;
  std::vector<EntryPtr> before(std::uint64_t& below, std::size_t count) const;
  std::vector<RecordPtr> matching(const Invalidation& what) const;
  // At most `limit` entries whose time is over.
  std::vector<RecordPtr> expired(Clock::time_point now, std::size_t limit) const;
  // The entry to give up next; null if empty. Of the next few in the order of arrival, round and round, it is the one
  // of the least value: hits x cost / size, on top of the catalog's age when it was last used. The catalog ages by what
  // it gives up, so that what was once popular does not stay for ever (GreedyDual-Size with Frequency: Cherkasova, HPL
  // 98-69R1).
  RecordPtr victim();
  // Of all entries, their vectors included.
  std::size_t bytes() const { return bytes_; }
  // A look-up found it. Any thread, without the lock.
  void mark_used(const Record& record) const;

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
  std::uint64_t hand_ = 0;  // sequence from which the next victim is looked for
  std::size_t bytes_ = 0;
  std::atomic<float> age_{0.0F};
};

}  // namespace kvasir::cache
