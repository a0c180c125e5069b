// What a cached prefix is worth: the least valuable leaf of the tree goes first.
#pragma once

#include <cstdint>
#include <memory>

namespace kvasir::engine {

enum class EvictionKind { pgdsf, lru };

// The use of one node of the tree.
struct NodeUse {
  int depth = 0;             // tokens before it
  int tokens = 0;            // of its own
  std::uint64_t uses = 0;    // this one included
  std::uint64_t moment = 0;  // counts uses of the whole tree
};

class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;
  // Of a node that is used now. Compared with others'; where equal, the one used last stays.
  virtual double priority(const NodeUse& use) const = 0;
  // A leaf of this priority has been evicted.
  virtual void evicted(double /*priority*/) {}
};

// `depth_cost`: how much dearer a token is to compute per token before it, relative to the first; LRU does not ask.
std::unique_ptr<EvictionPolicy> make_eviction_policy(EvictionKind kind, double depth_cost);

}  // namespace kvasir::engine
