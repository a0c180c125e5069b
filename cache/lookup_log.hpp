// The last look-ups, so that people can see why each ended as it did: a ring in memory, never on disk.
//
// Comes in: keys and decisions, from any thread. Goes out: copies for who reads them. An answer that was removed is not
// kept alive by it.
#pragma once

#include "cache/response_cache.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

// An entry that lay near a question, whether it answered or not.
struct NearEntry {
  std::weak_ptr<const Entry> entry;
  float similarity = 0.0F;
  std::string_view objection = {};  // "expired", "max_tokens" …, whatever the policy; empty: none
  // The guard that refuses it, or empty: none does. Unset: not compared yet.
  std::optional<std::string_view> guard = {};
};

enum class LookupOutcome : std::uint8_t { miss, exact, semantic };

struct Lookup {
  std::uint64_t number = 0;  // counts from 1
  Clock::time_point time = {};
  std::string tenant = {};
  std::string model = {};
  std::string question = {};
  bool whole_question = false;  // false: it was cut, or not kept at all
  LookupOutcome outcome = LookupOutcome::miss;
  std::string_view reason = {};
  std::optional<float> similarity = {};  // as Decision's
  SemanticPolicy policy = {};            // that was in force
  std::string entry_id = {};             // of the answer served
  std::vector<NearEntry> nearest = {};   // most similar first; empty if the semantic tier was not asked
};

// Thread safe. A writer never waits for a reader: a look-up whose place is being read at that moment is not recorded,
// but counted.
class LookupLog {
 public:
  static constexpr std::size_t default_capacity = 1000;  // look-ups
  static constexpr std::size_t longest_question = 4096;  // bytes; what is longer is cut
  static constexpr std::size_t entries_noted = 5;        // nearest entries of a look-up

  // `questions`: whether their texts are kept.
  explicit LookupLog(bool questions = true, std::size_t capacity = default_capacity)
      : questions_(questions), slots_(capacity) {}

  // `policy`: in force for this look-up.
  void add(const CacheKey& key, const Decision& decision, LookupOutcome outcome, const SemanticPolicy& policy,
           Clock::time_point now, std::vector<NearEntry> nearest);

  std::size_t capacity() const { return slots_.size(); }
  bool keeps_questions() const { return questions_; }
  // Since the start.
  std::uint64_t total() const { return next_.load(std::memory_order_relaxed) - 1; }
  std::map<std::string_view, std::uint64_t> reasons_of_misses() const;
  // Newest first, at most `limit`.
  std::vector<Lookup> newest(std::size_t limit) const;
  // Keeps what its guards were found to say, so that the next reader need not compare again.
  void remember_guards(const Lookup& lookup) const;
  // The questions of look-ups that `what` names by tenant, by model or all together.
  void forget_questions(const Invalidation& what);

 private:
  struct Slot {
    std::mutex mutex;
    Lookup lookup;
  };
  Slot& slot_of(std::uint64_t number) const { return slots_[number % slots_.size()]; }

  bool questions_;
  mutable std::vector<Slot> slots_;
  std::atomic<std::uint64_t> next_{1};
  mutable std::mutex reasons_mutex_;
  std::map<std::string_view, std::uint64_t> reasons_;
};

}  // namespace kvasir::cache
