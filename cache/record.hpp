// An entry as the tiers hold it: the answer, and what the tiers need to find and to forget it.
#pragma once

#include "cache/response_cache.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace kvasir::cache {

struct Record {
  // `vector_bytes`: of the vector that comes along.
  explicit Record(Entry stored, std::size_t vector_bytes = 0);

  // Some choice ended by a limit. Kept here so that a look-up need not walk to the choices.
  const bool cut;
  // What an answer is worth keeping: see Catalog. Written by look-ups.
  mutable std::atomic<std::uint8_t> hits{0};
  mutable std::atomic<float> age{0.0F};  // the catalog's when it was last used
  // Set before the record leaves the tiers: a look-up that still holds it must not serve it.
  std::atomic<bool> removed{false};
  const std::size_t bytes;  // about what it takes, its vector included
  const float cost;         // of computing it again
  // Order of arrival. Guarded by the catalog's lock.
  std::uint64_t sequence = 0;
  // Of its vector in the index's arena. Guarded by the partition's lock.
  std::optional<std::uint32_t> slot;
  const Entry entry;
};
using RecordPtr = std::shared_ptr<Record>;

inline EntryPtr entry_of(const RecordPtr& record) {
  return EntryPtr(record, &record->entry);
}

// What a request asks of an entry beyond the question.
struct Admission {
  const CacheKey& key;
  const LookupLimits& limits;
  Clock::time_point now;
};

// Empty: the entry may answer the request. Else the reason: "expired", "max_age", "max_tokens", "logprobs",
// "documents".
std::string_view objection(const Record& record, const Admission& request);

// About what an answer costs, in tokens of a prompt: those that are written cost as much as four that are read.
float cost_of(const Answer& answer);
// About what it takes in memory.
std::size_t bytes_of(const Answer& answer);
std::size_t bytes_of(const Entry& entry);

// False for an answer that must not be served again: cut by something else than the caller's own limit, filtered, a
// tool call, or no answer at all.
bool is_complete(const CacheKey& key, const Answer& answer);

// True if `newer` answers every request that `older` could answer, of those with the same exact key.
bool replaces(const Entry& newer, const Entry& older);

}  // namespace kvasir::cache
