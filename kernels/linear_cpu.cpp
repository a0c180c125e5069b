// Matrix products with packed weights. A lane is one output; it is summed over K in order, block after block.
#include "kernels/ops_cpu.hpp"
#include "kernels/simd.hpp"

namespace kvasir::kernels::KVASIR_ISA {
namespace {

// Rows of activations held in registers at once. One row at a time would be bound by latency, so few rows take several
// accumulators (integers: any order is exact) or several tiles.
#if defined(KVASIR_ISA_avx512)
constexpr int kRows = 8;
#elif defined(KVASIR_ISA_avx2)
constexpr int kRows = 4;
#else
constexpr int kRows = 2;
#endif

struct Target {
  float* y;
  std::ptrdiff_t ldy;
  const float* bias;
  int row;    // first output of the tile
  int lanes;  // outputs of the tile inside [row_begin, row_end)
};

inline void write(const Target& to, int m, F32x16 sum) {
  if (to.bias != nullptr)
    sum = add(sum, to.lanes == kTile ? load(to.bias + to.row) : load_part(to.bias + to.row, to.lanes, 0));
  float* at = to.y + m * to.ldy + to.row;
  if (to.lanes == kTile)
    store(at, sum);
  else
    store_part(at, to.lanes, sum);
}

// Integer sums of 16 outputs over one block of 32, for R rows.
template <int R, int Chains>
inline void block_q4_1(const std::byte* w, const std::int16_t* const (&x)[R], I32x16 (&sum)[R][Chains]) {
  KVASIR_UNROLL(4)
  for (int j = 0; j < 4; ++j) {
    const I32x16 packed = load_int(w + j * 64);
    const I32x16 pairs[4] = {low_nibbles(packed), low_nibbles(shift_right<4>(packed)),
                             low_nibbles(shift_right<8>(packed)), low_nibbles(shift_right<12>(packed))};
    KVASIR_UNROLL(4)
    for (int s = 0; s < 4; ++s) KVASIR_UNROLL(8)
    for (int r = 0; r < R; ++r) sum[r][s % Chains] = dot2(sum[r][s % Chains], pairs[s], x[r] + j * 8 + s * 2);
  }
}

template <int R, int Chains>
inline void block_q8_0(const std::byte* w, const std::int16_t* const (&x)[R], I32x16 (&sum)[R][Chains]) {
  KVASIR_UNROLL(8)
  for (int j = 0; j < 8; ++j) {
    const I32x16 packed = load_int(w + j * 64);
    const I32x16 pairs[2] = {even_bytes(packed), odd_bytes(packed)};
    KVASIR_UNROLL(2)
    for (int s = 0; s < 2; ++s) KVASIR_UNROLL(8)
    for (int r = 0; r < R; ++r) {
      I32x16& chain = sum[r][(j * 2 + s) % Chains];
      chain = dot2(chain, pairs[s], x[r] + j * 4 + s * 2);
    }
  }
}

template <WeightType Type>
struct Layout;
template <>
struct Layout<WeightType::q4_1> {
  static constexpr int scale_bytes = 64;  // 16 f16 scales, 16 f16 minima
  static constexpr int quant_bytes = 256;
};
template <>
struct Layout<WeightType::q8_0> {
  static constexpr int scale_bytes = 32;
  static constexpr int quant_bytes = 512;
};

template <WeightType Type, int R>
void quantized_rows(const std::byte* tile, int blocks, const QuantizedRows& x, int m, const Target& to) {
  constexpr int chains = R == 1 ? 4 : R <= 3 ? 2 : 1;
  using L = Layout<Type>;
  const std::byte* scales = tile;
  const std::byte* quants = tile + static_cast<std::ptrdiff_t>(blocks) * L::scale_bytes;
  const int cols = blocks * kBlock;
  F32x16 acc[R];
  const std::int16_t* row[R];
  KVASIR_UNROLL(8)
  for (int r = 0; r < R; ++r) {
    acc[r] = zero();
    row[r] = x.q + static_cast<std::ptrdiff_t>(m + r) * cols;
  }
  for (int b = 0; b < blocks; ++b) {
    I32x16 sum[R][chains];
    KVASIR_UNROLL(8)
    for (int r = 0; r < R; ++r) KVASIR_UNROLL(4)
    for (int c = 0; c < chains; ++c) sum[r][c] = zero_int();
    if constexpr (Type == WeightType::q4_1)
      block_q4_1<R, chains>(quants, row, sum);
    else
      block_q8_0<R, chains>(quants, row, sum);
    const auto* d = reinterpret_cast<const std::uint16_t*>(scales);
    const F32x16 scale = load_f16(d);
    KVASIR_UNROLL(8)
    for (int r = 0; r < R; ++r) {
      if constexpr (chains >= 2) sum[r][0] = add(sum[r][0], sum[r][1]);
      if constexpr (chains == 4) sum[r][0] = add(sum[r][0], add(sum[r][2], sum[r][3]));
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(m + r) * blocks + b;
      acc[r] = fma(mul(to_float(sum[r][0]), scale), splat(x.scale[at]), acc[r]);
      if constexpr (Type == WeightType::q4_1) acc[r] = fma(load_f16(d + kTile), splat(x.sum[at]), acc[r]);
      row[r] += kBlock;
    }
    scales += L::scale_bytes;
    quants += L::quant_bytes;
  }
  KVASIR_UNROLL(8)
  for (int r = 0; r < R; ++r) write(to, m + r, acc[r]);
}

inline F32x16 load_weight(const float* p) {
  return load(p);
}
inline F32x16 load_weight(const std::uint16_t* p) {
  return load_f16(p);
}

// R rows of activations times T neighbouring tiles.
template <typename W, int R, int T>
void float_rows(const W* tile, int cols, const float* x, std::ptrdiff_t ldx, int m, const Target* to) {
  F32x16 acc[R][T];
  const float* row[R];
  KVASIR_UNROLL(8)
  for (int r = 0; r < R; ++r) {
    row[r] = x + (m + r) * ldx;
    KVASIR_UNROLL(4)
    for (int t = 0; t < T; ++t) acc[r][t] = zero();
  }
  const std::ptrdiff_t next_tile = static_cast<std::ptrdiff_t>(cols) * kTile;
  for (int k = 0; k < cols; ++k) {
    KVASIR_UNROLL(4)
    for (int t = 0; t < T; ++t) {
      const F32x16 w = load_weight(tile + t * next_tile + static_cast<std::ptrdiff_t>(k) * kTile);
      KVASIR_UNROLL(8)
      for (int r = 0; r < R; ++r) acc[r][t] = fma(w, splat(row[r][k]), acc[r][t]);
    }
  }
  KVASIR_UNROLL(8)
  for (int r = 0; r < R; ++r) KVASIR_UNROLL(4)
  for (int t = 0; t < T; ++t) write(to[t], m + r, acc[r][t]);
}

inline Target target(float* y, std::ptrdiff_t ldy, const float* bias, int row, int row_end) {
  return {y, ldy, bias, row, min(kTile, row_end - row)};
}

// Calls f.operator()<R>(first) for groups of R rows, as few and as even as kRows allows: 13 rows are 7 and 6, not 8,
// 4, 1.
template <int R, typename F>
inline void with_rows(int rows, int first, F f) {
  if constexpr (R > 1) {
    if (rows < R) return with_rows<R - 1>(rows, first, f);
  }
  f.template operator()<R>(first);
}
template <typename F>
inline void in_row_groups(int m, F f) {
  int first = 0;
  for (int groups = (m + kRows - 1) / kRows; groups > 0; --groups) {
    const int rows = (m - first + groups - 1) / groups;
    with_rows<kRows>(rows, first, f);
    first += rows;
  }
}

template <WeightType Type>
void linear_quantized_typed(const PackedMatrix& w, const QuantizedRows& x, int m, const float* bias, float* y,
                            std::ptrdiff_t ldy, int row_begin, int row_end) {
  const int blocks = w.cols / kBlock;
  const std::ptrdiff_t tile_bytes =
      static_cast<std::ptrdiff_t>(blocks) * (Layout<Type>::scale_bytes + Layout<Type>::quant_bytes);
  for (int row = row_begin; row < row_end; row += kTile) {
    const std::byte* tile = w.data + row / kTile * tile_bytes;
    const Target to = target(y, ldy, bias, row, row_end);
    in_row_groups(m, [&]<int R>(int first) { quantized_rows<Type, R>(tile, blocks, x, first, to); });
  }
}

template <typename W, int T>
void float_tiles(const W* tile, int cols, const float* x, std::ptrdiff_t ldx, int m, const Target* to) {
  in_row_groups(m, [&]<int R>(int first) { float_rows<W, R, T>(tile, cols, x, ldx, first, to); });
}

template <typename W>
void linear_float_typed(const PackedMatrix& w, const float* x, std::ptrdiff_t ldx, int m, const float* bias, float* y,
                        std::ptrdiff_t ldy, int row_begin, int row_end) {
  const W* data = reinterpret_cast<const W*>(w.data);
  constexpr int tiles = 2;
  int row = row_begin;
  for (; row + kTile < row_end; row += tiles * kTile) {
    const Target to[tiles] = {target(y, ldy, bias, row, row_end), target(y, ldy, bias, row + kTile, row_end)};
    float_tiles<W, tiles>(data + static_cast<std::ptrdiff_t>(row) * w.cols, w.cols, x, ldx, m, to);
  }
  if (row < row_end) {
    const Target to[1] = {target(y, ldy, bias, row, row_end)};
    float_tiles<W, 1>(data + static_cast<std::ptrdiff_t>(row) * w.cols, w.cols, x, ldx, m, to);
  }
}

}  // namespace

void linear_float(const PackedMatrix& w, const float* x, std::ptrdiff_t ldx, int m, const float* bias, float* y,
                  std::ptrdiff_t ldy, int row_begin, int row_end) {
  if (w.type == WeightType::f32)
    linear_float_typed<float>(w, x, ldx, m, bias, y, ldy, row_begin, row_end);
  else
    linear_float_typed<std::uint16_t>(w, x, ldx, m, bias, y, ldy, row_begin, row_end);
}

void linear_quantized(const PackedMatrix& w, const QuantizedRows& x, int m, const float* bias, float* y,
                      std::ptrdiff_t ldy, int row_begin, int row_end) {
  if (w.type == WeightType::q4_1)
    linear_quantized_typed<WeightType::q4_1>(w, x, m, bias, y, ldy, row_begin, row_end);
  else
    linear_quantized_typed<WeightType::q8_0>(w, x, m, bias, y, ldy, row_begin, row_end);
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
      int sum = 0;
      for (int i = 0; i < kBlock; ++i) sum += to[i];
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(r) * blocks + b;
      out.scale[at] = scale;
      out.sum[at] = scale * static_cast<float>(sum);
    }
  }
}

}  // namespace kvasir::kernels::KVASIR_ISA
