#include "gateway/upstream_router.hpp"

#include <algorithm>
#include <climits>
#include <cmath>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace kvasir::gateway {
namespace {

constexpr double kLoadBound = 1.25;  // c of the paper

}  // namespace

UpstreamRouter::UpstreamRouter(std::vector<Upstream> upstreams, UpstreamRouting routing)
    : upstreams_(std::move(upstreams)), routing_(routing) {
  for (const Upstream& upstream : upstreams_) seeds_.push_back(XXH3_64bits(upstream.name.data(), upstream.name.size()));
}

std::optional<std::size_t> UpstreamRouter::pick(std::uint64_t affinity_key, std::span<const State> states,
                                                double random) const {
  int priority = INT_MAX;
  for (std::size_t i = 0; i < upstreams_.size(); ++i) {
    if (states[i].available) priority = std::min(priority, upstreams_[i].priority);
  }
  std::vector<std::size_t> among;
  for (std::size_t i = 0; i < upstreams_.size(); ++i) {
    if (states[i].available && upstreams_[i].priority == priority) among.push_back(i);
  }
  if (among.empty()) return std::nullopt;
  if (among.size() == 1) return among.front();
  return routing_ == UpstreamRouting::affinity ? pick_by_key(affinity_key, states, among)
                                               : pick_by_weight(among, random);
}

std::size_t UpstreamRouter::pick_by_key(std::uint64_t key, std::span<const State> states,
                                        std::span<const std::size_t> among) const {
  double weights = 0;
  double running = 1;  // this request
  for (const std::size_t i : among) {
    weights += upstreams_[i].weight;
    running += states[i].running;
  }
  std::size_t best = among.front();
  double best_score = -1;
  for (const std::size_t i : among) {
    const double weight = upstreams_[i].weight;
    if (states[i].running + 1 > std::ceil(kLoadBound * running * weight / weights)) continue;
    const std::uint64_t hash = XXH3_64bits_withSeed(&key, sizeof key, seeds_[i]);
    const double uniform = (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;  // in (0, 1)
    const double score = weight / -std::log(uniform);
    if (score > best_score) {
      best = i;
      best_score = score;
    }
  }
  return best;  // the bounds add up to more than what runs, so one upstream is always below its own
}

std::size_t UpstreamRouter::pick_by_weight(std::span<const std::size_t> among, double random) const {
  double weights = 0;
  for (const std::size_t i : among) weights += upstreams_[i].weight;
  double point = random * weights;
  for (const std::size_t i : among) {
    point -= upstreams_[i].weight;
    if (point < 0) return i;
  }
  return among.back();
}

std::uint64_t affinity_key(std::span<const std::string_view> parts) {
  std::uint64_t key = 0;
  for (const auto part : parts) key = XXH3_64bits_withSeed(part.data(), part.size(), key + 1);
  return key;
}

}  // namespace kvasir::gateway
