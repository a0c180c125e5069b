#include "engine/kv_size.hpp"

#include <limits>

namespace kvasir::engine {
namespace {

std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  return __builtin_mul_overflow(a, b, &result) ? std::numeric_limits<std::uint64_t>::max() : result;
}

}  // namespace

KvSize kv_size(const ModelShape& shape, kernels::KvType type, std::uint64_t context, std::uint64_t users,
               std::uint64_t memory) {
  KvSize size;
  size.block = KvStorage::bytes_per_block(type, shape.layers, shape.attention);
  size.token = size.block / kernels::kKvBlock;
  size.blocks = (context - 1) / kernels::kKvBlock + 1;
  size.request = product(size.blocks, size.block);
  size.users = product(size.request, users);
  size.fitting = memory / size.request;
  return size;
}

}  // namespace kvasir::engine
