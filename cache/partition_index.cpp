#include "cache/partition_index.hpp"

#include "cache/inner_product.hpp"

#include <algorithm>
#include <cassert>
#include <new>
#include <utility>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kvasir::cache {
namespace {

// So many removed rows, and a quarter of all, are worth a new graph.
constexpr std::size_t kManyGone = 512;
// Rows that one new graph takes from the tail: the first of a long tail are found again before the last are linked.
constexpr std::size_t kAtOnce = 16384;
// A search asks a graph for more than it wants, since some may be gone.
constexpr std::size_t kSpare = 16;
constexpr std::size_t kRetiredAtOnce = 64;

bool nearer(const Neighbour& a, const Neighbour& b) {
  return a.similarity > b.similarity;
}

}  // namespace

// Slots that were given up while it lasted. Every search holds the era that it began in, and every era the next one: an
// era ends, and its slots are free, when no search of it or of an earlier one is left.
class PartitionIndex::Era {
 public:
  explicit Era(VectorArena& arena) : arena_(arena) {}
  ~Era() {
    arena_.release(retired);
    // Not by recursion: many eras may end at once.
    EraPtr following = std::move(next);
    while (following && following.use_count() == 1) following = std::move(following->next);
  }
  Era(const Era&) = delete;
  Era& operator=(const Era&) = delete;

  std::vector<Slot> retired;
  EraPtr next;

 private:
  VectorArena& arena_;
};

// What a search works on: nothing of it changes.
struct PartitionIndex::View {
  EraPtr era;
  std::shared_ptr<const NeighbourGraph> graph;
  std::vector<Slot> tail;
  std::size_t gone = 0;
};

PartitionIndex::PartitionIndex(int dimension, Limits limits) : arena_(dimension), limits_(limits) {
  for (Shard& shard : shards_) shard.era = std::make_shared<Era>(arena_);
  builder_ = std::thread([this] { work(); });
}

PartitionIndex::~PartitionIndex() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  builder_.join();
}

std::vector<Neighbour> PartitionIndex::scan(std::span<const Slot> slots, std::span<const float> query,
                                            std::size_t count) const {
  const InnerProduct product = inner_product();
  std::vector<Neighbour> best;  // a heap, the least similar on top
  best.reserve(count + 1);
  for (const Slot slot : slots) {
    const float similarity = product(query.data(), arena_.vector(slot), query.size());
    // NaN is near nothing.
    if (!(best.size() < count ? similarity == similarity : similarity > best.front().similarity)) continue;
    best.push_back({slot, similarity});
    std::ranges::push_heap(best, nearer);
    if (best.size() <= count) continue;
    std::ranges::pop_heap(best, nearer);
    best.pop_back();
  }
  std::ranges::sort_heap(best, nearer);
  return best;
}

std::vector<PartitionIndex::Candidate> PartitionIndex::nearest(const rag::ContentId& id, std::span<const float> query,
                                                               std::size_t count) const {
  assert(query.size() == arena_.dimension());
  if (count == 0) return {};
  const Shard& shard = shard_of(id);
  View view;
  {
    const std::shared_lock lock(shard.mutex);
    const auto found = shard.partitions.find(id);
    if (found == shard.partitions.end()) return {};
    const Partition& partition = found->second;
    const std::size_t skipped = partition.tail.size() - std::min(partition.tail.size(), limits_.scanned);
    view = {shard.era,
            partition.graph,
            {partition.tail.begin() + static_cast<std::ptrdiff_t>(skipped), partition.tail.end()},
            partition.gone.size()};
  }
  std::vector<Neighbour> neighbours = scan(view.tail, query, count);
  if (view.graph) {
    const std::vector<Neighbour> linked = view.graph->nearest(query, count + std::min(view.gone, kSpare));
    neighbours.insert(neighbours.end(), linked.begin(), linked.end());
    std::ranges::stable_sort(neighbours, nearer);
  }
  std::vector<Candidate> candidates;
  candidates.reserve(count);
  const std::shared_lock lock(shard.mutex);
  for (const Neighbour& neighbour : neighbours) {
    if (candidates.size() == count) break;
    if (const RecordPtr& record = arena_.record(neighbour.slot)) candidates.push_back({record, neighbour.similarity});
  }
  return candidates;
}

