// Matrix products with quantised weights and 16-bit activations: exact integer sums inside a block, scaled sums in
// block order. weight_format.hpp has the layout.
#include "kernels/linear_tile.hpp"
#include "kernels/ops_cpu.hpp"
#include "kernels/weight_format.hpp"

namespace kvasir::kernels::KVASIR_ISA {
namespace {

constexpr int kPairs = kBlock / 2;
// How far ahead weights are asked for, in bytes: the processor's own prefetchers stop at the end of a page.
constexpr std::ptrdiff_t kAhead = 2048;

// One block's quants, pair by pair: two elements of 16 outputs. Loops over pairs unroll, so that every shift is a
// constant.
template <WeightFormat Format>
struct Quants {
  const std::byte* low;
  I32x16 word;
  I32x16 high;

  inline I32x16 pair(int p) {
    if constexpr (Format.low_bits == 8) {
      if (p % 2 == 0) word = load_int(low + p / 2 * 64);
      return p % 2 == 0 ? even_bytes(word) : odd_bytes(word);
    }
    if (p % 4 == 0) word = load_int(low + p / 4 * 64);
    I32x16 q = low_nibbles(shift_right(word, 4 * (p % 4)));
    if constexpr (Format.high_bits > 0) {
      constexpr int per_word = kPairs / Format.high_bits;
      if (p % per_word == 0) high = load_int(low + Format.low_bytes() + p / per_word * 64);
      const int down = Format.high_bits * (p % per_word) - 4;
      q = merge_bits(q, shift_right(high, down), Format.high_bits == 1 ? 0x00100010 : 0x00300030);
    }
    if constexpr (Format.zero != 0) q = sub_pairs(q, Format.zero);
    return q;
  }
};

// Scale or minimum of 16 outputs, by group of one block.
template <WeightFormat Format>
inline F32x16 scale_of(const std::byte* super, const std::byte* scales, int group) {
  if constexpr (Format.coded)
    return mul(load_f16(reinterpret_cast<const std::uint16_t*>(super)), load_i8(scales + group * kTile));
  else
    return load_f16(reinterpret_cast<const std::uint16_t*>(scales));
}
template <WeightFormat Format>
inline F32x16 minimum_of(const std::byte* super, const std::byte* scales, int group) {
  if constexpr (Format.coded)
    return mul(load_f16(reinterpret_cast<const std::uint16_t*>(super) + kTile),
               load_i8(scales + (Format.groups() + group) * kTile));
  else
    return load_f16(reinterpret_cast<const std::uint16_t*>(scales) + kTile);
}

template <WeightFormat Format>
inline float sum_of(const QuantizedRows& x, std::ptrdiff_t at, int group) {
  if constexpr (Format.groups() == 1) return x.sum[at];
  return group == 0 ? x.half_sum[at] : x.sum[at] - x.half_sum[at];
}

template <WeightFormat Format, int R>
void quantized_rows(const std::byte* tile, int blocks, const QuantizedRows& x, int m, const Target& to) {
  constexpr int chains = R == 1 ? 4 : R <= 3 ? 2 : 1;
  constexpr int pairs = Format.group / 2;
  const std::byte* scales = tile + Format.supers(blocks);
  const std::byte* quants = tile + Format.quants_at(blocks);
  const int cols = blocks * kBlock;
  const std::ptrdiff_t block_share = (Format.tile_bytes(blocks) + blocks - 1) / blocks;
  F32x16 acc[R];
  const std::int16_t* row[R];
  KVASIR_UNROLL(8)
  for (int r = 0; r < R; ++r) {
    acc[r] = zero();
    row[r] = x.q + static_cast<std::ptrdiff_t>(m + r) * cols;
  }
  for (int b = 0; b < blocks; ++b) {
    if (m == 0) prefetch(tile + b * block_share + kAhead, block_share);
    const std::byte* super = tile + b / (kSuper / kBlock) * Format.super_bytes();
    Quants<Format> block{quants, zero_int(), zero_int()};
    const auto add_group = [&](int group) __attribute__((always_inline)) {
      I32x16 sum[R][chains];
      KVASIR_UNROLL(8)
      for (int r = 0; r < R; ++r) {
        KVASIR_UNROLL(4)
        for (int c = 0; c < chains; ++c) sum[r][c] = zero_int();
      }
      KVASIR_UNROLL(16)
      for (int p = 0; p < pairs; ++p) {
        const I32x16 q = block.pair(group * pairs + p);
        KVASIR_UNROLL(8)
        for (int r = 0; r < R; ++r)
          sum[r][p % chains] = dot2(sum[r][p % chains], q, row[r] + group * Format.group + 2 * p);
      }
      const F32x16 scale = scale_of<Format>(super, scales, group);
      KVASIR_UNROLL(8)
      for (int r = 0; r < R; ++r) {
        if constexpr (chains >= 2) sum[r][0] = add(sum[r][0], sum[r][1]);
        if constexpr (chains == 4) sum[r][0] = add(sum[r][0], add(sum[r][2], sum[r][3]));
        const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(m + r) * blocks + b;
        acc[r] = fma(mul(to_float(sum[r][0]), scale), splat(x.scale[at]), acc[r]);
        if constexpr (Format.minimum)
          acc[r] = fma(minimum_of<Format>(super, scales, group), splat(sum_of<Format>(x, at, group)), acc[r]);
      }
    };
    add_group(0);
    if constexpr (Format.groups() == 2) add_group(1);
    KVASIR_UNROLL(8)
    for (int r = 0; r < R; ++r) row[r] += kBlock;
    scales += Format.scale_bytes();
    quants += Format.quant_bytes();
  }
  KVASIR_UNROLL(8)
  for (int r = 0; r < R; ++r) write(to, m + r, acc[r]);
}

template <WeightFormat Format>
void linear_formatted(const PackedMatrix& w, const QuantizedRows& x, int m, const float* bias, float* y,
                      std::ptrdiff_t ldy, int row_begin, int row_end) {
  const int blocks = w.cols / kBlock;
  for (int row = row_begin; row < row_end; row += kTile) {
    const std::byte* tile = w.data + row / kTile * Format.tile_bytes(blocks);
    const Target to = target(y, ldy, bias, row, row_end);
    in_row_groups(m, [&]<int R>(int first) { quantized_rows<Format, R>(tile, blocks, x, first, to); });
  }
}

constexpr int kFormats = sizeof kWeightFormats / sizeof kWeightFormats[0];

template <int I, typename F>
void with_format(WeightType type, const F& f) {
  if constexpr (I < kFormats) {
    if (kWeightFormats[I].type == type) return f.template operator()<I>();
    with_format<I + 1>(type, f);
  }
}

}  // namespace

void linear_quantized(const PackedMatrix& w, const QuantizedRows& x, int m, const float* bias, float* y,
                      std::ptrdiff_t ldy, int row_begin, int row_end) {
  with_format<0>(w.type,
                 [&]<int I>() { linear_formatted<kWeightFormats[I]>(w, x, m, bias, y, ldy, row_begin, row_end); });
}

void quantize_rows(const float* x, std::ptrdiff_t ldx, int m, int cols, const QuantizedRows& out) {
  const int blocks = cols / kBlock;
  for (int r = 0; r < m; ++r) {
    for (int b = 0; b < blocks; ++b) {
      const float* from = x + r * ldx + b * kBlock;
      const F32x16 low = load(from);
      const F32x16 high = load(from + 16);
      const float largest = max_lanes(max(abs(low), abs(high)));
      const float scale = largest / 32767.0F;
      // A block whose scale would be denormal is zero.
      const F32x16 inverse = splat(scale > 1e-37F ? 1.0F / scale : 0.0F);
      const F32x16 limit = splat(32767.0F);
      const F32x16 q_low = min(max(round(mul(low, inverse)), splat(-32767.0F)), limit);
      const F32x16 q_high = min(max(round(mul(high, inverse)), splat(-32767.0F)), limit);
      std::int16_t* to = out.q + static_cast<std::ptrdiff_t>(r) * cols + b * kBlock;
      store_i16(to, q_low);
      store_i16(to + 16, q_high);
      // Whole numbers below 2^24: exact in any order.
      const float half_sum = sum_lanes(q_low);
      const float sum = half_sum + sum_lanes(q_high);
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(r) * blocks + b;
      out.scale[at] = scale;
      out.sum[at] = scale * sum;
      out.half_sum[at] = scale * half_sum;
    }
  }
}

}  // namespace kvasir::kernels::KVASIR_ISA
