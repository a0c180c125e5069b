// One memory for the vectors of all partitions, and for the records that they belong to.
#pragma once

#include "cache/record.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace kvasir::cache {

// Place of a vector in the arena. It never moves.
using Slot = std::uint32_t;

// allocate() and release() may be called from any thread. A slot's contents are read by whoever knows it, while nobody
// releases it.
class VectorArena {
 public:
  explicit VectorArena(int dimension) : dimension_(static_cast<std::size_t>(dimension)) {}
  ~VectorArena();
  VectorArena(const VectorArena&) = delete;
  VectorArena& operator=(const VectorArena&) = delete;

  std::size_t dimension() const { return dimension_; }
  // Copies `vector`, `dimension` floats. Throws std::bad_alloc when there is no memory, or after 2^28 slots.
  Slot allocate(std::span<const float> vector);
  void release(std::span<const Slot> slots);

  const float* vector(Slot slot) const { return chunk(slot).vectors.get() + (slot % kChunk) * dimension_; }
  // Guarded by the lock of the partition that the slot belongs to.
  RecordPtr& record(Slot slot) { return chunk(slot).records[slot % kChunk]; }
  const RecordPtr& record(Slot slot) const { return chunk(slot).records[slot % kChunk]; }

 private:
  static constexpr std::size_t kChunk = 4096;  // slots
  static constexpr std::size_t kChunks = std::size_t{1} << 16;

  struct Chunk {
    explicit Chunk(std::size_t dimension) : vectors(new float[kChunk * dimension]), records(kChunk) {}
    std::unique_ptr<float[]> vectors;  // left as it comes: what is not used yet takes no memory
    std::vector<RecordPtr> records;
  };

  Chunk& chunk(Slot slot) const { return *(*chunks_)[slot / kChunk].load(std::memory_order_acquire); }

  const std::size_t dimension_;
  std::unique_ptr<std::array<std::atomic<Chunk*>, kChunks>> chunks_ =
      std::make_unique<std::array<std::atomic<Chunk*>, kChunks>>();
  std::mutex mutex_;  // of the rest
  std::vector<Slot> free_;
  std::size_t used_ = 0;  // slots that were ever given out
};

}  // namespace kvasir::cache
