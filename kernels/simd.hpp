// Sixteen lanes of float or int32, whatever the instruction set: one zmm, two ymm, or a plain array. Private to
// *_cpu.cpp.
//
// Everything lives in a namespace named after the instruction set, and nothing here or in the kernels calls a function
// template of the standard library: the linker merges those across builds, and code for AVX-512 would then run
// everywhere.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(KVASIR_ISA_avx2) || defined(KVASIR_ISA_avx512)
#include <immintrin.h>
#endif

#include "kernels/kernels.hpp"

// Register tiles are loops over constant counts; unrolled they are registers. Plain arrays gain nothing from it.
#if defined(KVASIR_ISA_generic)
#define KVASIR_UNROLL(n)
#else
#define KVASIR_PRAGMA(text) _Pragma(#text)
#define KVASIR_UNROLL(n) KVASIR_PRAGMA(GCC unroll n)
#endif

namespace kvasir::kernels::KVASIR_ISA {

inline void prefetch(const std::byte* from, std::ptrdiff_t size) {
  for (std::ptrdiff_t at = 0; at < size; at += 64) __builtin_prefetch(from + at);
}
inline int min(int a, int b) {
  return a < b ? a : b;
}

#if defined(KVASIR_ISA_avx512)

struct F32x16 {
  __m512 v;
};
struct I32x16 {
  __m512i v;
};

inline F32x16 zero() {
  return {_mm512_setzero_ps()};
}
inline F32x16 splat(float x) {
  return {_mm512_set1_ps(x)};
}
inline F32x16 load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline void store(float* p, F32x16 a) {
  _mm512_storeu_ps(p, a.v);
}
inline F32x16 load_f16(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void store_f16(std::uint16_t* p, F32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline F32x16 load_bf16(const std::uint16_t* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
// 16 signed bytes.
inline F32x16 load_i8(const void* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))))};
}
inline F32x16 add(F32x16 a, F32x16 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline F32x16 sub(F32x16 a, F32x16 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline F32x16 mul(F32x16 a, F32x16 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline F32x16 div(F32x16 a, F32x16 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline F32x16 max(F32x16 a, F32x16 b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline F32x16 min(F32x16 a, F32x16 b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline F32x16 abs(F32x16 a) {
  return {_mm512_abs_ps(a.v)};
}
inline F32x16 round(F32x16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a with the sign of b.
inline F32x16 copysign(F32x16 a, F32x16 b) {
  const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000U));
  return {
      _mm512_castsi512_ps(_mm512_ternarylogic_epi32(sign, _mm512_castps_si512(b.v), _mm512_castps_si512(a.v), 0xCA))};
}
// y where x > limit, else zero.
inline F32x16 keep_above(F32x16 y, F32x16 x, F32x16 limit) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, limit.v, _CMP_GT_OQ), y.v)};
}
// 2^n for lanes that hold whole numbers in [-126, 127].
inline F32x16 exp2_whole(F32x16 n) {
  const __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(e, 23))};
}

