// The semantic tier: in each partition, the entries whose questions lie nearest.
#pragma once

#include "cache/lookup_log.hpp"
#include "cache/partition_index.hpp"
#include "cache/record.hpp"

#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::cache {

// Look-ups run side by side. insert() and remove() are called by one thread at a time.
class SemanticTier {
 public:
  struct Found {
    RecordPtr record;                 // null: none may answer
    std::optional<float> similarity;  // of the entry found, else of the nearest one
    std::string_view reason = "empty";
    std::vector<NearEntry> nearest = {};  // for the log
  };

  // `dimension` 0: there are no vectors.
  SemanticTier(int dimension, SemanticPolicy policy) : index_(dimension), policy_(policy) {}

  // `vector`: unit vector, `dimension` floats.
  Found find(const Admission& request, std::span<const float> vector) const;
  void insert(RecordPtr record, std::span<const float> vector) { index_.insert(std::move(record), vector); }
  // Does nothing if the record has no vector here.
  void remove(Record& record) { index_.remove(record); }

  PartitionIndex& index() { return index_; }
  const PartitionIndex& index() const { return index_; }

  // That of the request, else the cache's.
  const SemanticPolicy& policy_of(const LookupLimits& limits) const { return limits.policy ? *limits.policy : policy_; }

 private:
  using Candidate = PartitionIndex::Candidate;

  Found choose(const Admission& request, const std::vector<Candidate>& candidates) const;

  PartitionIndex index_;
  SemanticPolicy policy_;
};

}  // namespace kvasir::cache
