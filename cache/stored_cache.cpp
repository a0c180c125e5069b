#include "cache/stored_cache.hpp"

#include "cache/entry_id.hpp"

#include <algorithm>
#include <future>
#include <mutex>
#include <utility>

namespace kvasir::cache {
namespace {

constexpr std::size_t swept_at_once = 256;  // entries; a look-up that meets a sweep waits for one of them at most
constexpr std::size_t read_at_once = 4096;  // entries, by who lists them; a writer waits for one such round at most
constexpr std::chrono::milliseconds sweep_period{1000};
constexpr std::chrono::seconds index_period{300};  // between two snapshots of the index, if it changed
constexpr std::chrono::seconds longest_ttl{10LL * 365 * 24 * 3600};

constexpr std::size_t largest_answer = std::size_t{256} * 1024;  // bytes

void count(std::atomic<std::uint64_t>& counter, std::uint64_t more = 1) {
  counter.fetch_add(more, std::memory_order_relaxed);
}

bool is_removed(const Record& record) {
  return record.removed.load(std::memory_order_acquire);
}

}  // namespace

StoredCache::StoredCache(const CacheSettings& settings, std::string embedder, int dimension, Now now)
    : settings_(settings),
      embedder_(std::move(embedder)),
      dimension_(dimension),
      now_(std::move(now)),
      lookups_(settings.log_questions),
      semantic_(dimension, {settings.threshold, settings.guards}) {}

std::unique_ptr<StoredCache> StoredCache::open(const CacheSettings& settings, const std::string& embedder,
                                               int dimension, std::unique_ptr<Store> store, Now now,
                                               std::string& error) {
  std::unique_ptr<StoredCache> cache(new StoredCache(settings, embedder, dimension, std::move(now)));
  if (!cache->load(std::move(store), error)) return nullptr;
  return cache;
}

bool StoredCache::load(std::unique_ptr<Store> store, std::string& error) {
  std::unique_lock lock(mutex_);
  const Clock::time_point now = now_();
  std::vector<std::string> dead;
  // Graphs that were saved need not be made.
  semantic_.index().pause();
  const std::uint64_t corrupt = store->load(
      [&](StoredEntry stored) {
        if (stored.entry.expires <= now) {
          dead.push_back(stored.entry.id);
          count(counters_.expired);
        } else {
          std::ranges::move(insert(std::move(stored)), std::back_inserter(dead));
        }
      },
      error);
  if (!error.empty()) return false;
  count(counters_.corrupt, corrupt);
  if (settings_.path != ":memory:" && !settings_.redis && dimension_ > 0) {
    const std::string file = settings_.path + "/index";
    restore_index(file, embedder_, semantic_.index(), [this](const std::string& id) { return catalog_.find(id); });
    keeper_ = std::make_unique<IndexKeeper>(file, embedder_, semantic_.index(), index_period);
  }
  semantic_.index().resume();
  if (store->is_shared()) shared_ = store.get();
  writer_ = std::make_unique<StoreWriter>(
      std::move(store), sweep_period, [this] { return sweep(); }, StoreWriter::Limits{});
  forget(std::move(dead));
  lock.unlock();
  if (shared_ != nullptr) shared_->follow(*this);
  return true;
}

Decision StoredCache::find_exact(const CacheKey& key, const LookupLimits& limits) {
  if (!key.not_cacheable.empty()) return {nullptr, std::nullopt, key.not_cacheable};
  if (!settings_.exact) return {nullptr, std::nullopt, "disabled"};
  ExactTier::Found found;
  found.reason = "store_away";
  if (may_serve()) found = exact_.find({key, limits, now_()});
  if (found.record && !is_removed(*found.record)) {
    return hit(LookupOutcome::exact, key, limits, found.record, std::nullopt);
  }
  const Decision nothing{nullptr, std::nullopt, found.record ? "empty" : found.reason};
  // Where there is a semantic tier it is asked next, and counts the miss.
  return settings_.semantic && dimension_ > 0 ? nothing : miss(key, limits, nothing);
}

Decision StoredCache::find_semantic(const CacheKey& key, std::span<const float> vector, const LookupLimits& limits) {
  if (!key.not_cacheable.empty()) return {nullptr, std::nullopt, key.not_cacheable};
  if (!settings_.semantic || dimension_ == 0) return {nullptr, std::nullopt, "disabled"};
  if (!key.semantic || vector.size() != static_cast<std::size_t>(dimension_)) {
    const std::string_view why = vector.empty() ? "unread" : "disabled";
    return miss(key, limits, {nullptr, std::nullopt, key.semantic ? why : "exact_only"});
  }
  if (!may_serve()) return miss(key, limits, {nullptr, std::nullopt, "store_away"});
  SemanticTier::Found found = semantic_.find({key, limits, now_()}, vector);
  if (found.record && !is_removed(*found.record)) {
    return hit(LookupOutcome::semantic, key, limits, found.record, found.similarity, std::move(found.nearest));
  }
  return miss(key, limits, {nullptr, found.similarity, found.record ? "empty" : found.reason},
              std::move(found.nearest));
}

Decision StoredCache::hit(LookupOutcome tier, const CacheKey& key, const LookupLimits& limits, const RecordPtr& record,
                          std::optional<float> similarity, std::vector<NearEntry> nearest) {
  count(tier == LookupOutcome::exact ? counters_.exact_hits : counters_.semantic_hits);
  catalog_.mark_used(*record);
  Decision decision{entry_of(record), similarity, "hit"};
  lookups_.add(key, decision, tier, semantic_.policy_of(limits), now_(), std::move(nearest));
  return decision;
}

Decision StoredCache::miss(const CacheKey& key, const LookupLimits& limits, Decision decision,
                           std::vector<NearEntry> nearest) {
  count(counters_.misses);
  lookups_.add(key, decision, LookupOutcome::miss, semantic_.policy_of(limits), now_(), std::move(nearest));
  return decision;
}

bool StoredCache::may_be_kept(const CacheKey& key, const Answer& answer, std::chrono::seconds ttl) const {
  return key.judged && key.not_cacheable.empty() && is_complete(key, answer) && ttl.count() > 0 &&
         settings_.max_entries > 0 && bytes_of(answer) <= largest_answer;
}

std::string StoredCache::new_entry_id() {
  return random_entry_id();
}

void StoredCache::store(std::string id, CacheKey key, Answer answer, std::vector<float> vector,
                        std::chrono::seconds ttl, std::vector<std::string> tags, std::uint64_t generation,
                        std::function<void(bool)> done) {
  if (key.longest_ttl) ttl = std::min(ttl, *key.longest_ttl);
  if (!may_be_kept(key, answer, ttl)) {
    writer_->enqueue({{StoredRemoval{}},
                      [](const StoreOperation& /*operation*/) { return false; },
                      [done = std::move(done)](bool /*stored*/, StoreOperation& /*operation*/) {
                        if (done) done(false);
                      }});
    return;
  }
  const Clock::time_point now = now_();
  if (!semantic_serves(key)) vector.clear();
  StoredEntry stored{
      {std::move(id), std::move(key), std::move(answer), std::move(tags), now, now + std::min(ttl, longest_ttl)},
      std::move(vector),
      embedder_,
      generation};
  writer_->enqueue({{std::move(stored)},
                    [this, generation](const StoreOperation& operation) {
                      return still_wanted(std::get<StoredEntry>(operation.what).entry, generation);
                    },
                    [this, generation, done = std::move(done)](bool written, StoreOperation& operation) {
                      finish_store(written, std::move(std::get<StoredEntry>(operation.what)), generation, done);
                    }});
}

bool StoredCache::still_wanted(const Entry& entry, std::uint64_t generation) const {
  const std::shared_lock lock(mutex_);
  return !log_.removed_since(generation, entry);
}

void StoredCache::finish_store(bool stored, StoredEntry entry, std::uint64_t generation,
                               const std::function<void(bool)>& done) {
  bool served = false;
  {
    const std::unique_lock lock(mutex_);
    // If it was removed after it was written, the removal waits in the store's queue and takes the row along.
    const bool removed = log_.removed_since(generation, entry.entry);
    served = stored && !removed;
    if (served) {
      count(counters_.stored);
      // Where others store too, a later answer to the same question may have come first.
      const bool late = shared_ != nullptr && stands_behind(entry.entry);
      forget(late ? std::vector<std::string>{entry.entry.id} : insert(std::move(entry)));
    } else if (!removed) {
      count(counters_.store_failures);
    }
  }
  if (done) done(served);
}

bool StoredCache::has_vector(const StoredEntry& stored) const {
  return dimension_ > 0 && stored.embedder == embedder_ && stored.vector.size() == static_cast<std::size_t>(dimension_);
}

std::vector<std::string> StoredCache::insert(StoredEntry stored) {
  const bool searchable = has_vector(stored);
  const auto record = std::make_shared<Record>(std::move(stored.entry), stored.vector.size() * sizeof(float));
  std::vector<RecordPtr> replaced = exact_.replaced_by(record->entry);
  const RecordPtr same_id = catalog_.find(record->entry.id);
  if (same_id && std::ranges::find(replaced, same_id) == replaced.end()) replaced.push_back(same_id);

  // The new entry is found before the old ones are gone, so that a look-up in between does not miss.
  exact_.insert(record);
  if (searchable) semantic_.insert(record, stored.vector);
  std::vector<std::string> removed_ids;
  for (const RecordPtr& old : replaced) {
    if (old != same_id) removed_ids.push_back(old->entry.id);
    detach(old);
  }
  catalog_.insert(record);
  evict(removed_ids);
  return removed_ids;
}

void StoredCache::detach(const RecordPtr& record) {
  record->removed.store(true, std::memory_order_release);
  exact_.remove(*record);
  semantic_.remove(*record);
  catalog_.remove(record);
}

bool StoredCache::stands_behind(const Entry& entry) const {
  const std::vector<RecordPtr> replaced = exact_.replaced_by(entry);
  return std::ranges::any_of(replaced, [&](const RecordPtr& held) { return held->entry.created > entry.created; });
}

bool StoredCache::knows(const std::string& entry_id) const {
  const std::shared_lock lock(mutex_);
  return catalog_.find(entry_id) != nullptr;
}

std::vector<std::string> StoredCache::known_ids(const Mine& mine) const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> ids;
  for (const EntryPtr& entry : catalog_.newest(0, catalog_.size())) {
    if (mine(entry->id)) ids.push_back(entry->id);
  }
  return ids;
}

