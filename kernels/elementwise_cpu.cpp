// Norms, activations and other work on one row at a time.
#include "kernels/ops_cpu.hpp"
#include "kernels/simd.hpp"

namespace kvasir::kernels::KVASIR_ISA {
namespace {

// Runs f(at, n) over [0, n) in steps of 16; the last step may be shorter.
template <typename F>
inline void for_lanes(int n, F f) {
  int i = 0;
  for (; i + 16 <= n; i += 16) f(i, 16);
  if (i < n) f(i, n - i);
}

inline F32x16 take(const float* p, int n, float rest = 0) {
  return n == 16 ? load(p) : load_part(p, n, rest);
}
inline void put(float* p, int n, F32x16 x) {
  if (n == 16)
    store(p, x);
  else
    store_part(p, n, x);
}

inline float sum_of(const float* x, int n) {
  F32x16 acc = zero();
  for_lanes(n, [&](int i, int lanes) { acc = add(acc, take(x + i, lanes)); });
  return sum_lanes(acc);
}

// erf by Abramowitz & Stegun 7.1.26, absolute error under 1.5e-7.
inline F32x16 erf(F32x16 x) {
  const F32x16 one = splat(1.0F);
  const F32x16 a = abs(x);
  const F32x16 t = div(one, fma(a, splat(0.3275911F), one));
  F32x16 p = splat(1.061405429F);
  p = fma(p, t, splat(-1.453152027F));
  p = fma(p, t, splat(1.421413741F));
  p = fma(p, t, splat(-0.284496736F));
  p = fma(p, t, splat(0.254829592F));
  const F32x16 tail = mul(mul(p, t), exp(sub(zero(), mul(a, a))));
  return copysign(sub(one, tail), x);
}

}  // namespace

void rms_norm(const float* x, const float* weight, float* y, int n, float eps) {
  F32x16 acc = zero();
  for_lanes(n, [&](int i, int lanes) {
    const F32x16 v = take(x + i, lanes);
    acc = fma(v, v, acc);
  });
  const F32x16 inverse = splat(1.0F / std::sqrt(sum_lanes(acc) / static_cast<float>(n) + eps));
  for_lanes(
      n, [&](int i, int lanes) { put(y + i, lanes, mul(mul(take(x + i, lanes), inverse), take(weight + i, lanes))); });
}

void layer_norm(const float* x, const float* weight, const float* bias, float* y, int n, float eps) {
  const float count = static_cast<float>(n);
  const float mean = sum_of(x, n) / count;
  F32x16 acc = zero();
  for_lanes(n, [&](int i, int lanes) {
    const F32x16 v = sub(take(x + i, lanes, mean), splat(mean));
    acc = fma(v, v, acc);
  });
  const F32x16 inverse = splat(1.0F / std::sqrt(sum_lanes(acc) / count + eps));
  for_lanes(n, [&](int i, int lanes) {
    const F32x16 v = mul(sub(take(x + i, lanes), splat(mean)), inverse);
    put(y + i, lanes, fma(v, take(weight + i, lanes), take(bias + i, lanes)));
  });
}

void swiglu(const float* gate, const float* up, float* y, int n) {
  const F32x16 one = splat(1.0F);
  for_lanes(n, [&](int i, int lanes) {
    const F32x16 g = take(gate + i, lanes);
    const F32x16 silu = div(g, add(one, exp(sub(zero(), g))));
    put(y + i, lanes, mul(silu, take(up + i, lanes)));
  });
}

// x (1 + tanh z) / 2 = x / (1 + e^-2z).
void geglu(const float* gate, const float* up, float* y, int n) {
  const F32x16 one = splat(1.0F);
  for_lanes(n, [&](int i, int lanes) {
    const F32x16 g = take(gate + i, lanes);
    const F32x16 inner = mul(splat(-2.0F * 0.7978845608F), fma(mul(mul(g, g), g), splat(0.044715F), g));
    put(y + i, lanes, mul(div(g, add(one, exp(inner))), take(up + i, lanes)));
  });
}

void gelu(float* x, int n) {
  const F32x16 half = splat(0.5F);
  for_lanes(n, [&](int i, int lanes) {
    const F32x16 v = take(x + i, lanes);
    const F32x16 phi = fma(erf(mul(v, splat(0.70710678F))), half, half);
    put(x + i, lanes, mul(v, phi));
  });
}

void add_to(float* x, const float* y, int n) {
  for_lanes(n, [&](int i, int lanes) { put(x + i, lanes, add(take(x + i, lanes), take(y + i, lanes))); });
}

void softmax(float* x, int n) {
  F32x16 top = splat(x[0]);
  for_lanes(n, [&](int i, int lanes) { top = max(top, take(x + i, lanes, x[0])); });
  const F32x16 largest = splat(max_lanes(top));
  F32x16 acc = zero();
  for_lanes(n, [&](int i, int lanes) {
    put(x + i, lanes, exp(sub(take(x + i, lanes), largest)));
    acc = add(acc, take(x + i, lanes));
  });
  const F32x16 inverse = splat(1.0F / sum_lanes(acc));
  for_lanes(n, [&](int i, int lanes) { put(x + i, lanes, mul(take(x + i, lanes), inverse)); });
}

float dot(const float* a, const float* b, int n) {
  F32x16 acc = zero();
  for_lanes(n, [&](int i, int lanes) { acc = fma(take(a + i, lanes), take(b + i, lanes), acc); });
  return sum_lanes(acc);
}

void rope(const RopeTable& table, float* x, int heads, int head_dim, int position) {
  const int half = table.rotated_dims / 2;
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(position < 0 ? -position : position) * half;
  const float sign = position < 0 ? -1.0F : 1.0F;
  const int stride = table.interleaved ? 2 : 1;
  const int distance = table.interleaved ? 1 : half;
  for (int h = 0; h < heads; ++h, x += head_dim) {
    for (int i = 0; i < half; ++i) {
      const float c = table.cos[row + i];
      const float s = sign * table.sin[row + i];
      float& first = x[i * stride];
      float& second = x[i * stride + distance];
      const float a = first * c - second * s;
      second = first * s + second * c;
      first = a;
    }
  }
}

}  // namespace kvasir::kernels::KVASIR_ISA
