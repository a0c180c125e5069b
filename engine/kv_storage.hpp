// The memory behind KV blocks on this device.
#pragma once

#include "engine/block_pool.hpp"
#include "engine/error.hpp"
#include "kernels/kernels.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace kvasir::engine {

// Keys and values of `blocks` blocks for every layer, in the layout of kernels::KvLayer. What belongs to a block lies
// together: keys and values of the first layer, of the second … Memory is reserved at once and touched by first use;
// were layers apart, a new huge page would be due in all of them in the same step, a stall of 0.4 s (SmolLM2: 120 MiB
// to be zeroed). Zero at the beginning: a masked slot must never hold a NaN.
class KvStorage {
 public:
  // Error: overloaded, if the memory cannot be reserved.
  static Result<KvStorage> reserve(kernels::KvType type, int layers, const kernels::AttentionShape& shape, int blocks);

  kernels::KvLayer layer(int index);
  // One block's keys and values in all layers: the same bytes for the same type, shape and values.
  std::span<std::byte> block(BlockId id);
  std::size_t block_bytes() const { return block_bytes_; }
  // Copy-on-write.
  void copy(BlockId from, BlockId to);

  static std::size_t bytes_per_block(kernels::KvType type, int layers, const kernels::AttentionShape& shape);

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Unmap> memory_{nullptr, Unmap{0}};
  kernels::KvType type_ = kernels::KvType::f16;
  std::size_t layer_bytes_ = 0;  // of one block in one layer, keys or values
  std::size_t block_bytes_ = 0;
};

}  // namespace kvasir::engine
