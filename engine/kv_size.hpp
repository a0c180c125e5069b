// How much memory KV takes, as the engine allocates it: for operators, before they buy it.
#pragma once

#include "engine/kv_storage.hpp"
#include "engine/model_shape.hpp"

#include <cstdint>

namespace kvasir::engine {

struct KvSize {
  std::uint64_t block = 0;    // bytes of 16 tokens
  std::uint64_t token = 0;    // bytes: a sixteenth of a block
  std::uint64_t request = 0;  // bytes of a context, in whole blocks
  std::uint64_t blocks = 0;   // of a context
  std::uint64_t users = 0;    // bytes of all of them, who share nothing
  std::uint64_t fitting = 0;  // such requests in the memory at once
};

// `context` and `users` > 0; `memory` in bytes. Sums that no 64 bits hold are the largest number.
KvSize kv_size(const ModelShape& shape, kernels::KvType type, std::uint64_t context, std::uint64_t users,
               std::uint64_t memory);

}  // namespace kvasir::engine
