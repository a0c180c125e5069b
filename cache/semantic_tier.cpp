#include "cache/semantic_tier.hpp"

#include "cache/guards.hpp"

#include <utility>

namespace kvasir::cache {
namespace {

// Neighbours that are looked at before giving up: expired ones and those that a guard refuses stand in front of others.
constexpr std::size_t candidates_considered = 16;

// What comes later takes the last place, so that the one that answers is always among them.
void note(std::vector<NearEntry>& noted, NearEntry near) {
  if (noted.size() == LookupLog::entries_noted) noted.pop_back();
  noted.push_back(std::move(near));
}

}  // namespace

SemanticTier::Found SemanticTier::find(const Admission& request, std::span<const float> vector) const {
  return choose(request, index_.nearest(request.key.partition, vector, candidates_considered));
}

SemanticTier::Found SemanticTier::choose(const Admission& request, const std::vector<Candidate>& candidates) const {
  Found found;
  if (candidates.empty()) return found;
  found.similarity = candidates.front().similarity;
  found.reason = "below_threshold";
  found.nearest.reserve(LookupLog::entries_noted);
  const SemanticPolicy& policy = policy_of(request.limits);
  std::optional<GuardedQuestion> asked;
  for (const Candidate& candidate : candidates) {
    const bool judged = !found.record && candidate.similarity >= policy.threshold;
    if (!judged && found.nearest.size() == LookupLog::entries_noted) break;
    NearEntry near{entry_of(candidate.record), candidate.similarity, objection(*candidate.record, request), {}};
    std::string_view reason = near.objection;
    if (judged && reason.empty() && policy.guards) {
      if (!asked) asked.emplace(request.key.question);
      const GuardedQuestion stored(candidate.record->entry.key.question);
      reason = guard_objection(*asked, stored, candidate.similarity);
      near.guard = reason;
    }
    note(found.nearest, std::move(near));
    if (!judged) continue;
    if (reason.empty()) {
      found.record = candidate.record;
      found.similarity = candidate.similarity;
      found.reason = "hit";
    } else if (found.reason == "below_threshold") {
      found.reason = reason;
    }
  }
  return found;
}

}  // namespace kvasir::cache
