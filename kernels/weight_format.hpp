// How each type of quantised weights is stored in a file, and how it is packed for the kernels. Private to kernels/.
//
// A packed matrix is a row of tiles; a tile is 16 outputs over all of K:
//
//   supers   for every 256 elements: f16 [16 lanes], and as many minima      (types with coded scales only)
//   scales   for every block of 32: the scales of its groups, then their minima; f16 [16 lanes], or int8 [16 lanes]
//            that count in units of the super
//   quants   for every block of 32: the low bits of all elements, then their high bits, one 32-bit word a lane at a
//   time
//
// A value is scale * (q - zero) + minimum. Elements lie in pairs, the first in the lower and the second in the upper
// half of a word, so that one instruction multiplies a pair of 16-bit integers in each lane:
//
//   low, 4 bits   word j: pair 4 j + s at bits 4 s and 16 + 4 s             (8 elements a word)
//   low, 8 bits   word j: elements 4 j, 4 j + 2, 4 j + 1, 4 j + 3, signed   (4 elements a word)
//   high, 1 bit   pair p at bits p and 16 + p                               (32 elements a word)
//   high, 2 bits  word j: pair 8 j + s at bits 2 s and 16 + 2 s             (16 elements a word)
#pragma once

#include "kernels/kernels.hpp"

#include <cstddef>

namespace kvasir::kernels {

inline constexpr int kSuper = 256;  // elements that share a super

struct WeightFormat {
  WeightType type;
  int stored_block;  // elements and bytes of a block in the file
  int stored_bytes;
  int low_bits;  // packed, of an element: 4 or 8
  int high_bits;
  int zero;
  int group;  // elements that share a scale: 16 or 32
  bool minimum;
  bool coded;  // scales are int8 in units of an f16

  // Always inline: the linker must not merge copies that were compiled for different instruction sets.
  [[gnu::always_inline]] constexpr int groups() const { return kBlock / group; }
  [[gnu::always_inline]] constexpr int super_bytes() const { return coded ? (minimum ? 4 : 2) * kTile : 0; }
  [[gnu::always_inline]] constexpr int scale_bytes() const {
    return groups() * (minimum ? 2 : 1) * (coded ? 1 : 2) * kTile;
  }
  [[gnu::always_inline]] constexpr int low_bytes() const { return low_bits * kBlock / 8 * kTile; }
  [[gnu::always_inline]] constexpr int quant_bytes() const { return (low_bits + high_bits) * kBlock / 8 * kTile; }
  // Of a tile with `blocks` blocks of 32.
  [[gnu::always_inline]] constexpr std::ptrdiff_t supers(int blocks) const {
    return blocks / (kSuper / kBlock) * super_bytes();
  }
  [[gnu::always_inline]] constexpr std::ptrdiff_t quants_at(int blocks) const {
    return supers(blocks) + std::ptrdiff_t{blocks} * scale_bytes();
  }
  [[gnu::always_inline]] constexpr std::ptrdiff_t tile_bytes(int blocks) const {
    return quants_at(blocks) + std::ptrdiff_t{blocks} * quant_bytes();
  }
};

// IQ4's nibbles name values of a table, so they are packed as 8 bits; Q2_K and Q3_K take 4.
inline constexpr WeightFormat kWeightFormats[] = {
    {WeightType::q4_0, 32, 18, 4, 0, 8, 32, false, false},   {WeightType::q4_1, 32, 20, 4, 0, 0, 32, true, false},
    {WeightType::q5_0, 32, 22, 4, 1, 16, 32, false, false},  {WeightType::q5_1, 32, 24, 4, 1, 0, 32, true, false},
    {WeightType::q8_0, 32, 34, 8, 0, 0, 32, false, false},   {WeightType::q2_k, 256, 84, 4, 0, 0, 16, true, true},
    {WeightType::q3_k, 256, 110, 4, 0, 4, 16, false, true},  {WeightType::q4_k, 256, 144, 4, 0, 0, 32, true, true},
    {WeightType::q5_k, 256, 176, 4, 1, 0, 32, true, true},   {WeightType::q6_k, 256, 210, 4, 2, 32, 16, false, true},
    {WeightType::iq4_nl, 32, 18, 8, 0, 0, 32, false, false}, {WeightType::iq4_xs, 256, 136, 8, 0, 0, 32, false, true},
};

// nullptr for plain floats.
constexpr const WeightFormat* weight_format(WeightType type) {
  for (const WeightFormat& format : kWeightFormats)
    if (format.type == type) return &format;
  return nullptr;
}

// Thirty-two elements of a row as the file has them.
struct StoredBlock {
  std::int16_t q[kBlock];      // before `zero` is taken off
  std::uint16_t scale;         // f16: the block's, or its super's
  std::uint16_t minimum;       // f16, likewise; added
  std::int8_t scale_codes[2];  // by group, of a type with coded scales
  std::int8_t minimum_codes[2];
};

// Reads block `index` of a stored row.
StoredBlock read_block(const WeightFormat& format, const std::byte* row, int index);

}  // namespace kvasir::kernels