inline I32x16 zero_int() {
  return {_mm512_setzero_si512()};
}
inline I32x16 load_int(const void* p) {
  return {_mm512_loadu_si512(p)};
}
inline I32x16 add(I32x16 a, I32x16 b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
inline I32x16 low_nibbles(I32x16 a) {
  return {_mm512_and_si512(a.v, _mm512_set1_epi32(0x000F000F))};
}
// By a negative n: to the left. A constant n becomes an immediate.
inline I32x16 shift_right(I32x16 a, int n) {
  using Unsigned = std::uint32_t __attribute__((vector_size(64)));
  const Unsigned v = reinterpret_cast<Unsigned>(a.v);
  return {reinterpret_cast<__m512i>(n < 0 ? v << -n : v >> n)};
}
// a with those bits of b that are set in the mask.
inline I32x16 merge_bits(I32x16 a, I32x16 b, int mask) {
  return {_mm512_or_si512(a.v, _mm512_and_si512(b.v, _mm512_set1_epi32(mask)))};
}
// Takes `x` off both int16 of each lane.
inline I32x16 sub_pairs(I32x16 a, int x) {
  return {_mm512_sub_epi16(a.v, _mm512_set1_epi16(static_cast<short>(x)))};
}
// Bytes 0 and 2 (even) or 1 and 3 (odd) of each lane, sign-extended to two int16.
inline I32x16 even_bytes(I32x16 a) {
  return {_mm512_srai_epi16(_mm512_slli_epi16(a.v, 8), 8)};
}
inline I32x16 odd_bytes(I32x16 a) {
  return {_mm512_srai_epi16(a.v, 8)};
}
// acc + the dot product of two int16 pairs in each lane; `pair` points at the two int16 that meet every lane.
inline I32x16 dot2(I32x16 acc, I32x16 w, const std::int16_t* pair) {
  int bits;
  std::memcpy(&bits, pair, sizeof bits);
  return {_mm512_dpwssd_epi32(acc.v, w.v, _mm512_set1_epi32(bits))};
}
inline F32x16 to_float(I32x16 a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
// Rounds to nearest even and stores 16 int16.
inline void store_i16(std::int16_t* p, F32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(a.v)));
}
inline __m512 values_of_nibbles() {
  return _mm512_setr_ps(-7.5F, -6.5F, -5.5F, -4.5F, -3.5F, -2.5F, -1.5F, -0.5F, 0.5F, 1.5F, 2.5F, 3.5F, 4.5F, 5.5F,
                        6.5F, 7.5F);
}
// The low (high: false) or high four bits of 16 bytes, 0..15, less 7.5.
inline F32x16 load_nibbles(const void* p, bool high) {
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  return {_mm512_permutexvar_ps(high ? _mm512_srli_epi32(bytes, 4) : bytes, values_of_nibbles())};
}
// The same for 8 bytes: the low four bits of all, then the high ones.
inline F32x16 load_split_nibbles(const void* p) {
  const __m128i bytes = _mm_loadl_epi64(static_cast<const __m128i*>(p));
  const __m128i both = _mm_unpacklo_epi64(bytes, _mm_srli_epi16(bytes, 4));
  return {_mm512_permutexvar_ps(_mm512_cvtepu8_epi32(both), values_of_nibbles())};
}

#elif defined(KVASIR_ISA_avx2)

struct F32x16 {
  __m256 a, b;
};
struct I32x16 {
  __m256i a, b;
};

inline F32x16 zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline F32x16 splat(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
inline F32x16 load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void store(float* p, F32x16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline F32x16 load_f16(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
inline void store_f16(std::uint16_t* p, F32x16 x) {
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.a, nearest));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.b, nearest));
}
inline F32x16 load_bf16(const std::uint16_t* p) {
  const auto half = [](const std::uint16_t* from) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  };
  return {half(p), half(p + 8)};
}
inline F32x16 load_i8(const void* p) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}
inline F32x16 add(F32x16 x, F32x16 y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
inline F32x16 sub(F32x16 x, F32x16 y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
inline F32x16 mul(F32x16 x, F32x16 y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
inline F32x16 div(F32x16 x, F32x16 y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
inline F32x16 fma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline F32x16 max(F32x16 x, F32x16 y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
inline F32x16 min(F32x16 x, F32x16 y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
inline F32x16 abs(F32x16 x) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
  return {_mm256_and_ps(x.a, mask), _mm256_and_ps(x.b, mask)};
}
inline F32x16 round(F32x16 x) {
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, nearest), _mm256_round_ps(x.b, nearest)};
}
inline F32x16 copysign(F32x16 x, F32x16 y) {
  const __m256 sign = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0x80000000U)));
  return {_mm256_or_ps(_mm256_andnot_ps(sign, x.a), _mm256_and_ps(sign, y.a)),
          _mm256_or_ps(_mm256_andnot_ps(sign, x.b), _mm256_and_ps(sign, y.b))};
}
inline F32x16 keep_above(F32x16 y, F32x16 x, F32x16 limit) {
  return {_mm256_and_ps(_mm256_cmp_ps(x.a, limit.a, _CMP_GT_OQ), y.a),
          _mm256_and_ps(_mm256_cmp_ps(x.b, limit.b, _CMP_GT_OQ), y.b)};
}
inline F32x16 exp2_whole(F32x16 n) {
  const __m256i bias = _mm256_set1_epi32(127);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.a), bias), 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.b), bias), 23))};
}

