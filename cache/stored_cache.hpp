// The response cache over any store: tiers in memory for look-ups, a thread that writes, and the rules between them.
//
// What memory serves, the store has: an entry enters the tiers after its commit. What was removed never comes back: an
// invalidation is logged, leaves the tiers and is queued for the store under one lock, and every answer that was under
// way meanwhile is held against the log before it is written and again before it is served. Where several processes
// share the store, what the others do arrives through StoreListener and is treated alike.
#pragma once

#include "cache/catalog.hpp"
#include "cache/exact_tier.hpp"
#include "cache/index_snapshot.hpp"
#include "cache/invalidation.hpp"
#include "cache/lookup_log.hpp"
#include "cache/response_cache.hpp"
#include "cache/semantic_tier.hpp"
#include "cache/store.hpp"
#include "cache/store_writer.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

namespace kvasir::cache {

class StoredCache final : public ResponseCache, private StoreListener {
 public:
  using Now = std::function<Clock::time_point()>;

  // Loads what is alive in `store`. `now` is asked from any thread. On failure: null and what is wrong in `error`.
  static std::unique_ptr<StoredCache> open(const CacheSettings& settings, const std::string& embedder, int dimension,
                                           std::unique_ptr<Store> store, Now now, std::string& error);

  Decision find_exact(const CacheKey& key, const LookupLimits& limits) override;
  Decision find_semantic(const CacheKey& key, std::span<const float> vector, const LookupLimits& limits) override;
  std::string new_entry_id() override;
  void store(std::string id, CacheKey key, Answer answer, std::vector<float> vector, std::chrono::seconds ttl,
             std::vector<std::string> tags, std::uint64_t generation, std::function<void(bool)> done) override;
  std::uint64_t generation() const override { return log_.generation(); }
  std::uint64_t invalidate(const Invalidation& what) override;
  bool erase(const std::string& entry_id) override;
  EntryPtr entry(const std::string& entry_id) const override;
  std::vector<EntryPtr> entries(std::size_t offset, std::size_t limit) const override;
  EntryPage find_entries(const EntryFilter& filter, std::size_t offset, std::size_t limit) const override;
  const LookupLog& lookups() const override { return lookups_; }
  CacheStats stats() const override;

  // Removes some of what has expired; true: there is more. The store's thread calls this about once a second.
  bool sweep();

 private:
  struct Counters {
    std::atomic<std::uint64_t> exact_hits{0};
    std::atomic<std::uint64_t> semantic_hits{0};
    std::atomic<std::uint64_t> misses{0};
    std::atomic<std::uint64_t> stored{0};
    std::atomic<std::uint64_t> store_failures{0};
    std::atomic<std::uint64_t> expired{0};
    std::atomic<std::uint64_t> evicted{0};
    std::atomic<std::uint64_t> invalidated{0};
    std::atomic<std::uint64_t> corrupt{0};
  };

  StoredCache(const CacheSettings& settings, std::string embedder, int dimension, Now now);
  bool load(std::unique_ptr<Store> store, std::string& error);

  // Counts it and logs it.
  Decision hit(LookupOutcome tier, const CacheKey& key, const LookupLimits& limits, const RecordPtr& record,
               std::optional<float> similarity, std::vector<NearEntry> nearest = {});
  Decision miss(const CacheKey& key, const LookupLimits& limits, Decision decision,
                std::vector<NearEntry> nearest = {});

  bool semantic_serves(const CacheKey& key) const { return settings_.semantic && dimension_ > 0 && key.semantic; }
  bool may_be_kept(const CacheKey& key, const Answer& answer, std::chrono::seconds ttl) const;
  bool has_vector(const StoredEntry& stored) const;
  bool still_wanted(const Entry& entry, std::uint64_t generation) const;
  void finish_store(bool stored, StoredEntry entry, std::uint64_t generation, const std::function<void(bool)>& done);
  bool may_serve() const { return shared_ == nullptr || shared_->may_serve(); }

  bool still_wanted(const StoredEntry& stored) const override { return still_wanted(stored.entry, stored.generation); }
  bool knows(const std::string& entry_id) const override;
  std::vector<std::string> known_ids(const Mine& mine) const override;
  void take(StoredEntry stored) override;
  void drop(const StoredRemoval& removal, const Mine& mine, bool answers_under_way) override;
  void distrust_answers_under_way() override;

  // The caller holds mutex_ for all of these. insert() returns what the store is to forget.
  std::vector<std::string> insert(StoredEntry stored);
  bool stands_behind(const Entry& entry) const;
  void detach(const RecordPtr& record);
  void evict(std::vector<std::string>& removed_ids);
  void forget(std::vector<std::string> ids);

  std::uint64_t remove_and_wait(Removal removal);

  CacheSettings settings_;
  std::string embedder_;
  int dimension_;
  Now now_;
  Counters counters_;
  LookupLog lookups_;

  ExactTier exact_;
  SemanticTier semantic_;
  mutable std::shared_mutex mutex_;  // of catalog and log, and of who changes the tiers; look-ups do not take it
  Catalog catalog_;
  RemovalLog log_;
  std::unique_ptr<IndexKeeper> keeper_;
  Store* shared_ = nullptr;              // the writer's, if others share it
  std::unique_ptr<StoreWriter> writer_;  // last: its thread and the store's use everything above
};

}  // namespace kvasir::cache
