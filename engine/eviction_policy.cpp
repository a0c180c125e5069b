#include "engine/eviction_policy.hpp"

#include <algorithm>
#include <cmath>

namespace kvasir::engine {
namespace {

class Lru final : public EvictionPolicy {
 public:
  double priority(const NodeUse& use) const override { return static_cast<double>(use.moment); }
};

// PGDSF (RAGCache, arXiv 2404.12457): clock + frequency × recompute cost / size. The clock is the priority of what was
// evicted last: that is how old fame ages. Both factors are damped, as the table in ARCHITECTURE.md asks for: a prefix
// that was used a hundred times must not stay for a hundred turnovers of the cache, and depth alone must not outweigh
// recency.
class Pgdsf final : public EvictionPolicy {
 public:
  explicit Pgdsf(double depth_cost) : depth_cost_(depth_cost) {}

  double priority(const NodeUse& use) const override {
    const double cost_per_token = 1.0 + depth_cost_ * (use.depth + 0.5 * use.tokens);
    return clock_ + (1.0 + std::log2(static_cast<double>(use.uses))) * std::cbrt(cost_per_token);
  }
  void evicted(double priority) override { clock_ = std::max(clock_, priority); }

 private:
  double depth_cost_;
  double clock_ = 0;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_eviction_policy(EvictionKind kind, double depth_cost) {
  if (kind == EvictionKind::lru) return std::make_unique<Lru>();
  return std::make_unique<Pgdsf>(depth_cost);
}

}  // namespace kvasir::engine
