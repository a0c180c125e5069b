// A stream of prompts against the real pool and tree, without a model: what would have been found cached.
#pragma once

#include "engine/prefix_tree.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace kvasir::engine {

class TraceReplay {
 public:
  // `depth_cost`: how much dearer a block is to compute per block before it, relative to the first.
  TraceReplay(int blocks, EvictionKind kind, double depth_cost);

  // One prompt: the ids of its blocks, from the first on. Equal ids are equal blocks.
  void ask(std::span<const int> block_ids);

  struct Counts {
    std::uint64_t blocks = 0;
    std::uint64_t hits = 0;
    double cost = 0;   // of computing all of them, in first blocks
    double saved = 0;  // of that, by the hits

    double hit_rate() const { return blocks == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(blocks); }
    double saved_share() const { return cost == 0 ? 0 : saved / cost; }
  };
  const Counts& counts() const { return counts_; }

 private:
  double cost_of(std::size_t blocks) const;

  double depth_cost_;
  BlockPool pool_;
  PrefixTree tree_;
  std::vector<TokenId> tokens_;
  Counts counts_;
};

}  // namespace kvasir::engine
