#include "engine/trace_replay.hpp"

#include "kernels/kernels.hpp"

namespace kvasir::engine {

TraceReplay::TraceReplay(int blocks, EvictionKind kind, double depth_cost)
    : depth_cost_(depth_cost),
      pool_(blocks),
      tree_(pool_, make_eviction_policy(kind, depth_cost / kernels::kKvBlock)) {}

double TraceReplay::cost_of(std::size_t blocks) const {
  const auto count = static_cast<double>(blocks);
  return count + depth_cost_ * count * (count - 1) / 2;
}

void TraceReplay::ask(std::span<const int> block_ids) {
  tokens_.clear();
  for (const int id : block_ids)
    for (int i = 0; i < kernels::kKvBlock; ++i) tokens_.push_back(id * kernels::kKvBlock + i);
  std::vector<Block> held = tree_.match("", tokens_).blocks;
  counts_.blocks += block_ids.size();
  counts_.hits += held.size();
  counts_.cost += cost_of(block_ids.size());
  counts_.saved += cost_of(held.size());
  tree_.evict(static_cast<int>(block_ids.size() - held.size()) - pool_.free());
  while (held.size() < block_ids.size()) {
    Block block = pool_.take();
    if (!block) break;
    held.push_back(std::move(block));
  }
  tree_.insert("", std::span(tokens_).first(held.size() * kernels::kKvBlock), held, {});
}

}  // namespace kvasir::engine
