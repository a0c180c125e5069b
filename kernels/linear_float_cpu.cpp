// Matrix products with weights that are plain floats.
#include "kernels/linear_tile.hpp"
#include "kernels/ops_cpu.hpp"

namespace kvasir::kernels::KVASIR_ISA {
namespace {

struct Half {
  std::uint16_t bits;
};
struct BrainFloat {
  std::uint16_t bits;
};

inline F32x16 load_weight(const float* p) {
  return load(p);
}
inline F32x16 load_weight(const Half* p) {
  return load_f16(&p->bits);
}
inline F32x16 load_weight(const BrainFloat* p) {
  return load_bf16(&p->bits);
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
  else if (w.type == WeightType::f16)
    linear_float_typed<Half>(w, x, ldx, m, bias, y, ldy, row_begin, row_end);
  else
    linear_float_typed<BrainFloat>(w, x, ldx, m, bias, y, ldy, row_begin, row_end);
}

}  // namespace kvasir::kernels::KVASIR_ISA
