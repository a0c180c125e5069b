#include "cache/lookup_log.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::cache {

void LookupLog::add(const CacheKey& key, const Decision& decision, LookupOutcome outcome, const SemanticPolicy& policy,
                    Clock::time_point now, std::vector<NearEntry> nearest) {
  if (outcome == LookupOutcome::miss) {
    const std::lock_guard lock(reasons_mutex_);
    ++reasons_[decision.reason];
  }
  const std::uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
  Slot& slot = slot_of(number);
  const std::unique_lock lock(slot.mutex, std::try_to_lock);
  // A writer that was overtaken by a whole round must not put the older look-up over the newer.
  if (!lock.owns_lock() || slot.lookup.number > number) return;
  Lookup& lookup = slot.lookup;
  // Assigned in place: a full ring allocates nothing for texts of the usual length.
  lookup.number = number;
  lookup.time = now;
  lookup.tenant = key.tenant;
  lookup.model = key.model;
  lookup.question.assign(key.question, 0, questions_ ? longest_question : 0);
  lookup.whole_question = questions_ && key.question.size() <= longest_question;
  lookup.outcome = outcome;
  lookup.reason = decision.reason;
  lookup.similarity = decision.similarity;
  lookup.policy = policy;
  lookup.entry_id.assign(decision.entry ? std::string_view(decision.entry->id) : std::string_view());
  lookup.nearest = std::move(nearest);
}

std::map<std::string_view, std::uint64_t> LookupLog::reasons_of_misses() const {
  const std::lock_guard lock(reasons_mutex_);
  return reasons_;
}

std::vector<Lookup> LookupLog::newest(std::size_t limit) const {
  const std::uint64_t last = total();
  const std::uint64_t known = std::min<std::uint64_t>({last, slots_.size(), limit});
  std::vector<Lookup> lookups;
  lookups.reserve(known);
  for (std::uint64_t number = last; number > last - known; --number) {
    Slot& slot = slot_of(number);
    const std::lock_guard lock(slot.mutex);
    if (slot.lookup.number == number) lookups.push_back(slot.lookup);
  }
  return lookups;
}

void LookupLog::remember_guards(const Lookup& lookup) const {
  Slot& slot = slot_of(lookup.number);
  const std::lock_guard lock(slot.mutex);
  if (slot.lookup.number != lookup.number) return;
  for (std::size_t i = 0; i < lookup.nearest.size(); ++i) slot.lookup.nearest[i].guard = lookup.nearest[i].guard;
}

void LookupLog::forget_questions(const Invalidation& what) {
  if (what.names() && !what.all) return;
  for (Slot& slot : slots_) {
    const std::lock_guard lock(slot.mutex);
    Lookup& lookup = slot.lookup;
    if (!what.tenant.empty() && lookup.tenant != what.tenant) continue;
    if (!what.model.empty() && lookup.model != what.model) continue;
    lookup.question = std::string();
    lookup.whole_question = false;
  }
}

}  // namespace kvasir::cache
