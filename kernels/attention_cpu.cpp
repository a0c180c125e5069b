// Paged attention with float sums: one contract for prefill, decode and shifted blocks, over KV of every type.
//
// Keys are read in splits of 256, cut at absolute indices. Inside a split: scores (lanes are tokens), softmax, weighted
// values (lanes are dimensions, tokens in order). Splits are merged in order by (maximum, sum of exponentials), as in
// FlashDecoding. A query row's arithmetic follows from its own length only; rows are taken together to load keys once.
#include "kernels/kv_format.hpp"
#include "kernels/ops_cpu.hpp"
#include "kernels/simd.hpp"

namespace kvasir::kernels::KVASIR_ISA {
namespace {

constexpr int kSplit = 256;
constexpr int kSplitBlocks = kSplit / kKvBlock;
constexpr int kAhead = 4;  // blocks between keys that are read and those that are asked for
#if defined(KVASIR_ISA_avx512)
constexpr int kQueries = 8;  // query vectors in registers at once
#else
constexpr int kQueries = 4;
#endif

// The query vectors of one call, row by row: vector i belongs to row i / group.
struct Queries {
  int count;
  int group;
  int first_length;
  int window;  // 0: none

  // Vector i may see keys [hidden, visible) of the split that begins at `begin`, none if they are equal.
  int visible(int i, int begin) const { return inside(length(i) - begin); }
  int hidden(int i, int begin) const {
    return window == 0 ? 0 : min(visible(i, begin), inside(length(i) - window - begin));
  }
  // The first split that anybody sees.
  int first_split() const {
    const int oldest = window == 0 ? 0 : first_length - window;
    return oldest < 0 ? 0 : oldest / kSplit * kSplit;
  }