inline I32x16 zero_int() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
inline I32x16 load_int(const void* p) {
  const auto* q = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
inline I32x16 add(I32x16 x, I32x16 y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
inline I32x16 low_nibbles(I32x16 x) {
  const __m256i mask = _mm256_set1_epi32(0x000F000F);
  return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
inline I32x16 shift_right(I32x16 x, int n) {
  using Unsigned = std::uint32_t __attribute__((vector_size(32)));
  const auto shifted = [n](__m256i half) {
    const Unsigned v = reinterpret_cast<Unsigned>(half);
    return reinterpret_cast<__m256i>(n < 0 ? v << -n : v >> n);
  };
  return {shifted(x.a), shifted(x.b)};
}
inline I32x16 merge_bits(I32x16 x, I32x16 y, int mask) {
  const __m256i v = _mm256_set1_epi32(mask);
  return {_mm256_or_si256(x.a, _mm256_and_si256(y.a, v)), _mm256_or_si256(x.b, _mm256_and_si256(y.b, v))};
}
inline I32x16 sub_pairs(I32x16 x, int y) {
  const __m256i v = _mm256_set1_epi16(static_cast<short>(y));
  return {_mm256_sub_epi16(x.a, v), _mm256_sub_epi16(x.b, v)};
}
inline I32x16 even_bytes(I32x16 x) {
  return {_mm256_srai_epi16(_mm256_slli_epi16(x.a, 8), 8), _mm256_srai_epi16(_mm256_slli_epi16(x.b, 8), 8)};
}
inline I32x16 odd_bytes(I32x16 x) {
  return {_mm256_srai_epi16(x.a, 8), _mm256_srai_epi16(x.b, 8)};
}
inline I32x16 dot2(I32x16 acc, I32x16 w, const std::int16_t* pair) {
  int bits;
  std::memcpy(&bits, pair, sizeof bits);
  const __m256i v = _mm256_set1_epi32(bits);
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(w.a, v)), _mm256_add_epi32(acc.b, _mm256_madd_epi16(w.b, v))};
}
inline F32x16 to_float(I32x16 x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
inline void store_i16(std::int16_t* p, F32x16 x) {
  const __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xD8));
}
inline F32x16 nibbles_to_float(__m128i nibbles) {
  const __m128i low = _mm_and_si128(nibbles, _mm_set1_epi8(15));
  const F32x16 whole{_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low)),
                     _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(low, 8)))};
  return sub(whole, splat(7.5F));
}
inline F32x16 load_nibbles(const void* p, bool high) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return nibbles_to_float(high ? _mm_srli_epi16(bytes, 4) : bytes);
}
inline F32x16 load_split_nibbles(const void* p) {
  const __m128i bytes = _mm_loadl_epi64(static_cast<const __m128i*>(p));
  return nibbles_to_float(_mm_unpacklo_epi64(bytes, _mm_srli_epi16(bytes, 4)));
}

#else

struct F32x16 {
  float v[16];
};
struct I32x16 {
  std::int32_t v[16];
};

template <typename F>
inline F32x16 lanes(F f) {
  F32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = f(i);
  return r;
}
template <typename F>
inline I32x16 int_lanes(F f) {
  I32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = f(i);
  return r;
}

