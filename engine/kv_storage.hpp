// The memory behind KV blocks on this device.
#pragma once

#include "engine/block_pool.hpp"
#include "engine/error.hpp"
#include "kernels/kernels.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace kvasir::engine {

// Keys and values of `blocks` blocks for every layer, in the layout of kernels::KvLayer. Memory is reserved at once
// and touched by first use. Zero at the beginning: a masked slot must never hold a NaN.
class KvStorage {
 public:
  // Error: overloaded, if the memory cannot be reserved.
  static Result<KvStorage> reserve(kernels::KvType type, int layers, const kernels::AttentionShape& shape, int blocks);

  kernels::KvLayer layer(int index) const { return layers_[static_cast<std::size_t>(index)]; }
  // Copies one block's keys and values in all layers (copy-on-write).
  void copy(BlockId from, BlockId to);

  static std::size_t bytes_per_block(kernels::KvType type, int layers, const kernels::AttentionShape& shape);

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Unmap> memory_{nullptr, Unmap{0}};
  std::vector<kernels::KvLayer> layers_;
  std::size_t layer_bytes_ = 0;  // of one block in one layer, keys or values
};

}  // namespace kvasir::engine
