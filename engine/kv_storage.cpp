#include "engine/kv_storage.hpp"

#include <cerrno>
#include <cstring>
#include <string>

#include <sys/mman.h>

namespace kvasir::engine {
namespace {

// Keys or values of one block in one layer.
std::size_t layer_bytes(kernels::KvType type, const kernels::AttentionShape& shape) {
  return static_cast<std::size_t>(shape.kv_heads) * kernels::kv_head_bytes(type, shape.head_dim);
}

}  // namespace

void KvStorage::Unmap::operator()(void* memory) const {
  ::munmap(memory, bytes);
}

std::size_t KvStorage::bytes_per_block(kernels::KvType type, int layers, const kernels::AttentionShape& shape) {
  return static_cast<std::size_t>(layers) * 2 * layer_bytes(type, shape);
}

Result<KvStorage> KvStorage::reserve(kernels::KvType type, int layers, const kernels::AttentionShape& shape,
                                     int blocks) {
  const std::size_t bytes = bytes_per_block(type, layers, shape) * static_cast<std::size_t>(blocks);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return Error{ErrorCode::overloaded,
                 "cannot reserve " + std::to_string(bytes) + " bytes for the KV cache (" + std::strerror(errno) +
                     "); lower kv_memory",
                 "", 0};
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // a wish, as in WeightArena
  KvStorage storage;
  storage.memory_ = std::unique_ptr<void, Unmap>(memory, Unmap{bytes});
  storage.type_ = type;
  storage.layer_bytes_ = layer_bytes(type, shape);
  storage.block_bytes_ = bytes_per_block(type, layers, shape);
  return storage;
}

std::span<std::byte> KvStorage::block(BlockId id) {
  return {static_cast<std::byte*>(memory_.get()) + static_cast<std::size_t>(id) * block_bytes_, block_bytes_};
}

kernels::KvLayer KvStorage::layer(int index) {
  std::byte* keys = block(0).data() + static_cast<std::size_t>(index) * 2 * layer_bytes_;
  return {keys, keys + layer_bytes_, static_cast<std::ptrdiff_t>(block_bytes_), type_};
}

void KvStorage::copy(BlockId from, BlockId to) {
  std::memcpy(block(to).data(), block(from).data(), block_bytes_);
}

}  // namespace kvasir::engine
