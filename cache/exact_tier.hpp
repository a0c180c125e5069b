// The exact tier: canonical request to entries, in memory.
#pragma once

#include "cache/record.hpp"

#include <array>
#include <shared_mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvasir::cache {

// Thread safe: look-ups of different questions rarely meet in one lock, and none of them allocates.
class ExactTier {
 public:
  struct Found {
    RecordPtr record;                   // null: none may answer
    std::string_view reason = "empty";  // "hit", or why the newest candidate may not
  };

  Found find(const Admission& request) const;
  // Entries that `newer` makes superfluous.
  std::vector<RecordPtr> replaced_by(const Entry& newer) const;
  void insert(RecordPtr record);
  void remove(const Record& record);

 private:
  // Several entries share a key when they were made under different limits or with different logprobs; newest last.
  using Bucket = std::vector<RecordPtr>;
  struct Shard {
    mutable std::shared_mutex mutex;
    std::unordered_map<rag::ContentId, Bucket> buckets;
  };

  const Shard& shard_of(const rag::ContentId& id) const { return shards_[id.bytes[0] % shards_.size()]; }
  Shard& shard_of(const rag::ContentId& id) { return shards_[id.bytes[0] % shards_.size()]; }

  std::array<Shard, 64> shards_;
};

}  // namespace kvasir::cache
