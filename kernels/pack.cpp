// From GGUF's rows to tiles of 16 rows in the order in which the kernels read them.
//
// f32, f16: tile [cols][16]. q4_1: tile [blocks][16 f16 scale, 16 f16 minimum] then [blocks][4][16] words of 8 nibbles;
// nibbles s and s + 4 of a word are inputs 2s and 2s + 1, so that one shift and mask gives 16 pairs. q8_0: tile
// [blocks][16 f16 scale] then [blocks][8][16] words of 4 bytes; bytes (0, 2) and (1, 3) are inputs (0, 1) and (2, 3).
#include "kernels/kernels.hpp"

#include <cstring>

namespace kvasir::kernels {
namespace {

struct BlockFormat {
  std::size_t stored;  // bytes of 32 elements in the file
  std::size_t scales;  // bytes of 16 rows' scales in a tile
  std::size_t quants;  // bytes of 16 rows' 32 elements in a tile
};

BlockFormat format(WeightType type) {
  switch (type) {
    case WeightType::f32:
      return {kBlock * 4, 0, kBlock * 4 * kTile};
    case WeightType::f16:
      return {kBlock * 2, 0, kBlock * 2 * kTile};
    case WeightType::q4_1:
      return {20, 64, 256};
    case WeightType::q8_0:
      return {34, 32, 512};
  }
  return {};
}

std::size_t tiles_of(int rows) {
  return (static_cast<std::size_t>(rows) + kTile - 1) / kTile;
}

std::size_t tile_bytes(WeightType type, int cols) {
  if (type == WeightType::f32) return static_cast<std::size_t>(cols) * kTile * 4;
  if (type == WeightType::f16) return static_cast<std::size_t>(cols) * kTile * 2;
  const BlockFormat f = format(type);
  return static_cast<std::size_t>(cols) / kBlock * (f.scales + f.quants);
}

std::uint32_t byte_at(const std::byte* p, int i) {
  return std::to_integer<std::uint32_t>(p[i]);
}

// GGUF's Q4_1: f16 scale, f16 minimum, 16 bytes; byte i holds element i (low nibble) and i + 16 (high).
std::uint32_t nibble(const std::byte* block, int element) {
  const std::uint32_t b = byte_at(block + 4, element % 16);
  return element < 16 ? b & 0xFU : b >> 4;
}

void put_word(std::byte* to, int word, int lane, std::uint32_t bits) {
  std::memcpy(to + (static_cast<std::ptrdiff_t>(word) * kTile + lane) * 4, &bits, sizeof bits);
}

void pack_q4_1(const std::byte* block, int lane, std::byte* scales, std::byte* quants) {
  std::memcpy(scales + lane * 2, block, 2);
  std::memcpy(scales + 32 + lane * 2, block + 2, 2);
  for (int word = 0; word < 4; ++word) {
    std::uint32_t bits = 0;
    for (int s = 0; s < 4; ++s) {
      bits |= nibble(block, word * 8 + 2 * s) << (4 * s);
      bits |= nibble(block, word * 8 + 2 * s + 1) << (4 * s + 16);
    }
    put_word(quants, word, lane, bits);
  }
}

void pack_q8_0(const std::byte* block, int lane, std::byte* scales, std::byte* quants) {
  std::memcpy(scales + lane * 2, block, 2);
  for (int word = 0; word < 8; ++word) {
    const std::byte* q = block + 2 + word * 4;
    const std::uint32_t bits = byte_at(q, 0) | byte_at(q, 2) << 8 | byte_at(q, 1) << 16 | byte_at(q, 3) << 24;
    put_word(quants, word, lane, bits);
  }
}

}  // namespace

std::size_t packed_bytes(WeightType type, int rows, int cols) {
  return tiles_of(rows) * tile_bytes(type, cols);
}

std::size_t stored_bytes(WeightType type, std::size_t rows, std::size_t cols) {
  if (type == WeightType::f32) return rows * cols * 4;
  if (type == WeightType::f16) return rows * cols * 2;
  return rows * (cols / kBlock) * format(type).stored;
}

void pack(WeightType type, const std::byte* stored, int rows, int cols, int row_offset, std::byte* packed) {
  const BlockFormat f = format(type);
  const int blocks = cols / kBlock;
  const std::size_t row_bytes = stored_bytes(type, 1, static_cast<std::size_t>(cols));
  for (int row = 0; row < rows; ++row) {
    const int at = row_offset + row;
    const int lane = at % kTile;
    std::byte* tile = packed + static_cast<std::size_t>(at / kTile) * tile_bytes(type, cols);
    const std::byte* from = stored + static_cast<std::size_t>(row) * row_bytes;
    if (type == WeightType::f32 || type == WeightType::f16) {
      const std::size_t width = type == WeightType::f32 ? 4 : 2;
      for (int k = 0; k < cols; ++k)
        std::memcpy(tile + (static_cast<std::size_t>(k) * kTile + static_cast<std::size_t>(lane)) * width,
                    from + static_cast<std::size_t>(k) * width, width);
      continue;
    }
    std::byte* quants = tile + static_cast<std::size_t>(blocks) * f.scales;
    for (int b = 0; b < blocks; ++b) {
      const auto block = static_cast<std::size_t>(b);
      if (type == WeightType::q4_1)
        pack_q4_1(from + block * f.stored, lane, tile + block * f.scales, quants + block * f.quants);
      else
        pack_q8_0(from + block * f.stored, lane, tile + block * f.scales, quants + block * f.quants);
    }
  }
}

void dequantize_row(WeightType type, const std::byte* stored, int cols, float* out) {
  if (type == WeightType::f32) {
    std::memcpy(out, stored, static_cast<std::size_t>(cols) * 4);
    return;
  }
  const auto half = [](const std::byte* p) {
    std::uint16_t bits;
    std::memcpy(&bits, p, sizeof bits);
    return f16_to_f32(bits);
  };
  if (type == WeightType::f16) {
    for (int i = 0; i < cols; ++i) out[i] = half(stored + static_cast<std::ptrdiff_t>(i) * 2);
    return;
  }
  const std::size_t step = format(type).stored;
  for (int b = 0; b < cols / kBlock; ++b, stored += step, out += kBlock) {
    const float scale = half(stored);
    for (int i = 0; i < kBlock; ++i)
      out[i] = type == WeightType::q4_1 ? static_cast<float>(nibble(stored, i)) * scale + half(stored + 2)
                                        : static_cast<float>(std::to_integer<std::int8_t>(stored[2 + i])) * scale;
  }
}

}  // namespace kvasir::kernels
