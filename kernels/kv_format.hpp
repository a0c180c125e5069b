// How KV blocks hold their numbers, for the kernels that write and read them: the layouts of kernels::KvLayer.
#pragma once

#include "kernels/kernels.hpp"
#include "kernels/simd.hpp"

namespace kvasir::kernels::KVASIR_ISA {

template <KvType Type>
struct KvFormat;

template <>
struct KvFormat<KvType::f16> {
  static constexpr bool scaled = false;  // and rotated
  static constexpr int key_dims = 1;     // that one load gives
  static constexpr std::size_t bytes(std::ptrdiff_t values) { return static_cast<std::size_t>(values) * 2; }
  // Dimensions d, d + 1 … key_dims of 16 tokens' keys.
  static void load_keys(const std::byte* keys, int d, F32x16 (&to)[key_dims]) {
    to[0] = load_f16(reinterpret_cast<const std::uint16_t*>(keys) + static_cast<std::ptrdiff_t>(d) * kKvBlock);
  }
  // 16 dimensions of one token, from `at` = slot * head_dim + dimension on.
  static F32x16 load_values(const std::byte* values, std::ptrdiff_t at) {
    return load_f16(reinterpret_cast<const std::uint16_t*>(values) + at);
  }
};

template <>
struct KvFormat<KvType::int8> {
  static constexpr bool scaled = true;
  static constexpr float largest = 127;
  static constexpr int key_dims = 1;
  static constexpr std::size_t bytes(std::ptrdiff_t values) { return static_cast<std::size_t>(values); }
  static void load_keys(const std::byte* keys, int d, F32x16 (&to)[key_dims]) {
    to[0] = load_i8(keys + static_cast<std::ptrdiff_t>(d) * kKvBlock);
  }
  static F32x16 load_values(const std::byte* values, std::ptrdiff_t at) { return load_i8(values + at); }
};

template <>
struct KvFormat<KvType::int4> {
  static constexpr bool scaled = true;
  static constexpr float largest = 7.5F;
  static constexpr int key_dims = 2;
  static constexpr std::size_t bytes(std::ptrdiff_t values) { return static_cast<std::size_t>(values) / 2; }
  static void load_keys(const std::byte* keys, int d, F32x16 (&to)[key_dims]) {
    const std::byte* pair = keys + static_cast<std::ptrdiff_t>(d / 2) * kKvBlock;
    to[0] = load_nibbles(pair, false);
    to[1] = load_nibbles(pair, true);
  }
  static F32x16 load_values(const std::byte* values, std::ptrdiff_t at) { return load_split_nibbles(values + at / 2); }
};

// Multiplies x [dim] by a Hadamard matrix (of the largest power of two that divides dim, again and again along x),
// normalised: its own inverse.
inline void hadamard(float* x, int dim) {
  const int size = dim & -dim;
  for (int step = 1; step < size; step *= 2)
    for (int i = 0; i < dim; i += 2 * step)
      for (int j = i; j < i + step; ++j) {
        const float a = x[j];
        const float b = x[j + step];
        x[j] = a + b;
        x[j + step] = a - b;
      }
  const F32x16 norm = splat(1.0F / std::sqrt(static_cast<float>(size)));
  for (int d = 0; d < dim; d += 16) store(x + d, mul(load(x + d), norm));
}

}  // namespace kvasir::kernels::KVASIR_ISA