void PartitionIndex::insert(RecordPtr record, std::span<const float> vector) {
  const rag::ContentId id = record->entry.key.partition;
  const Slot slot = arena_.allocate(vector);
  record->slot = slot;
  Shard& shard = shard_of(id);
  bool wants = false;
  {
    const std::unique_lock lock(shard.mutex);
    const auto [home, fresh] = shard.partitions.try_emplace(id);
    Partition& partition = home->second;
    if (fresh) partitions_.fetch_add(1, std::memory_order_relaxed);
    arena_.record(slot) = std::move(record);
    partition.tail.push_back(slot);
    wants = !partition.building && wants_graph(partition, limits_);
    if (wants) partition.building = true;
  }
  vectors_.fetch_add(1, std::memory_order_relaxed);
  if (wants) ask_for_graph(id);
}

void PartitionIndex::remove(Record& record) {
  if (!record.slot) return;
  const rag::ContentId id = record.entry.key.partition;
  Shard& shard = shard_of(id);
  RecordPtr last;  // its destructor must not run under the lock
  bool wants = false;
  {
    const std::unique_lock lock(shard.mutex);
    const auto home = shard.partitions.find(id);
    assert(home != shard.partitions.end());
    Partition& partition = home->second;
    const Slot slot = *record.slot;
    record.slot.reset();
    last = std::move(arena_.record(slot));
    const auto in_tail = std::ranges::find(partition.tail, slot);
    if (in_tail == partition.tail.end()) {
      partition.gone.push_back(slot);
    } else {
      const bool captured = in_tail - partition.tail.begin() < static_cast<std::ptrdiff_t>(partition.captured);
      if (captured) {
        // It is being linked, and leaves with the graph that comes.
        partition.gone.push_back(slot);
        --partition.captured;
      } else {
        retire(shard, {&slot, 1});
      }
      partition.tail.erase(in_tail);
    }
    if (partition.empty() && !partition.building) {
      retire(shard, partition.gone);
      erase(shard, home);
    } else {
      wants = !partition.building && wants_graph(partition, limits_);
      if (wants) partition.building = true;
    }
  }
  vectors_.fetch_sub(1, std::memory_order_relaxed);
  if (wants) ask_for_graph(id);
}

void PartitionIndex::retire(Shard& shard, std::span<const Slot> slots) {
  std::vector<Slot>& retired = shard.era->retired;
  retired.insert(retired.end(), slots.begin(), slots.end());
  if (retired.size() < kRetiredAtOnce) return;
  auto next = std::make_shared<Era>(arena_);
  shard.era->next = next;
  shard.era = std::move(next);
}

bool PartitionIndex::Partition::mostly_gone() const {
  if (!graph) return false;
  const std::size_t dead = gone.size() + graph->size() - graph->linked();
  return dead >= kManyGone && dead * 4 >= graph->size();
}

bool PartitionIndex::wants_graph(const Partition& partition, const Limits& limits) {
  return partition.tail.size() >= limits.tail || partition.mostly_gone();
}

void PartitionIndex::pause() {
  const std::lock_guard lock(mutex_);
  paused_ = true;
}

void PartitionIndex::resume() {
  {
    const std::lock_guard lock(mutex_);
    paused_ = false;
  }
  wake_.notify_all();
}

void PartitionIndex::erase(Shard& shard, std::unordered_map<rag::ContentId, Partition>::iterator partition) {
  shard.partitions.erase(partition);
  partitions_.fetch_sub(1, std::memory_order_relaxed);
}

void PartitionIndex::ask_for_graph(const rag::ContentId& id) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    asked_.push_back(id);
  }
  wake_.notify_all();
}

void PartitionIndex::work() {
  // Whoever waits for an answer goes first.
  constexpr int niceness = 10;
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), niceness);
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || (!paused_ && !asked_.empty()); });
    if (stopping_) return;
    const rag::ContentId id = asked_.front();
    asked_.pop_front();
    lock.unlock();
    build(id);
    pending_.fetch_sub(1, std::memory_order_relaxed);
    lock.lock();
  }
}

