// What a reload replaces as a whole. A request holds the snapshot that it began with until it is over, so that it sees
// all of the old configuration or all of the new one.
#pragma once

#include "gateway/key_ring.hpp"
#include "gateway/model_table.hpp"
#include "gateway/settings.hpp"
#include "gateway/upstream_server.hpp"
#include "rag/context_pattern.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace kvasir::gateway {

// Immutable; its keys' levels and its backends live on in the next snapshot where they did not change.
struct Snapshot {
  Settings settings;
  KeyRing keys;
  ModelTable models;
  rag::ContextPatterns patterns = {};
  cache::QuestionJudge judge = cache::QuestionJudge();  // by settings.cache.rules
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

// Opens what `settings` need and `before` (null: nothing) does not have. On failure: null and one sentence in `error`.
SnapshotPtr make_snapshot(Settings settings, const UpstreamHooks& hooks, SpendLedger* ledger, const Snapshot* before,
                          std::string& error);

// The snapshot that new requests get. Any thread.
class LiveSnapshot {
 public:
  explicit LiveSnapshot(SnapshotPtr first) : current_(std::move(first)) {}

  SnapshotPtr get() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  void set(SnapshotPtr next) {
    const std::lock_guard lock(mutex_);
    std::erase_if(retired_, [](const auto& old) { return old.expired(); });
    retired_.push_back(std::exchange(current_, std::move(next)));
  }
  // Closes the backends of all snapshots that anybody still holds; before the I/O threads go.
  void close_backends() {
    const std::lock_guard lock(mutex_);
    for (const auto& retired : retired_) {
      if (const auto old = retired.lock()) old->models.close();
    }
    current_->models.close();
  }

 private:
  mutable std::mutex mutex_;
  SnapshotPtr current_;
  std::vector<std::weak_ptr<const Snapshot>> retired_;
};

}  // namespace kvasir::gateway
