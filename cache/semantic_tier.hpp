// The semantic tier: in each partition, the entries whose questions lie nearest.
#pragma once

#include "cache/record.hpp"
#include "cache/vector_index.hpp"

#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvasir::cache {

// Look-ups run side by side. insert() and remove() are called by one thread at a time.
class SemanticTier {
 public:
  struct Found {
    RecordPtr record;                 // null: none may answer
    std::optional<float> similarity;  // of the entry found, else of the nearest one
    std::string_view reason = "empty";
  };

  SemanticTier(int dimension, SemanticPolicy policy) : dimension_(dimension), policy_(policy) {}

  // `vector`: unit vector, `dimension` floats.
  Found find(const Admission& request, std::span<const float> vector) const;
  void insert(RecordPtr record, std::span<const float> vector);
  // Does nothing if the record has no vector here.
  void remove(Record& record);

  std::size_t partitions() const;
  std::size_t vectors() const;

 private:
  struct Partition {
    explicit Partition(int dimension) : index(dimension) {}
    mutable std::shared_mutex mutex;
    VectorIndex index;
    std::vector<RecordPtr> records;  // by row
  };
  struct Candidate {
    RecordPtr record;
    float similarity;
  };

  std::shared_ptr<Partition> partition(const rag::ContentId& id) const;
  static std::vector<Candidate> nearest(const Partition& partition, std::span<const float> vector);
  Found choose(const Admission& request, const std::vector<Candidate>& candidates) const;

  int dimension_;
  SemanticPolicy policy_;
  mutable std::shared_mutex mutex_;  // of the map; taken before a partition's
  std::unordered_map<rag::ContentId, std::shared_ptr<Partition>> partitions_;
  std::size_t vectors_ = 0;
};

}  // namespace kvasir::cache