 private:
  int length(int i) const { return first_length + i / group; }
  static int inside(int keys) { return keys < 0 ? 0 : min(keys, kSplit); }
};

struct Scratch {
  float* scores;   // [queries, kSplit]
  float* rotated;  // [queries, head_dim]
  float* partial;  // [queries, head_dim]: one split's weighted values
  float* merged;   // [queries, head_dim]
  float* maximum;  // [queries]
  float* sum;      // [queries]
};

Scratch cut(float* memory, int queries, int head_dim) {
  Scratch s{};
  s.scores = memory;
  s.rotated = s.scores + static_cast<std::ptrdiff_t>(queries) * kSplit;
  s.partial = s.rotated + static_cast<std::ptrdiff_t>(queries) * head_dim;
  s.merged = s.partial + static_cast<std::ptrdiff_t>(queries) * head_dim;
  s.maximum = s.merged + static_cast<std::ptrdiff_t>(queries) * head_dim;
  s.sum = s.maximum + queries;
  return s;
}

// The scales of a block's 16 keys, or values.
template <KvType Type>
inline F32x16 scales_of(const std::byte* head, int head_dim) {
  const std::size_t at = KvFormat<Type>::bytes(static_cast<std::ptrdiff_t>(head_dim) * kKvBlock);
  return load_f16(reinterpret_cast<const std::uint16_t*>(head + at));
}

// Scores of N query vectors against B neighbouring blocks that share one shift.
template <KvType Type, int N, int B>
inline void score(const std::byte* const (&keys)[B], const float* q, int head_dim, float scale, float* scores) {
  using Format = KvFormat<Type>;
  F32x16 acc[N][B];
  KVASIR_UNROLL(8)
  for (int i = 0; i < N; ++i) {
    KVASIR_UNROLL(4)
    for (int b = 0; b < B; ++b) acc[i][b] = zero();
  }
  for (int d = 0; d < head_dim; d += Format::key_dims) {
    KVASIR_UNROLL(4)
    for (int b = 0; b < B; ++b) {
      F32x16 k[Format::key_dims];
      Format::load_keys(keys[b], d, k);
      KVASIR_UNROLL(2)
      for (int e = 0; e < Format::key_dims; ++e) {
        KVASIR_UNROLL(8)
        for (int i = 0; i < N; ++i)
          acc[i][b] = fma(k[e], splat(q[static_cast<std::ptrdiff_t>(i) * head_dim + d + e]), acc[i][b]);
      }
    }
  }
  KVASIR_UNROLL(4)
  for (int b = 0; b < B; ++b) {
    F32x16 factor = splat(scale);
    if constexpr (Format::scaled) factor = mul(factor, scales_of<Type>(keys[b], head_dim));
    KVASIR_UNROLL(8)
    for (int i = 0; i < N; ++i)
      store(scores + static_cast<std::ptrdiff_t>(i) * kSplit + b * kKvBlock, mul(acc[i][b], factor));
  }
}

template <KvType Type, int B>
void score_all(const std::byte* const (&keys)[B], const float* q, int count, int head_dim, float scale, float* scores) {
  int i = 0;
  const auto step = [&]<int N>() {
    score<Type, N, B>(keys, q + static_cast<std::ptrdiff_t>(i) * head_dim, head_dim, scale,
                      scores + static_cast<std::ptrdiff_t>(i) * kSplit);
    i += N;
  };
  while (i + kQueries <= count) step.template operator()<kQueries>();
  while (i + 4 <= count) step.template operator()<4>();
  while (i + 3 <= count) step.template operator()<3>();
  while (i < count) step.template operator()<1>();
}

// partial[i] = Σ_t p[i][t] V[t], tokens in order, for N query vectors and D groups of 16 dimensions.
template <KvType Type, int N, int D>
inline void weigh(const std::byte* const* values, int tokens, int head_dim, int dim, const float* p, float* partial) {
  F32x16 acc[N][D];
  KVASIR_UNROLL(8)
  for (int i = 0; i < N; ++i) {
    KVASIR_UNROLL(4)
    for (int d = 0; d < D; ++d) acc[i][d] = zero();
  }
  for (int t = 0; t < tokens; ++t) {
    const std::byte* block = values[t / kKvBlock];
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(t % kKvBlock) * head_dim + dim;
    KVASIR_UNROLL(4)
    for (int d = 0; d < D; ++d) {
      const F32x16 lane = KvFormat<Type>::load_values(block, at + d * 16);
      KVASIR_UNROLL(8)
      for (int i = 0; i < N; ++i)
        acc[i][d] = fma(lane, splat(p[static_cast<std::ptrdiff_t>(i) * kSplit + t]), acc[i][d]);
    }
  }
  KVASIR_UNROLL(8)
  for (int i = 0; i < N; ++i) {
    KVASIR_UNROLL(4)
    for (int d = 0; d < D; ++d) store(partial + static_cast<std::ptrdiff_t>(i) * head_dim + dim + d * 16, acc[i][d]);
  }
}

template <KvType Type, int N>
void weigh_all_dims(const std::byte* const* values, int tokens, int head_dim, const float* p, float* partial) {
  int dim = 0;
  constexpr int wide = N <= 4 ? 4 : 2;
  for (; dim + wide * 16 <= head_dim; dim += wide * 16) weigh<Type, N, wide>(values, tokens, head_dim, dim, p, partial);
  for (; dim < head_dim; dim += 16) weigh<Type, N, 1>(values, tokens, head_dim, dim, p, partial);
}

template <KvType Type>
void weigh_all(const std::byte* const* values, int tokens, int count, int head_dim, const float* p, float* partial) {
  int i = 0;
  const auto at = [&](float* base, int width) { return base + static_cast<std::ptrdiff_t>(i) * width; };
  const auto from = [&](int width) { return p + static_cast<std::ptrdiff_t>(i) * width; };
  for (; i + 4 <= count; i += 4) weigh_all_dims<Type, 4>(values, tokens, head_dim, from(kSplit), at(partial, head_dim));
  for (; i + 3 <= count; i += 3) weigh_all_dims<Type, 3>(values, tokens, head_dim, from(kSplit), at(partial, head_dim));
  for (; i < count; ++i) weigh_all_dims<Type, 1>(values, tokens, head_dim, from(kSplit), at(partial, head_dim));
}

// Takes the values' scales into the weights.
template <KvType Type>
void scale_weights(const std::byte* const* values, int blocks, int count, int head_dim, float* weights) {
  for (int b = 0; b < blocks; ++b) {
    const F32x16 scale = scales_of<Type>(values[b], head_dim);
    for (int i = 0; i < count; ++i) {
      float* p = weights + static_cast<std::ptrdiff_t>(i) * kSplit + b * kKvBlock;
      store(p, mul(load(p), scale));
    }
  }
}

// Turns scores [hidden, visible) into weights exp(s - maximum), the rest of `padded` into zeros. Returns (maximum,
// sum).
struct Soft {
  float maximum;
  float sum;
};
Soft soften(float* scores, int hidden, int visible, int padded) {
  const F32x16 lowest = splat(-INFINITY);
  for (int t = 0; t < hidden; ++t) scores[t] = -INFINITY;
  for (int t = visible; t < padded; ++t) scores[t] = -INFINITY;
  F32x16 top = lowest;
  for (int t = 0; t < padded; t += 16) top = max(top, load(scores + t));
  const float maximum = max_lanes(top);
  F32x16 acc = zero();
  for (int t = 0; t < padded; t += 16) {
    const F32x16 e = exp(sub(load(scores + t), splat(maximum)));
    store(scores + t, e);
    acc = add(acc, e);
  }
  return {maximum, sum_lanes(acc)};
}

float exp_scalar(float x) {
  alignas(64) float v[16];
  store(v, exp(splat(x)));
  return v[0];
}

void merge(const Scratch& s, int i, int head_dim, Soft soft) {
  const float* partial = s.partial + static_cast<std::ptrdiff_t>(i) * head_dim;
  float* merged = s.merged + static_cast<std::ptrdiff_t>(i) * head_dim;
  if (s.sum[i] == 0) {  // the first
    for (int d = 0; d < head_dim; d += 16) store(merged + d, load(partial + d));
    s.maximum[i] = soft.maximum;
    s.sum[i] = soft.sum;
    return;
  }
  const float maximum = s.maximum[i] > soft.maximum ? s.maximum[i] : soft.maximum;
  const float keep = exp_scalar(s.maximum[i] - maximum);
  const float gain = exp_scalar(soft.maximum - maximum);
  for (int d = 0; d < head_dim; d += 16)
    store(merged + d, fma(load(partial + d), splat(gain), mul(load(merged + d), splat(keep))));
  s.maximum[i] = maximum;
  s.sum[i] = std::fma(soft.sum, gain, s.sum[i] * keep);
}

template <KvType Type>
void attend(const KvLayer& kv, const AttentionShape& shape, const RopeTable& rope_table, const BlockRef* table,
            int first_length, int rows, int kv_head, const float* q, std::ptrdiff_t ldq, float* out, std::ptrdiff_t ldo,
            float* scratch) {
  const int dim = shape.head_dim;
  const int group = shape.heads / shape.kv_heads;
  const Queries queries{rows * group, group, first_length, shape.window};
  const Scratch s = cut(scratch, queries.count, dim);
  const auto head_stride = static_cast<std::ptrdiff_t>(kv_head_bytes(Type, dim));
  const int longest = first_length + rows - 1;

  int rotated_for = 0;
  const auto rotate = [&](int shift) {
    for (int i = 0; i < queries.count; ++i) {
      const float* from = q + i / group * ldq + static_cast<std::ptrdiff_t>(i % group) * dim;
      std::memcpy(s.rotated + static_cast<std::ptrdiff_t>(i) * dim, from,
                  static_cast<std::size_t>(dim) * sizeof(float));
    }
    if (shift != 0) rope(rope_table, s.rotated, queries.count, dim, -shift);
    if constexpr (KvFormat<Type>::scaled)
      for (int i = 0; i < queries.count; ++i) hadamard(s.rotated + static_cast<std::ptrdiff_t>(i) * dim, dim);
    rotated_for = shift;
  };
  rotate(0);
  for (int i = 0; i < queries.count; ++i) s.sum[i] = 0;

  for (int begin = queries.first_split(); begin < longest; begin += kSplit) {
    const int tokens = min(kSplit, longest - begin);
    const int blocks = (tokens + kKvBlock - 1) / kKvBlock;
    const BlockRef* refs = table + begin / kKvBlock;
    const std::byte* values[kSplitBlocks];
    for (int b = 0; b < blocks; ++b) values[b] = kv.v + refs[b].block * kv.block_stride + kv_head * head_stride;
    int asked = 0;
    for (int b = 0; b < blocks;) {
      // While scores are computed, the values that they will weigh and the keys of later ones come.
      for (; asked < min(b + 2, blocks); ++asked) {
        prefetch(values[asked], head_stride);
        if (begin + (asked + kAhead) * kKvBlock < longest)
          prefetch(kv.k + refs[asked + kAhead].block * kv.block_stride + kv_head * head_stride, head_stride);
      }
      if (refs[b].shift != rotated_for) rotate(refs[b].shift);
      const std::byte* first = kv.k + refs[b].block * kv.block_stride + kv_head * head_stride;
      float* scores = s.scores + b * kKvBlock;
      if (queries.count <= 4 && b + 1 < blocks && refs[b + 1].shift == rotated_for) {
        const std::byte* const pair[2] = {first, kv.k + refs[b + 1].block * kv.block_stride + kv_head * head_stride};
        score_all<Type, 2>(pair, s.rotated, queries.count, dim, shape.scale, scores);
        b += 2;
      } else {
        const std::byte* const one[1] = {first};
        score_all<Type, 1>(one, s.rotated, queries.count, dim, shape.scale, scores);
        b += 1;
      }
    }
    Soft soft[kAttentionRows * kMaxGroup];
    for (int i = 0; i < queries.count; ++i)
      soft[i] = soften(s.scores + static_cast<std::ptrdiff_t>(i) * kSplit, queries.hidden(i, begin),
                       queries.visible(i, begin), blocks * kKvBlock);
    if constexpr (KvFormat<Type>::scaled) scale_weights<Type>(values, blocks, queries.count, dim, s.scores);
    weigh_all<Type>(values, tokens, queries.count, dim, s.scores, s.partial);
    for (int i = 0; i < queries.count; ++i)
      if (queries.hidden(i, begin) < queries.visible(i, begin)) merge(s, i, dim, soft[i]);
  }

  for (int i = 0; i < queries.count; ++i) {
    const F32x16 inverse = splat(1.0F / s.sum[i]);
    float* to = out + i / group * ldo + static_cast<std::ptrdiff_t>(i % group) * dim;
    const float* merged = s.merged + static_cast<std::ptrdiff_t>(i) * dim;
    for (int d = 0; d < dim; d += 16) store(to + d, mul(load(merged + d), inverse));
    if constexpr (KvFormat<Type>::scaled) hadamard(to, dim);
  }
}

}  // namespace

void attention(const KvLayer& kv, const AttentionShape& shape, const RopeTable& rope_table, const BlockRef* table,
               int first_length, int rows, int kv_head, const float* q, std::ptrdiff_t ldq, float* out,
               std::ptrdiff_t ldo, float* scratch) {
  const auto run = [&]<KvType Type>() {
    attend<Type>(kv, shape, rope_table, table, first_length, rows, kv_head, q, ldq, out, ldo, scratch);
  };
  switch (kv.type) {
    case KvType::f16:
      return run.template operator()<KvType::f16>();
    case KvType::int8:
      return run.template operator()<KvType::int8>();
    case KvType::int4:
      return run.template operator()<KvType::int4>();
  }
}

}  // namespace kvasir::kernels::KVASIR_ISA
