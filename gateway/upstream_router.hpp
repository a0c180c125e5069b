// Which of a model's upstreams takes a request.
//
// Affinity: weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in Resch 2015) orders the upstreams
// for each key, so that equal prompt prefixes meet the same KV cache, and an upstream that comes or goes moves only its
// own keys. Load is bounded as in consistent hashing with bounded loads (Mirrokni et al., arXiv 1608.01350): an
// upstream that has c times its share of what runs passes the key on to the next in the key's order.
#pragma once

#include "gateway/settings.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

// Immutable; any thread.
class UpstreamRouter {
 public:
  struct Upstream {
    std::string name;  // what its keys stick to
    int weight = 1;
    int priority = 0;
  };
  // Of one upstream, at the moment of the choice.
  struct State {
    bool available = true;
    int running = 0;  // requests of this gateway that it works on
  };

  UpstreamRouter(std::vector<Upstream> upstreams, UpstreamRouting routing);

  // The index of the upstream, null if none is available. `states`: one for each. `random`: uniform in [0, 1).
  std::optional<std::size_t> pick(std::uint64_t affinity_key, std::span<const State> states, double random) const;

 private:
  std::size_t pick_by_key(std::uint64_t key, std::span<const State> states, std::span<const std::size_t> among) const;
  std::size_t pick_by_weight(std::span<const std::size_t> among, double random) const;

  std::vector<Upstream> upstreams_;
  std::vector<std::uint64_t> seeds_;  // a hash of each name
  UpstreamRouting routing_;
};

// A key for equal prompt prefixes: parts are hashed in order, boundaries included.
std::uint64_t affinity_key(std::span<const std::string_view> parts);

}  // namespace kvasir::gateway