// The partition's `building` is set; it is there as long as that is.
void PartitionIndex::build(const rag::ContentId& id) {
  Shard& shard = shard_of(id);
  std::shared_ptr<const NeighbourGraph> before;
  std::vector<Slot> added;
  std::vector<Slot> leaving;
  {
    const std::unique_lock lock(shard.mutex);
    Partition& partition = shard.partitions.at(id);
    // It may have been restored meanwhile.
    partition.building = wants_graph(partition, limits_) || (partition.empty() && partition.graph);
    if (!partition.building) return;
    if (partition.mostly_gone()) {
      leaving = std::exchange(partition.gone, {});
      std::vector<Slot> sorted = leaving;
      std::ranges::sort(sorted);
      for (const Slot slot : partition.graph ? partition.graph->slots() : std::vector<Slot>{}) {
        if (slot != NeighbourGraph::none && !std::ranges::binary_search(sorted, slot)) added.push_back(slot);
      }
    } else {
      before = partition.graph;
    }
    partition.captured = static_cast<std::uint32_t>(std::min(partition.tail.size(), kAtOnce));
    added.insert(added.end(), partition.tail.begin(), partition.tail.begin() + partition.captured);
  }
  std::shared_ptr<const NeighbourGraph> made;
  try {
    made = NeighbourGraph::make(arena_, before.get(), added, [this] { return stopping_.load(); });
  } catch (const std::bad_alloc&) {
    // The tail is scanned as before; the next insertion asks again.
  }
  bool again = false;
  std::shared_ptr<const NeighbourGraph> old;  // its destructor takes a while
  {
    const std::unique_lock lock(shard.mutex);
    const auto home = shard.partitions.find(id);
    Partition& partition = home->second;
    if (made) {
      old = std::exchange(partition.graph, std::move(made));
      partition.tail.erase(partition.tail.begin(), partition.tail.begin() + partition.captured);
      retire(shard, leaving);
      revision_.fetch_add(1, std::memory_order_relaxed);
    } else {
      // What would have left is still in the old graph.
      partition.gone.insert(partition.gone.end(), leaving.begin(), leaving.end());
    }
    partition.captured = 0;
    again = partition.graph && !stopping_ && wants_graph(partition, limits_);
    partition.building = again;
    if (partition.empty() && !again) {
      retire(shard, partition.gone);
      if (!old) old = partition.graph;
      erase(shard, home);
    }
  }
  if (again) ask_for_graph(id);
}

void PartitionIndex::save(const std::function<void(Saved)>& each) const {
  for (const Shard& shard : shards_) {
    std::vector<std::pair<rag::ContentId, View>> views;
    {
      const std::shared_lock lock(shard.mutex);
      for (const auto& [id, partition] : shard.partitions) {
        if (partition.graph) views.push_back({id, {shard.era, partition.graph, {}, 0}});
      }
    }
    for (const auto& [id, view] : views) {
      Saved saved{id, {}, view.graph->save()};
      saved.records.reserve(view.graph->size());
      const std::shared_lock lock(shard.mutex);
      for (const Slot slot : view.graph->slots())
        saved.records.push_back(slot == NeighbourGraph::none ? nullptr : arena_.record(slot));
      each(std::move(saved));
    }
  }
}

bool PartitionIndex::restore(const Saved& saved) {
  Shard& shard = shard_of(saved.partition);
  const std::unique_lock lock(shard.mutex);
  const auto home = shard.partitions.find(saved.partition);
  if (home == shard.partitions.end() || home->second.graph) return false;
  Partition& partition = home->second;
  std::vector<Slot> slots;
  slots.reserve(saved.records.size());
  for (const RecordPtr& record : saved.records)
    slots.push_back(record && record->slot && record->entry.key.partition == saved.partition ? *record->slot
                                                                                             : NeighbourGraph::none);
  std::vector<Slot> linked = slots;
  std::erase(linked, NeighbourGraph::none);
  std::ranges::sort(linked);
  if (std::ranges::adjacent_find(linked) != linked.end()) return false;
  auto graph = NeighbourGraph::load(arena_, saved.links, slots);
  if (!graph) return false;
  partition.graph = std::move(graph);
  std::erase_if(partition.tail, [&](Slot slot) { return std::ranges::binary_search(linked, slot); });
  return true;
}

}  // namespace kvasir::cache