void StoredCache::take(StoredEntry stored) {
  const std::unique_lock lock(mutex_);
  if (settings_.max_entries == 0 || stored.entry.expires <= now_()) return;
  if (catalog_.find(stored.entry.id) || stands_behind(stored.entry)) return;
  // Whatever it replaces, the gateway that stored it has removed from the store.
  insert(std::move(stored));
}

void StoredCache::drop(const StoredRemoval& removal, const Mine& mine, bool answers_under_way) {
  const std::unique_lock lock(mutex_);
  std::vector<RecordPtr> records;
  if (selects(removal.what)) {
    records = catalog_.matching(removal.what);
    lookups_.forget_questions(removal.what);
  }
  for (const std::string& id : removal.ids) {
    if (RecordPtr named = catalog_.find(id)) records.push_back(std::move(named));
  }
  for (const RecordPtr& record : records) {
    if (is_removed(*record) || !mine(record->entry.id)) continue;
    detach(record);
    count(counters_.invalidated);
  }
  if (!answers_under_way) return;
  for (const std::string& id : removal.ids) log_.add({id, {}});
  if (selects(removal.what)) log_.add({"", removal.what});
  log_.publish();
}

void StoredCache::distrust_answers_under_way() {
  const std::unique_lock lock(mutex_);
  log_.add({"", {.all = true}});
  log_.publish();
}

