#include "cache/semantic_tier.hpp"

#include "cache/guards.hpp"

namespace kvasir::cache {
namespace {

// Neighbours that are looked at before giving up: expired ones and those that a guard refuses stand in front of others.
constexpr std::size_t candidates_considered = 16;

}  // namespace

SemanticTier::Found SemanticTier::find(const Admission& request, std::span<const float> vector) const {
  return choose(request, index_.nearest(request.key.partition, vector, candidates_considered));
}

SemanticTier::Found SemanticTier::choose(const Admission& request, const std::vector<Candidate>& candidates) const {
  Found miss;
  if (candidates.empty()) return miss;
  miss.similarity = candidates.front().similarity;
  miss.reason = "below_threshold";
  const SemanticPolicy& policy = request.limits.policy ? *request.limits.policy : policy_;
  std::optional<GuardedQuestion> asked;
  for (const Candidate& candidate : candidates) {
    if (candidate.similarity < policy.threshold) break;
    const Entry& entry = candidate.record->entry;
    std::string_view reason = objection(*candidate.record, request);
    if (reason.empty() && policy.guards) {
      if (!asked) asked.emplace(request.key.question);
      reason = guard_objection(*asked, GuardedQuestion(entry.key.question), candidate.similarity);
    }
    if (reason.empty()) return {candidate.record, candidate.similarity, "hit"};
    if (miss.reason == "below_threshold") miss.reason = reason;
  }
  return miss;
}

}  // namespace kvasir::cache
