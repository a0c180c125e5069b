// The quantised blocks of GGUF, bit by bit. (ggml's ggml-common.h has the structures, gguf-py the arithmetic.)
#include "kernels/weight_format.hpp"

#include <cstring>

namespace kvasir::kernels {
namespace {

constexpr int kHalf = kBlock / 2;
constexpr int kBlocksPerSuper = kSuper / kBlock;
constexpr int kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

int byte_at(const std::byte* p, int i) {
  return std::to_integer<int>(p[i]);
}

std::uint16_t half_at(const std::byte* p) {
  std::uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return bits;
}

// Byte i holds element i in its low and element i + 16 in its high nibble.
int split_nibble(const std::byte* bytes, int element) {
  const int b = byte_at(bytes, element % kHalf);
  return element < kHalf ? b & 0xF : b >> 4;
}

template <typename F>
void fill(StoredBlock& block, F f) {
  for (int i = 0; i < kBlock; ++i) block.q[i] = static_cast<std::int16_t>(f(i));
}

void read_q4(StoredBlock& block, const std::byte* quants) {
  fill(block, [&](int i) { return split_nibble(quants, i); });
}

void read_q5(StoredBlock& block, const std::byte* high) {
  const std::byte* quants = high + 4;
  fill(block, [&](int i) { return split_nibble(quants, i) | ((byte_at(high, i / 8) >> (i % 8)) & 1) << 4; });
}

std::uint16_t negated(std::uint16_t half) {
  return half ^ 0x8000U;
}

// Eight 6-bit scales and minima in twelve bytes, of Q4_K and Q5_K.
void read_codes(StoredBlock& block, const std::byte* codes, int index) {
  int scale = 0;
  int minimum = 0;
  if (index < 4) {
    scale = byte_at(codes, index) & 63;
    minimum = byte_at(codes, index + 4) & 63;
  } else {
    scale = (byte_at(codes, index + 4) & 0xF) | (byte_at(codes, index - 4) >> 6) << 4;
    minimum = byte_at(codes, index + 4) >> 4 | (byte_at(codes, index) >> 6) << 4;
  }
  block.scale_codes[0] = static_cast<std::int8_t>(scale);
  block.minimum_codes[0] = static_cast<std::int8_t>(minimum);
}

void read_q2_k(StoredBlock& block, const std::byte* p, int index) {
  const std::byte* quants = p + 16 + index / 4 * kBlock;
  fill(block, [&](int i) { return (byte_at(quants, i) >> (2 * (index % 4))) & 3; });
  for (int g = 0; g < 2; ++g) {
    const int codes = byte_at(p, 2 * index + g);
    block.scale_codes[g] = static_cast<std::int8_t>(codes & 0xF);
    block.minimum_codes[g] = static_cast<std::int8_t>(codes >> 4);
  }
  block.scale = half_at(p + 80);
  block.minimum = negated(half_at(p + 82));
}

void read_q3_k(StoredBlock& block, const std::byte* p, int index) {
  const std::byte* high = p;
  const std::byte* quants = p + 32 + index / 4 * kBlock;
  const std::byte* codes = p + 96;
  fill(block,
       [&](int i) { return ((byte_at(quants, i) >> (2 * (index % 4))) & 3) | ((byte_at(high, i) >> index) & 1) << 2; });
  for (int g = 0; g < 2; ++g) {
    const int at = 2 * index + g;
    const int low = at < 8 ? byte_at(codes, at) & 0xF : byte_at(codes, at - 8) >> 4;
    const int upper = (byte_at(codes, 8 + at % 4) >> (2 * (at / 4))) & 3;
    block.scale_codes[g] = static_cast<std::int8_t>((low | upper << 4) - 32);
  }
  block.scale = half_at(p + 108);
}

void read_q4_k(StoredBlock& block, const std::byte* p, int index, const std::byte* quants, const std::byte* high) {
  const std::byte* bytes = quants + index / 2 * kBlock;
  const int shift = index % 2 * 4;
  fill(block, [&](int i) {
    const int upper = high == nullptr ? 0 : (byte_at(high, i) >> index) & 1;
    return ((byte_at(bytes, i) >> shift) & 0xF) | upper << 4;
  });
  block.scale = half_at(p);
  block.minimum = negated(half_at(p + 2));
  read_codes(block, p + 4, index);
}

void read_q6_k(StoredBlock& block, const std::byte* p, int index) {
  const int part = index % 4;
  const std::byte* low = p + index / 4 * 64 + part % 2 * kBlock;
  const std::byte* high = p + 128 + index / 4 * kBlock;
  fill(block, [&](int i) {
    return ((byte_at(low, i) >> (part / 2 * 4)) & 0xF) | ((byte_at(high, i) >> (2 * part)) & 3) << 4;
  });
  std::memcpy(block.scale_codes, p + 192 + 2 * index, 2);
  block.scale = half_at(p + 208);
}

void read_iq4_xs(StoredBlock& block, const std::byte* p, int index) {
  const std::byte* quants = p + 8 + index * kHalf;
  fill(block, [&](int i) { return kIq4Values[split_nibble(quants, i)]; });
  const int low = (byte_at(p + 4, index / 2) >> (index % 2 * 4)) & 0xF;
  const int upper = (half_at(p + 2) >> (2 * index)) & 3;
  block.scale_codes[0] = static_cast<std::int8_t>((low | upper << 4) - 32);
  block.scale = half_at(p);
}

}  // namespace

StoredBlock read_block(const WeightFormat& format, const std::byte* row, int index) {
  StoredBlock block{};
  const int per_stored = format.stored_block / kBlock;
  const std::byte* p = row + static_cast<std::ptrdiff_t>(index / per_stored) * format.stored_bytes;
  const int inner = index % kBlocksPerSuper;
  if (!format.coded) {
    block.scale = half_at(p);
    p += 2;
    if (format.minimum) {
      block.minimum = half_at(p);
      p += 2;
    }
  }
  switch (format.type) {
    case WeightType::q4_0:
    case WeightType::q4_1:
      read_q4(block, p);
      break;
    case WeightType::q5_0:
    case WeightType::q5_1:
      read_q5(block, p);
      break;
    case WeightType::q8_0:
      fill(block, [&](int i) { return std::to_integer<std::int8_t>(p[i]); });
      break;
    case WeightType::iq4_nl:
      fill(block, [&](int i) { return kIq4Values[split_nibble(p, i)]; });
      break;
    case WeightType::q2_k:
      read_q2_k(block, p, inner);
      break;
    case WeightType::q3_k:
      read_q3_k(block, p, inner);
      break;
    case WeightType::q4_k:
      read_q4_k(block, p, inner, p + 16, nullptr);
      break;
    case WeightType::q5_k:
      read_q4_k(block, p, inner, p + 48, p + 16);
      break;
    case WeightType::q6_k:
      read_q6_k(block, p, inner);
      break;
    case WeightType::iq4_xs:
      read_iq4_xs(block, p, inner);
      break;
    case WeightType::f32:
    case WeightType::f16:
    case WeightType::bf16:
      break;
  }
  return block;
}

}  // namespace kvasir::kernels