void StoredCache::evict(std::vector<std::string>& removed_ids) {
  while (catalog_.size() > settings_.max_entries || catalog_.bytes() > settings_.max_bytes) {
    const RecordPtr victim = catalog_.victim();
    // Others may have room for it.
    if (shared_ == nullptr) removed_ids.push_back(victim->entry.id);
    detach(victim);
    count(counters_.evicted);
  }
}

void StoredCache::forget(std::vector<std::string> ids) {
  if (ids.empty()) return;
  writer_->enqueue({{StoredRemoval{{}, std::move(ids), true}}, nullptr, nullptr});
}

std::uint64_t StoredCache::invalidate(const Invalidation& what) {
  if (shared_ == nullptr || what.current.empty()) return remove_and_wait({"", what});
  // A shared store finds entries by their documents' names alone: all versions go.
  Invalidation named = what;
  for (CurrentDocument& document : named.current) named.documents.push_back(std::move(document.id));
  named.current.clear();
  return remove_and_wait({"", std::move(named)});
}

bool StoredCache::erase(const std::string& entry_id) {
  return !entry_id.empty() && remove_and_wait({entry_id, {}}) > 0;
}

std::uint64_t StoredCache::remove_and_wait(Removal removal) {
  if (removal.entry_id.empty() && selects(removal.what)) lookups_.forget_questions(removal.what);
  std::promise<void> written;
  std::future<void> store_is_done = written.get_future();
  std::uint64_t removed = 0;
  {
    const std::unique_lock lock(mutex_);
    std::vector<RecordPtr> records;
    StoredRemoval operation{removal.what, {}};
    if (removal.entry_id.empty()) {
      records = catalog_.matching(removal.what);
    } else {
      operation.ids.push_back(removal.entry_id);
      if (RecordPtr named = catalog_.find(removal.entry_id)) records.push_back(std::move(named));
    }
    for (const RecordPtr& record : records) {
      operation.ids.push_back(record->entry.id);
      detach(record);
    }
    removed = records.size();
    log_.add(std::move(removal));
    writer_->enqueue({{std::move(operation)}, nullptr, [&](bool stored, StoreOperation& /*operation*/) {
                        if (!stored) count(counters_.store_failures);
                        written.set_value();
                      }});
    // Only now: whoever reads the new generation queues its answers behind this removal.
    log_.publish();
  }
  store_is_done.wait();
  count(counters_.invalidated, removed);
  return removed;
}

