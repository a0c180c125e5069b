// Nearest neighbours within each of many partitions: a flat scan while a partition is small, a graph when it is large.
//
// Rows enter a partition's tail, which every search scans. A thread of its own moves a long tail into a graph: it makes
// a new one beside the old and swaps them. So nothing that takes longer than copying some pointers ever happens under a
// lock that a search takes. A removed row stays in its graph, to route searches, until so many have gone that the graph
// is made anew; its slot of the arena is given back once no search that could have seen it is still running.
#pragma once

#include "cache/neighbour_graph.hpp"
#include "cache/record.hpp"
#include "cache/vector_arena.hpp"

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

namespace kvasir::cache {

class PartitionIndex {
 public:
  struct Candidate {
    RecordPtr record;
    float similarity = 0.0F;
  };
  struct Limits {
    std::size_t tail = 1024;      // rows that a search scans before the rest is in a graph
    std::size_t scanned = 16384;  // the newest rows of a tail that are scanned at all, while a graph is late
  };

  explicit PartitionIndex(int dimension) : PartitionIndex(dimension, Limits{}) {}
  PartitionIndex(int dimension, Limits limits);
  ~PartitionIndex();
  PartitionIndex(const PartitionIndex&) = delete;
  PartitionIndex& operator=(const PartitionIndex&) = delete;

  // At most `count` rows of the partition, most similar first. Any thread.
  std::vector<Candidate> nearest(const rag::ContentId& id, std::span<const float> query, std::size_t count) const;
  // By one thread at a time, both. A record is inserted once.
  void insert(RecordPtr record, std::span<const float> vector);
  // Does nothing if the record has no vector here.
  void remove(Record& record);

  std::size_t partitions() const { return partitions_.load(std::memory_order_relaxed); }
  std::size_t vectors() const { return vectors_.load(std::memory_order_relaxed); }
  // Between the two no graph is made, so that what is inserted can be restored.
  void pause();
  void resume();

  // Partitions that wait for a graph or whose graph is being made.
  std::size_t pending() const { return pending_.load(std::memory_order_relaxed); }

  // Changes whenever a graph does.
  std::uint64_t revision() const { return revision_.load(std::memory_order_relaxed); }

  // What was made of a partition's graph, to be kept beside the store. `records`: by node, null where one was removed.
  struct Saved {
    rag::ContentId partition;
    std::vector<RecordPtr> records;
    std::vector<char> links;
  };
  // One for each partition that has a graph.
  void save(const std::function<void(Saved)>& each) const;
  // Gives rows that are in the partition's tail their graph back. False if the bytes are none of it; then, and for rows
  // that it does not know, one is made.
  bool restore(const Saved& saved);

 private:
  class Era;
  using EraPtr = std::shared_ptr<Era>;
  struct Partition {
    std::shared_ptr<const NeighbourGraph> graph;  // null: none yet
    std::vector<Slot> tail;                       // oldest first
    std::vector<Slot> gone;                       // of the graph's slots: without a record
    std::uint32_t captured = 0;                   // of the tail's front: on their way into a graph
    bool building = false;

    std::size_t linked() const { return graph ? graph->linked() : 0; }
    bool empty() const { return tail.empty() && gone.size() >= linked(); }
    bool mostly_gone() const;
  };
  struct Shard {
    mutable std::shared_mutex mutex;
    std::unordered_map<rag::ContentId, Partition> partitions;
    EraPtr era;
  };
  struct View;

  Shard& shard_of(const rag::ContentId& id) { return shards_[id.bytes[1] % shards_.size()]; }
  const Shard& shard_of(const rag::ContentId& id) const { return shards_[id.bytes[1] % shards_.size()]; }
  // The caller holds the shard's lock, not shared, for both.
  void erase(Shard& shard, std::unordered_map<rag::ContentId, Partition>::iterator partition);
  void retire(Shard& shard, std::span<const Slot> slots);
  static bool wants_graph(const Partition& partition, const Limits& limits);
  void ask_for_graph(const rag::ContentId& id);
  void work();
  void build(const rag::ContentId& id);
  std::vector<Neighbour> scan(std::span<const Slot> slots, std::span<const float> query, std::size_t count) const;

  VectorArena arena_;
  const Limits limits_;
  std::array<Shard, 64> shards_;
  std::atomic<std::size_t> vectors_{0};
  std::atomic<std::size_t> partitions_{0};
  std::atomic<std::size_t> pending_{0};
  std::atomic<std::uint64_t> revision_{0};

  std::mutex mutex_;  // of the builder's queue
  std::condition_variable wake_;
  std::deque<rag::ContentId> asked_;
  std::atomic<bool> stopping_{false};
  bool paused_ = false;
  std::thread builder_;
};

}  // namespace kvasir::cache
