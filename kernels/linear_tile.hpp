// What the matrix products share: tiles of 16 outputs and groups of rows. Private to linear_*_cpu.cpp.
//
// A lane is one output; it is summed over K in order, block after block.
#pragma once

#include "kernels/simd.hpp"

#include <cstddef>

namespace kvasir::kernels::KVASIR_ISA {

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

}  // namespace kvasir::kernels::KVASIR_ISA