inline F32x16 zero() {
  return F32x16{};
}
inline F32x16 splat(float x) {
  return lanes([&](int) { return x; });
}
inline F32x16 load(const float* p) {
  return lanes([&](int i) { return p[i]; });
}
inline void store(float* p, const F32x16& x) {
  for (int i = 0; i < 16; ++i) p[i] = x.v[i];
}
inline F32x16 load_f16(const std::uint16_t* p) {
  return lanes([&](int i) { return f16_to_f32(p[i]); });
}
inline void store_f16(std::uint16_t* p, const F32x16& x) {
  for (int i = 0; i < 16; ++i) p[i] = f32_to_f16(x.v[i]);
}
inline F32x16 load_bf16(const std::uint16_t* p) {
  return lanes([&](int i) { return bf16_to_f32(p[i]); });
}
inline F32x16 load_i8(const void* p) {
  return lanes([&](int i) { return static_cast<float>(static_cast<const std::int8_t*>(p)[i]); });
}
inline F32x16 add(const F32x16& x, const F32x16& y) {
  return lanes([&](int i) { return x.v[i] + y.v[i]; });
}
inline F32x16 sub(const F32x16& x, const F32x16& y) {
  return lanes([&](int i) { return x.v[i] - y.v[i]; });
}
inline F32x16 mul(const F32x16& x, const F32x16& y) {
  return lanes([&](int i) { return x.v[i] * y.v[i]; });
}
inline F32x16 div(const F32x16& x, const F32x16& y) {
  return lanes([&](int i) { return x.v[i] / y.v[i]; });
}
inline F32x16 fma(const F32x16& x, const F32x16& y, const F32x16& z) {
  return lanes([&](int i) { return std::fma(x.v[i], y.v[i], z.v[i]); });
}
// Like maxps and minps: the second operand if either is NaN or both are zero.
inline F32x16 max(const F32x16& x, const F32x16& y) {
  return lanes([&](int i) { return x.v[i] > y.v[i] ? x.v[i] : y.v[i]; });
}
inline F32x16 min(const F32x16& x, const F32x16& y) {
  return lanes([&](int i) { return x.v[i] < y.v[i] ? x.v[i] : y.v[i]; });
}
inline F32x16 abs(const F32x16& x) {
  return lanes([&](int i) { return std::fabs(x.v[i]); });
}
inline F32x16 round(const F32x16& x) {
  return lanes([&](int i) { return std::nearbyint(x.v[i]); });
}
inline F32x16 copysign(const F32x16& x, const F32x16& y) {
  return lanes([&](int i) { return std::copysign(x.v[i], y.v[i]); });
}
inline F32x16 keep_above(const F32x16& y, const F32x16& x, const F32x16& limit) {
  return lanes([&](int i) { return x.v[i] > limit.v[i] ? y.v[i] : 0.0F; });
}
inline F32x16 exp2_whole(const F32x16& n) {
  return lanes([&](int i) {
    const std::uint32_t bits = static_cast<std::uint32_t>(static_cast<std::int32_t>(n.v[i]) + 127) << 23;
    float r;
    std::memcpy(&r, &bits, sizeof r);
    return r;
  });
}

inline I32x16 zero_int() {
  return I32x16{};
}
inline I32x16 load_int(const void* p) {
  I32x16 r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
inline I32x16 add(const I32x16& x, const I32x16& y) {
  return int_lanes([&](int i) { return x.v[i] + y.v[i]; });
}
inline I32x16 low_nibbles(const I32x16& x) {
  return int_lanes([&](int i) { return x.v[i] & 0x000F000F; });
}
inline I32x16 shift_right(const I32x16& x, int n) {
  return int_lanes([&](int i) {
    const auto bits = static_cast<std::uint32_t>(x.v[i]);
    return static_cast<std::int32_t>(n < 0 ? bits << -n : bits >> n);
  });
}
inline I32x16 merge_bits(const I32x16& x, const I32x16& y, int mask) {
  return int_lanes([&](int i) { return x.v[i] | (y.v[i] & mask); });
}
inline std::int32_t pair_of(int low, int high) {
  return static_cast<std::int32_t>((static_cast<std::uint32_t>(high) << 16) |
                                   (static_cast<std::uint32_t>(low) & 0xFFFF));
}
inline I32x16 sub_pairs(const I32x16& x, int y) {
  return int_lanes([&](int i) {
    return pair_of(static_cast<std::int16_t>(x.v[i]) - y, static_cast<std::int16_t>(x.v[i] >> 16) - y);
  });
}
inline int signed_byte(std::int32_t x, int byte) {
  return static_cast<std::int8_t>(static_cast<std::uint32_t>(x) >> (8 * byte));
}
inline I32x16 even_bytes(const I32x16& x) {
  return int_lanes([&](int i) { return pair_of(signed_byte(x.v[i], 0), signed_byte(x.v[i], 2)); });
}
inline I32x16 odd_bytes(const I32x16& x) {
  return int_lanes([&](int i) { return pair_of(signed_byte(x.v[i], 1), signed_byte(x.v[i], 3)); });
}
inline I32x16 dot2(const I32x16& acc, const I32x16& w, const std::int16_t* pair) {
  return int_lanes([&](int i) {
    const auto low = static_cast<std::int16_t>(w.v[i]);
    const auto high = static_cast<std::int16_t>(w.v[i] >> 16);
    return acc.v[i] + low * pair[0] + high * pair[1];
  });
}
inline F32x16 to_float(const I32x16& x) {
  return lanes([&](int i) { return static_cast<float>(x.v[i]); });
}
inline void store_i16(std::int16_t* p, const F32x16& x) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int16_t>(std::nearbyint(x.v[i]));
}
inline F32x16 load_nibbles(const void* p, bool high) {
  const auto* bytes = static_cast<const std::uint8_t*>(p);
  return lanes([&](int i) { return static_cast<float>(high ? bytes[i] >> 4 : bytes[i] & 15) - 7.5F; });
}
inline F32x16 load_split_nibbles(const void* p) {
  const auto* bytes = static_cast<const std::uint8_t*>(p);
  return lanes([&](int i) { return static_cast<float>(i < 8 ? bytes[i] & 15 : bytes[i - 8] >> 4) - 7.5F; });
}

