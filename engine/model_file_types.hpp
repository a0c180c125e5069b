// The number formats of GGUF tensors: how many bytes a tensor of each must have.
// (Sizes: ggml project, ggml-common.h, the block structs.)
#pragma once

#include <cstdint>
#include <string_view>

namespace kvasir::engine {

// Rows are cut into blocks of `block_elements` values, `block_bytes` long each.
struct TensorFormat {
  std::uint32_t type;
  std::string_view name;
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
};

// nullptr for a type whose size is not known.
const TensorFormat* tensor_format(std::uint32_t type);

}  // namespace kvasir::engine
