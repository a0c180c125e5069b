#include "cache/vector_arena.hpp"

#include <algorithm>
#include <cassert>
#include <new>

namespace kvasir::cache {

VectorArena::~VectorArena() {
  for (auto& held : *chunks_) delete held.load(std::memory_order_relaxed);  // NOLINT(cppcoreguidelines-owning-memory)
}

Slot VectorArena::allocate(std::span<const float> vector) {
  assert(vector.size() == dimension_);
  Slot slot = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else {
      if (used_ == kChunk * kChunks) throw std::bad_alloc();
      if (used_ % kChunk == 0) {
        auto fresh = std::make_unique<Chunk>(dimension_);
        (*chunks_)[used_ / kChunk].store(fresh.release(), std::memory_order_release);
      }
      slot = static_cast<Slot>(used_++);
    }
  }
  std::ranges::copy(vector, chunk(slot).vectors.get() + (slot % kChunk) * dimension_);
  return slot;
}

void VectorArena::release(std::span<const Slot> slots) {
  const std::lock_guard lock(mutex_);
  free_.insert(free_.end(), slots.begin(), slots.end());
}

}  // namespace kvasir::cache
