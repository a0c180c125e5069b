#include "kernels/kernels.hpp"
#include "kernels/weight_format.hpp"

#include <cstring>

namespace kvasir::kernels {
namespace {

std::size_t tiles_of(int rows) {
  return (static_cast<std::size_t>(rows) + kTile - 1) / kTile;
}

// Bytes of an element; 0 for quantised types.
std::size_t float_bytes(WeightType type) {
  if (type == WeightType::f32) return 4;
  return type == WeightType::f16 || type == WeightType::bf16 ? 2 : 0;
}

std::size_t tile_bytes(WeightType type, int cols) {
  if (const std::size_t width = float_bytes(type)) return static_cast<std::size_t>(cols) * kTile * width;
  return static_cast<std::size_t>(weight_format(type)->tile_bytes(cols / kBlock));
}

// Writes 32-bit words one lane at a time.
class Words {
 public:
  Words(std::byte* to, int lane) : to_(to + lane * 4) {}
  void put(std::uint32_t bits) {
    std::memcpy(to_, &bits, sizeof bits);
    to_ += kTile * 4;
  }

 private:
  std::byte* to_;
};

// `bits` bits of `per_word / 2` neighbouring pairs, beginning with bit `from` of each element.
void put_pairs(Words& words, const std::int16_t* q, int from, int bits) {
  const int pairs = 16 / bits;
  const std::uint32_t mask = (1U << bits) - 1;
  for (int first = 0; first < kBlock; first += 2 * pairs) {
    std::uint32_t word = 0;
    for (int s = 0; s < pairs; ++s) {
      const auto low = static_cast<std::uint32_t>(q[first + 2 * s]) >> from & mask;
      const auto high = static_cast<std::uint32_t>(q[first + 2 * s + 1]) >> from & mask;
      word |= low << (bits * s) | high << (16 + bits * s);
    }
    words.put(word);
  }
}

void put_bytes(Words& words, const std::int16_t* q) {
  const auto byte = [](std::int16_t value) { return static_cast<std::uint32_t>(value) & 0xFFU; };
  for (int i = 0; i < kBlock; i += 4)
    words.put(byte(q[i]) | byte(q[i + 2]) << 8 | byte(q[i + 1]) << 16 | byte(q[i + 3]) << 24);
}

void put_scales(const WeightFormat& format, const StoredBlock& block, int lane, int index, std::byte* tile,
                int blocks) {
  std::byte* scales = tile + format.supers(blocks) + std::ptrdiff_t{index} * format.scale_bytes();
  std::byte* halves = format.coded ? tile + index / (kSuper / kBlock) * format.super_bytes() : scales;
  std::memcpy(halves + lane * 2, &block.scale, 2);
  if (format.minimum) std::memcpy(halves + kTile * 2 + lane * 2, &block.minimum, 2);
  if (!format.coded) return;
  for (int g = 0; g < format.groups(); ++g) {
    scales[g * kTile + lane] = static_cast<std::byte>(block.scale_codes[g]);
    if (format.minimum) scales[(format.groups() + g) * kTile + lane] = static_cast<std::byte>(block.minimum_codes[g]);
  }
}

void pack_row(const WeightFormat& format, const std::byte* row, int blocks, int lane, std::byte* tile) {
  for (int b = 0; b < blocks; ++b) {
    const StoredBlock block = read_block(format, row, b);
    put_scales(format, block, lane, b, tile, blocks);
    Words words(tile + format.quants_at(blocks) + std::ptrdiff_t{b} * format.quant_bytes(), lane);
    if (format.low_bits == 8)
      put_bytes(words, block.q);
    else
      put_pairs(words, block.q, 0, 4);
    if (format.high_bits > 0) put_pairs(words, block.q, 4, format.high_bits);
  }
}

void dequantize_block(const WeightFormat& format, const StoredBlock& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  const float minimum = f16_to_f32(block.minimum);
  for (int g = 0; g < format.groups(); ++g) {
    const float unit = format.coded ? scale * static_cast<float>(block.scale_codes[g]) : scale;
    const float lowest = format.coded ? minimum * static_cast<float>(block.minimum_codes[g]) : minimum;
    for (int i = g * format.group; i < (g + 1) * format.group; ++i) {
      const float value = unit * static_cast<float>(block.q[i] - format.zero);
      out[i] = format.minimum ? value + lowest : value;
    }
  }
}

}  // namespace

bool is_quantized(WeightType type) {
  return weight_format(type) != nullptr;
}

std::size_t packed_bytes(WeightType type, int rows, int cols) {
  return tiles_of(rows) * tile_bytes(type, cols);
}

std::size_t stored_bytes(WeightType type, std::size_t rows, std::size_t cols) {
  if (const std::size_t width = float_bytes(type)) return rows * cols * width;
  const WeightFormat& format = *weight_format(type);
  return rows * (cols / static_cast<std::size_t>(format.stored_block)) * static_cast<std::size_t>(format.stored_bytes);
}

void pack(WeightType type, const std::byte* stored, int rows, int cols, int row_offset, std::byte* packed) {
  const std::size_t row_bytes = stored_bytes(type, 1, static_cast<std::size_t>(cols));
  const std::size_t width = float_bytes(type);
  for (int row = 0; row < rows; ++row) {
    const int at = row_offset + row;
    const int lane = at % kTile;
    std::byte* tile = packed + static_cast<std::size_t>(at / kTile) * tile_bytes(type, cols);
    const std::byte* from = stored + static_cast<std::size_t>(row) * row_bytes;
    if (width == 0) {
      pack_row(*weight_format(type), from, cols / kBlock, lane, tile);
      continue;
    }
    for (int k = 0; k < cols; ++k)
      std::memcpy(tile + (static_cast<std::size_t>(k) * kTile + static_cast<std::size_t>(lane)) * width,
                  from + static_cast<std::size_t>(k) * width, width);
  }
}

void dequantize_row(WeightType type, const std::byte* stored, int cols, float* out) {
  if (type == WeightType::f32) {
    std::memcpy(out, stored, static_cast<std::size_t>(cols) * 4);
    return;
  }
  if (const WeightFormat* format = weight_format(type)) {
    for (int b = 0; b < cols / kBlock; ++b, out += kBlock)
      dequantize_block(*format, read_block(*format, stored, b), out);
    return;
  }
  for (int i = 0; i < cols; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, stored + static_cast<std::ptrdiff_t>(i) * 2, sizeof bits);
    out[i] = type == WeightType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
  }
}

}  // namespace kvasir::kernels