#endif

// Sum and maximum of 16 lanes in one fixed tree: 8 apart, then 4, 2, 1. The same bits on every instruction set.
#if defined(KVASIR_ISA_generic)
inline float sum_lanes(const F32x16& x) {
  float v[16];
  store(v, x);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v[i] += v[i + width];
  return v[0];
}
inline float max_lanes(const F32x16& x) {
  float v[16];
  store(v, x);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v[i] = v[i] > v[i + width] ? v[i] : v[i + width];
  return v[0];
}
#else
#if defined(KVASIR_ISA_avx512)
inline __m256 low_lanes(F32x16 x) {
  return _mm512_castps512_ps256(x.v);
}
inline __m256 high_lanes(F32x16 x) {
  return _mm512_extractf32x8_ps(x.v, 1);
}
#else
inline __m256 low_lanes(F32x16 x) {
  return x.a;
}
inline __m256 high_lanes(F32x16 x) {
  return x.b;
}
#endif
inline float sum_lanes(F32x16 x) {
  const __m256 eight = _mm256_add_ps(low_lanes(x), high_lanes(x));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float max_lanes(F32x16 x) {
  const __m256 eight = _mm256_max_ps(low_lanes(x), high_lanes(x));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
#endif

// First `n` (1..16) floats; the other lanes are `rest`.
inline F32x16 load_part(const float* p, int n, float rest) {
  alignas(64) float v[16];
  for (int i = 0; i < 16; ++i) v[i] = i < n ? p[i] : rest;
  return load(v);
}
inline void store_part(float* p, int n, F32x16 x) {
  alignas(64) float v[16];
  store(v, x);
  for (int i = 0; i < n; ++i) p[i] = v[i];
}

// e^x, relative error under 2e-7 on [-87, 88]; below, 0. A masked position (-inf) adds an exact zero.
// (Cody-Waite reduction, Taylor polynomial of degree 6 on [-ln2/2, ln2/2].)
inline F32x16 exp(F32x16 x) {
  const F32x16 low = splat(-87.0F);
  const F32x16 clamped = min(max(x, low), splat(88.0F));
  const F32x16 n = round(mul(clamped, splat(1.44269504F)));
  F32x16 r = fma(n, splat(-0.693359375F), clamped);
  r = fma(n, splat(2.12194440e-4F), r);
  F32x16 p = splat(1.0F / 720.0F);
  p = fma(p, r, splat(1.0F / 120.0F));
  p = fma(p, r, splat(1.0F / 24.0F));
  p = fma(p, r, splat(1.0F / 6.0F));
  p = fma(p, r, splat(0.5F));
  p = fma(p, r, splat(1.0F));
  p = fma(p, r, splat(1.0F));
  const F32x16 y = mul(p, exp2_whole(n));
  return keep_above(y, x, low);
}

}  // namespace kvasir::kernels::KVASIR_ISA
