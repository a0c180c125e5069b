// Nearest neighbours among many vectors: a small-world graph over slots of the arena, never changed once it is made.
//
// Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
// World graphs", arXiv:1603.09320, in FAISS' implementation. Similarity is the inner product.
#pragma once

#include "cache/vector_arena.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace kvasir::cache {

struct Neighbour {
  Slot slot = 0;
  float similarity = 0.0F;
};

// Any number of threads may search at a time. The vectors of its slots must stay.
class NeighbourGraph {
 public:
  ~NeighbourGraph();
  NeighbourGraph(const NeighbourGraph&) = delete;
  NeighbourGraph& operator=(const NeighbourGraph&) = delete;

  // A graph of these slots' vectors, besides those of `before` (null: none), which is copied: its links take about 280
  // bytes a slot, its making about half a millisecond of CPU for each that is new. Null if `stop` says so meanwhile.
  static std::unique_ptr<const NeighbourGraph> make(const VectorArena& arena, const NeighbourGraph* before,
                                                    std::span<const Slot> added, const std::function<bool()>& stop);

  std::size_t size() const { return slots_.size(); }
  // `none` for a node that nothing leads to any more.
  const std::vector<Slot>& slots() const { return slots_; }
  // Nodes that have a slot.
  std::size_t linked() const { return linked_; }
  // At most `count`, most similar first. `query`: `dimension` floats.
  std::vector<Neighbour> nearest(std::span<const float> query, std::size_t count) const;

  // The links as bytes, without vectors, and back: `slots` are those of the nodes in their order, `none` where there
  // is no such vector any more; links to these are left out. Null if the bytes are no graph of so many nodes.
  static constexpr Slot none = ~Slot{0};
  std::vector<char> save() const;
  static std::unique_ptr<const NeighbourGraph> load(const VectorArena& arena, std::span<const char> bytes,
                                                    std::span<const Slot> slots);

 private:
  struct Links;
  class Distance;

  explicit NeighbourGraph(const VectorArena& arena);

  const VectorArena& arena_;
  std::vector<Slot> slots_;  // by node
  std::size_t linked_ = 0;
  std::unique_ptr<Links> links_;
};

}  // namespace kvasir::cache
