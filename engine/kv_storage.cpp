#include "engine/kv_storage.hpp"

#include <cerrno>
#include <cstring>
#include <string>

#include <sys/mman.h>

namespace kvasir::engine {
namespace {

std::size_t values_per_block(const kernels::AttentionShape& shape) {
  return static_cast<std::size_t>(shape.kv_heads) * static_cast<std::size_t>(shape.head_dim) * kernels::kKvBlock;
}

}  // namespace

void KvStorage::Unmap::operator()(void* memory) const {
  ::munmap(memory, bytes);
}

std::size_t KvStorage::bytes_per_block(int layers, const kernels::AttentionShape& shape) {
  return static_cast<std::size_t>(layers) * 2 * values_per_block(shape) * sizeof(std::uint16_t);
}

Result<KvStorage> KvStorage::reserve(int layers, const kernels::AttentionShape& shape, int blocks) {
  const std::size_t bytes = bytes_per_block(layers, shape) * static_cast<std::size_t>(blocks);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return Error{ErrorCode::overloaded,
                 "cannot reserve " + std::to_string(bytes) + " bytes for the KV cache (" + std::strerror(errno) +
                     "); lower kv_memory",
                 "", 0};
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // a wish, as in WeightArena
  KvStorage storage;
  storage.memory_ = std::unique_ptr<void, Unmap>(memory, Unmap{bytes});
  storage.block_values_ = values_per_block(shape);
  auto* values = static_cast<std::uint16_t*>(memory);
  const std::size_t half = storage.block_values_ * static_cast<std::size_t>(blocks);
  for (int i = 0; i < layers; ++i) {
    storage.layers_.push_back({values, values + half});
    values += 2 * half;
  }
  return storage;
}

void KvStorage::copy(BlockId from, BlockId to) {
  const std::size_t source = static_cast<std::size_t>(from) * block_values_;
  const std::size_t target = static_cast<std::size_t>(to) * block_values_;
  for (const kernels::KvLayer& layer : layers_) {
    std::memcpy(layer.k + target, layer.k + source, block_values_ * sizeof(std::uint16_t));
    std::memcpy(layer.v + target, layer.v + source, block_values_ * sizeof(std::uint16_t));
  }
}

}  // namespace kvasir::engine
