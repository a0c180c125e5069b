#include "cache/neighbour_graph.hpp"

#include "cache/inner_product.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/HNSW.h>
#include <faiss/utils/Heap.h>

namespace kvasir::cache {
namespace {

constexpr int kLinks = 32;          // a node on every level but the lowest, which has twice as many
constexpr int kMakingEffort = 100;  // candidates while linking
constexpr int kSearchEffort = 128;  // candidates while searching

using Node = faiss::HNSW::storage_idx_t;

// OpenMP's locks, which FAISS wants though one thread makes a graph.
class Locks {
 public:
  explicit Locks(std::size_t count) : locks_(count) {
    for (omp_lock_t& lock : locks_) omp_init_lock(&lock);
  }
  ~Locks() {
    for (omp_lock_t& lock : locks_) omp_destroy_lock(&lock);
  }
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;

  std::vector<omp_lock_t>& all() { return locks_; }

 private:
  std::vector<omp_lock_t> locks_;
};

// Which nodes a search has seen; a thread keeps its own from search to search.
faiss::VisitedTable& visited(std::size_t nodes) {
  thread_local faiss::VisitedTable table(0);
  if (table.visited.size() < nodes) table = faiss::VisitedTable(static_cast<int>(nodes));
  table.advance();
  return table;
}

}  // namespace

struct NeighbourGraph::Links {
  Links() : hnsw(kLinks) { hnsw.efConstruction = kMakingEffort; }
  faiss::HNSW hnsw;
};

// Nearer is smaller.
class NeighbourGraph::Distance final : public faiss::DistanceComputer {
 public:
  explicit Distance(const NeighbourGraph& graph) : graph_(graph) {}

  void set_query(const float* query) override { query_ = query; }
  float operator()(idx_t node) override { return -product_(query_, vector(node), graph_.arena_.dimension()); }
  float symmetric_dis(idx_t a, idx_t b) override { return -product_(vector(a), vector(b), graph_.arena_.dimension()); }

  const float* vector(idx_t node) const { return graph_.arena_.vector(graph_.slots_[static_cast<std::size_t>(node)]); }