bool StoredCache::sweep() {
  const std::unique_lock lock(mutex_);
  const std::vector<RecordPtr> expired = catalog_.expired(now_(), swept_at_once);
  std::vector<std::string> ids;
  for (const RecordPtr& record : expired) {
    if (shared_ == nullptr) ids.push_back(record->entry.id);
    detach(record);
  }
  forget(std::move(ids));
  count(counters_.expired, expired.size());
  return expired.size() == swept_at_once;
}

EntryPtr StoredCache::entry(const std::string& entry_id) const {
  const std::shared_lock lock(mutex_);
  const RecordPtr record = catalog_.find(entry_id);
  return record ? entry_of(record) : nullptr;
}

std::vector<EntryPtr> StoredCache::entries(std::size_t offset, std::size_t limit) const {
  const std::shared_lock lock(mutex_);
  return catalog_.newest(offset, limit);
}

EntryPage StoredCache::find_entries(const EntryFilter& filter, std::size_t offset, std::size_t limit) const {
  if (filter == EntryFilter{}) {
    const std::shared_lock lock(mutex_);
    return {catalog_.newest(offset, limit), catalog_.size()};
  }
  EntryPage page;
  for (std::uint64_t below = Catalog::newest_of_all; below > 0;) {
    std::vector<EntryPtr> entries;
    {
      const std::shared_lock lock(mutex_);
      entries = catalog_.before(below, read_at_once);
    }
    for (EntryPtr& entry : entries) {
      if (!matches(filter, *entry)) continue;
      if (page.total++ >= offset && page.entries.size() < limit) page.entries.push_back(std::move(entry));
    }
  }
  return page;
}

CacheStats StoredCache::stats() const {
  CacheStats stats;
  {
    const std::shared_lock lock(mutex_);
    stats.entries = catalog_.size();
    stats.bytes = catalog_.bytes();
  }
  stats.partitions = semantic_.index().partitions();
  stats.vectors = semantic_.index().vectors();
  stats.graphs_pending = semantic_.index().pending();
  stats.exact_hits = counters_.exact_hits.load(std::memory_order_relaxed);
  stats.semantic_hits = counters_.semantic_hits.load(std::memory_order_relaxed);
  stats.misses = counters_.misses.load(std::memory_order_relaxed);
  stats.stored = counters_.stored.load(std::memory_order_relaxed);
  stats.store_failures = counters_.store_failures.load(std::memory_order_relaxed);
  stats.expired = counters_.expired.load(std::memory_order_relaxed);
  stats.evicted = counters_.evicted.load(std::memory_order_relaxed);
  stats.invalidated = counters_.invalidated.load(std::memory_order_relaxed);
  stats.corrupt = counters_.corrupt.load(std::memory_order_relaxed);
  stats.removals_owed = writer_->removals_owed();
  if (shared_ != nullptr) {
    stats.shared = shared_->shared_stats();
    stats.corrupt += stats.shared->damaged;
  }
  return stats;
}

}  // namespace kvasir::cache
