// Where answers outlive the process. The truth is here; everything in memory is derived from it.
#pragma once

#include "cache/response_cache.hpp"

#include <cstdint>
#include <functional>
#include <memory>
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
};

// Removes what `what` selects, of everything written before, and the entries named by id.
struct StoredRemoval {
  Invalidation what;
  std::vector<std::string> ids;
};

struct StoreOperation {
  std::variant<StoredEntry, StoredRemoval> what;
};

// Used by one thread at a time.
class Store {
 public:
  virtual ~Store() = default;

  // Hands over every entry, oldest first, and drops the rows that are damaged. Returns how many were. On failure: a
  // sentence in `error`.
  virtual std::uint64_t load(const std::function<void(StoredEntry)>& each, std::string& error) = 0;
  // All in order, or none. True once a killed process would not lose them any more.
  virtual bool apply(std::span<const StoreOperation* const> operations) = 0;
};

// Keeps nothing.
std::unique_ptr<Store> make_forgetful_store();

}  // namespace kvasir::cache
