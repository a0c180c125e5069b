#include "cache/replay.hpp"

#include "cache/guards.hpp"

#include <optional>

namespace kvasir::cache {

void compare_guards(Lookup& lookup, float floor, const LookupLog& log) {
  if (!lookup.whole_question) return;
  std::optional<GuardedQuestion> asked;
  for (NearEntry& near : lookup.nearest) {
    if (near.similarity < floor) break;
    if (near.guard) continue;
    const EntryPtr entry = near.entry.lock();
    if (!entry) continue;
    if (!asked) asked.emplace(lookup.question);
    near.guard = guard_objection(*asked, GuardedQuestion(entry->key.question), near.similarity);
  }
  if (asked) log.remember_guards(lookup);
}

Replayed replay(const Lookup& lookup, const SemanticPolicy& policy) {
  if (lookup.outcome == LookupOutcome::exact || lookup.nearest.empty()) return {lookup.outcome, lookup.reason};
  std::string_view reason = "below_threshold";
  for (const NearEntry& near : lookup.nearest) {
    if (near.similarity < policy.threshold) break;
    std::string_view objection = near.objection;
    if (objection.empty() && policy.guards) {
      if (!near.guard) return {LookupOutcome::miss, "unknown", nullptr, false};
      objection = *near.guard;
    }
    if (objection.empty()) return {LookupOutcome::semantic, "hit", &near};
    if (reason == "below_threshold") reason = objection;
  }
  return {LookupOutcome::miss, reason};
}

}  // namespace kvasir::cache
