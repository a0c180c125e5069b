// What one core can do at best with an instruction set: what benchmarks compare kernels with. Not for serving.
#pragma once

#include "kernels/kernels.hpp"

#include <cstddef>
#include <cstdint>

namespace kvasir::kernels {

struct Limits {
  // Multiply-adds of floats in registers alone, as attention and linear_float have them. Returns how many.
  std::int64_t (*fma)(int rounds);
  // Multiply-adds of 16-bit integers into 32 bits, as linear_quantized has them.
  std::int64_t (*dot2)(int rounds);
  // Reads `size` bytes, a multiple of 256, and returns a sum of them.
  std::int64_t (*read)(const std::byte* from, std::size_t size);
};

// Of an instruction set that find() has.
Limits limits(Isa isa);

}  // namespace kvasir::kernels
