#include "cache/inner_product.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kvasir::cache {
namespace {

float tail(const float* a, const float* b, std::size_t from, std::size_t dimension) {
  float sum = 0.0F;
  for (std::size_t i = from; i < dimension; ++i) sum += a[i] * b[i];
  return sum;
}

float portable(const float* a, const float* b, std::size_t dimension) {
  constexpr std::size_t lanes = 8;  // independent sums, which the compiler turns into vector registers
  float sums[lanes] = {};
  std::size_t i = 0;
  for (; i + lanes <= dimension; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  float sum = tail(a, b, i, dimension);
  for (const float lane : sums) sum += lane;
  return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) float avx2(const float* a, const float* b, std::size_t dimension) {
  __m256 sum0 = _mm256_setzero_ps();
  __m256 sum1 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= dimension; i += 16) {
    sum0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), sum0);
    sum1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), sum1);
  }
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, _mm256_add_ps(sum0, sum1));
  float sum = tail(a, b, i, dimension);
  for (const float lane : lanes) sum += lane;
  return sum;
}

__attribute__((target("avx512f"))) float avx512(const float* a, const float* b, std::size_t dimension) {
  __m512 sum0 = _mm512_setzero_ps();
  __m512 sum1 = _mm512_setzero_ps();
  std::size_t i = 0;
  for (; i + 32 <= dimension; i += 32) {
    sum0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), sum0);
    sum1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16), sum1);
  }
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, _mm512_add_ps(sum0, sum1));
  float sum = tail(a, b, i, dimension);
  for (const float lane : lanes) sum += lane;
  return sum;
}
#endif

InnerProduct choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2;
#endif
  return portable;
}

}  // namespace

InnerProduct inner_product() {
  static const InnerProduct chosen = choose();
  return chosen;
}

}  // namespace kvasir::cache
