#include "cache/semantic_tier.hpp"

#include "cache/guards.hpp"

#include <mutex>

namespace kvasir::cache {
namespace {

// Neighbours that are looked at before giving up: expired ones and those that a guard refuses stand in front of others.
constexpr std::size_t candidates_considered = 16;

}  // namespace

SemanticTier::Found SemanticTier::find(const Admission& request, std::span<const float> vector) const {
  const std::shared_ptr<Partition> found = partition(request.key.partition);
  if (!found) return {};
  return choose(request, nearest(*found, vector));
}

std::vector<SemanticTier::Candidate> SemanticTier::nearest(const Partition& partition, std::span<const float> vector) {
  std::vector<Candidate> candidates;
  const std::shared_lock lock(partition.mutex);
  for (const Neighbour& neighbour : partition.index.nearest(vector, candidates_considered)) {
    candidates.push_back({partition.records[neighbour.row], neighbour.similarity});
  }
  return candidates;
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

void SemanticTier::insert(RecordPtr record, std::span<const float> vector) {
  std::shared_ptr<Partition> home;
  {
    const std::unique_lock lock(mutex_);
    std::shared_ptr<Partition>& slot = partitions_[record->entry.key.partition];
    if (!slot) slot = std::make_shared<Partition>(dimension_);
    home = slot;
    ++vectors_;
  }
  const std::unique_lock lock(home->mutex);
  record->row = home->index.add(vector);
  home->records.push_back(std::move(record));
}

void SemanticTier::remove(Record& record) {
  const std::shared_ptr<Partition> home = partition(record.entry.key.partition);
  if (!home) return;
  bool now_empty = false;
  {
    const std::unique_lock lock(home->mutex);
    if (!record.row) return;
    const std::size_t row = *record.row;
    home->index.remove(row);
    record.row.reset();
    // May free the last reference but the caller's.
    if (row + 1 != home->records.size()) {
      home->records[row] = std::move(home->records.back());
      home->records[row]->row = row;
    }
    home->records.pop_back();
    now_empty = home->records.empty();
  }
  const std::unique_lock lock(mutex_);
  --vectors_;
  if (now_empty) partitions_.erase(record.entry.key.partition);
}

std::shared_ptr<SemanticTier::Partition> SemanticTier::partition(const rag::ContentId& id) const {
  const std::shared_lock lock(mutex_);
  const auto found = partitions_.find(id);
  return found == partitions_.end() ? nullptr : found->second;
}

std::size_t SemanticTier::partitions() const {
  const std::shared_lock lock(mutex_);
  return partitions_.size();
}

std::size_t SemanticTier::vectors() const {
  const std::shared_lock lock(mutex_);
  return vectors_;
}

}  // namespace kvasir::cache
