// Which entries an invalidation means, and which answers under way come too late for it.
#pragma once

#include "cache/response_cache.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>

namespace kvasir::cache {

bool matches(const Invalidation& what, const Entry& entry);
// False for an empty one.
bool selects(const Invalidation& what);

// Something that was removed: what an invalidation named, or a single entry.
struct Removal {
  std::string entry_id;  // empty for an invalidation
  Invalidation what;
};

// The recent removals, so that an answer computed before one and stored after it is recognised. Not thread safe but for
// generation().
class RemovalLog {
 public:
  // Removals so far. An answer is stored with the generation at which its computation began.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  void add(Removal removal);
  // Makes the removals added so far visible in generation().
  void publish() { generation_.store(newest_, std::memory_order_release); }
  // True if something removed after `generation` means this entry, or if that can no longer be told.
  bool removed_since(std::uint64_t generation, const Entry& entry) const;

 private:
  static constexpr std::size_t kept = 4096;

  std::deque<Removal> removals_;  // of the generations newest_ - size() + 1 … newest_
  std::uint64_t newest_ = 0;
  std::atomic<std::uint64_t> generation_{0};
};

}  // namespace kvasir::cache