 private:
  const NeighbourGraph& graph_;
  InnerProduct product_ = inner_product();
  const float* query_ = nullptr;
};

NeighbourGraph::NeighbourGraph(const VectorArena& arena) : arena_(arena), links_(std::make_unique<Links>()) {}
NeighbourGraph::~NeighbourGraph() = default;

std::unique_ptr<const NeighbourGraph> NeighbourGraph::make(const VectorArena& arena, const NeighbourGraph* before,
                                                           std::span<const Slot> added,
                                                           const std::function<bool()>& stop) {
  std::unique_ptr<NeighbourGraph> made(new NeighbourGraph(arena));
  faiss::HNSW& hnsw = made->links_->hnsw;
  if (before != nullptr) {
    made->slots_.reserve(before->size() + added.size());
    made->slots_ = before->slots_;
    hnsw = before->links_->hnsw;
    made->linked_ = before->linked_;
  }
  made->linked_ += added.size();
  const std::size_t first = made->slots_.size();
  made->slots_.insert(made->slots_.end(), added.begin(), added.end());
  hnsw.prepare_level_tab(added.size());

  // The highest first, as FAISS does it.
  std::vector<Node> order(added.size());
  std::iota(order.begin(), order.end(), static_cast<Node>(first));
  const auto level = [&](Node node) { return hnsw.levels[static_cast<std::size_t>(node)] - 1; };
  std::ranges::stable_sort(order, std::ranges::greater{}, level);
  Locks locks(made->slots_.size());
  faiss::VisitedTable seen(static_cast<int>(made->slots_.size()));
  Distance distance(*made);
  for (const Node node : order) {
    if (stop()) return nullptr;
    distance.set_query(distance.vector(node));
    hnsw.add_with_locks(distance, level(node), node, locks.all(), seen);
  }
  return made;
}

std::vector<Neighbour> NeighbourGraph::nearest(std::span<const float> query, std::size_t count) const {
  const std::size_t wanted = std::min(count, size());
  if (wanted == 0 || links_->hnsw.entry_point < 0) return {};
  std::vector<float> distances(wanted);
  std::vector<faiss::HNSW::idx_t> nodes(wanted);
  faiss::maxheap_heapify(wanted, distances.data(), nodes.data());
  Distance distance(*this);
  distance.set_query(query.data());
  faiss::SearchParametersHNSW effort;
  effort.efSearch = kSearchEffort;
  links_->hnsw.search(distance, static_cast<int>(wanted), nodes.data(), distances.data(), visited(size()), &effort);
  faiss::maxheap_reorder(wanted, distances.data(), nodes.data());
  std::vector<Neighbour> found;
  found.reserve(wanted);
  for (std::size_t i = 0; i < wanted; ++i) {
    if (nodes[i] >= 0) found.push_back({slots_[static_cast<std::size_t>(nodes[i])], -distances[i]});
  }
  return found;
}

namespace {

template <typename T>
void put(std::vector<char>& bytes, const std::vector<T>& items) {
  const auto* first = reinterpret_cast<const char*>(items.data());
  bytes.insert(bytes.end(), first, first + items.size() * sizeof(T));
}

template <typename T>
bool take(std::span<const char>& bytes, std::vector<T>& items) {
  const std::size_t size = items.size() * sizeof(T);
  if (bytes.size() < size) return false;
  std::memcpy(items.data(), bytes.data(), size);
  bytes = bytes.subspan(size);
  return true;
}

}  // namespace

std::vector<char> NeighbourGraph::save() const {
  const faiss::HNSW& hnsw = links_->hnsw;
  std::vector<char> bytes;
  bytes.reserve(hnsw.neighbors.size() * sizeof(Node) + hnsw.levels.size() * sizeof(int) + sizeof(Node));
  put(bytes, std::vector<Node>{hnsw.entry_point});
  put(bytes, hnsw.levels);
  put(bytes, hnsw.neighbors);
  return bytes;
}

std::unique_ptr<const NeighbourGraph> NeighbourGraph::load(const VectorArena& arena, std::span<const char> bytes,
                                                           std::span<const Slot> slots) {
  std::unique_ptr<NeighbourGraph> made(new NeighbourGraph(arena));
  faiss::HNSW& hnsw = made->links_->hnsw;
  const auto known_levels = static_cast<int>(hnsw.assign_probas.size());
  std::vector<Node> entry(1);
  hnsw.levels.resize(slots.size());
  if (!take(bytes, entry) || !take(bytes, hnsw.levels)) return nullptr;
  hnsw.offsets.resize(slots.size() + 1);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const int level = hnsw.levels[i];
    if (level < 1 || level > known_levels) return nullptr;
    hnsw.offsets[i + 1] = hnsw.offsets[i] + static_cast<std::size_t>(hnsw.cum_nb_neighbors(level));
  }
  hnsw.neighbors.resize(hnsw.offsets.back());
  if (!take(bytes, hnsw.neighbors) || !bytes.empty()) return nullptr;
  made->slots_.assign(slots.begin(), slots.end());
  made->linked_ = slots.size() - static_cast<std::size_t>(std::ranges::count(slots, none));

  // Links to what is gone are closed up: FAISS ends a node's list at the first empty place.
  const auto there = [&](Node node) { return node >= 0 && slots[static_cast<std::size_t>(node)] != none; };
  for (std::size_t i = 0; i < slots.size(); ++i) {
    for (int level = 0; level < hnsw.levels[i]; ++level) {
      std::size_t begin = 0;
      std::size_t end = 0;
      hnsw.neighbor_range(static_cast<faiss::HNSW::idx_t>(i), level, &begin, &end);
      const auto list = std::span(hnsw.neighbors).subspan(begin, end - begin);
      const auto broken = [&](Node node) {
        return node < -1 || node >= static_cast<Node>(slots.size()) ||
               (node >= 0 && hnsw.levels[static_cast<std::size_t>(node)] <= level);
      };
      if (std::ranges::any_of(list, broken)) return nullptr;
      const auto gone = std::ranges::remove_if(list, [&](Node node) { return !there(node); });
      std::ranges::fill(gone, Node{-1});
    }
    if (there(static_cast<Node>(i)) && hnsw.levels[i] - 1 > hnsw.max_level) {
      hnsw.max_level = hnsw.levels[i] - 1;
      hnsw.entry_point = static_cast<Node>(i);
    }
  }
  if (entry[0] >= static_cast<Node>(slots.size())) return nullptr;
  if (there(entry[0]) && hnsw.levels[static_cast<std::size_t>(entry[0])] - 1 == hnsw.max_level)
    hnsw.entry_point = entry[0];
  return made;
}

}  // namespace kvasir::cache
