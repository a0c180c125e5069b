// Where answers outlive the process. The truth is here; everything in memory is derived from it.
#pragma once

#include "cache/response_cache.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace kvasir::cache {

// An entry as it is written. `vector` belongs to `embedder`; both may be empty.
struct StoredEntry {
  Entry entry;
  std::vector<float> vector;
  std::string embedder;
  std::uint64_t generation = 0;  // ResponseCache::generation() from before it was computed; not written
};

// Removes what `what` selects, of everything written before, and the entries named by id.
struct StoredRemoval {
  Invalidation what;
  std::vector<std::string> ids;
  // Only entries that something took the place of: nothing that is under way is meant.
  bool superseded = false;
};

struct StoreOperation {
  std::variant<StoredEntry, StoredRemoval> what;
};

// What a store that several processes share tells one of them. Called on the store's own threads.
class StoreListener {
 public:
  using Mine = std::function<bool(const std::string& entry_id)>;

  virtual ~StoreListener() = default;

  // False: it was removed while it was computed.
  virtual bool still_wanted(const StoredEntry& stored) const = 0;
  virtual bool knows(const std::string& entry_id) const = 0;
  virtual std::vector<std::string> known_ids(const Mine& mine) const = 0;
  // An entry that is in the store. One that has expired, or stands behind a newer one, is not taken.
  virtual void take(StoredEntry stored) = 0;
  // What was removed from the store, of the entries that `mine` names. `answers_under_way`: those that it means must
  // not be stored any more.
  virtual void drop(const StoredRemoval& removal, const Mine& mine, bool answers_under_way) = 0;
  // Removals may have been missed: no answer that is under way may be stored.
  virtual void distrust_answers_under_way() = 0;
};

// load() and apply() are used by one thread at a time; the rest from any.
class Store {
 public:
  virtual ~Store() = default;

  // Hands over every entry, oldest first, and drops the rows that are damaged. Returns how many were. On failure: a
  // sentence in `error`.
  virtual std::uint64_t load(const std::function<void(StoredEntry)>& each, std::string& error) = 0;
  // All in order, or none. True once a killed process would not lose them any more.
  virtual bool apply(std::span<const StoreOperation* const> operations) = 0;
  // The same where each has a fate of its own: which of them were applied.
  virtual std::vector<bool> apply_each(std::span<const StoreOperation* const> operations) {
    return std::vector<bool>(operations.size(), apply(operations));
  }

  // Shared stores only. From here on the listener hears of every change, first of all that is there; it outlives the
  // store. Such a store ends expired entries by itself, and what one process has no room for is not removed from it.
  virtual bool is_shared() const { return false; }
  virtual void follow(StoreListener& /*listener*/) {}
  // False while memory may not be served because changes by others may have been missed for too long.
  virtual bool may_serve() const { return true; }
  virtual std::optional<SharedStoreStats> shared_stats() const { return std::nullopt; }
};

// Keeps nothing.
std::unique_ptr<Store> make_forgetful_store();

}  // namespace kvasir::cache
