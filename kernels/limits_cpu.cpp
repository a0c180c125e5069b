#include "kernels/limits.hpp"
#include "kernels/simd.hpp"

namespace kvasir::kernels::KVASIR_ISA {
namespace {

// Enough chains to hide the latency of an instruction, and few enough for the registers.
#if defined(KVASIR_ISA_avx512)
constexpr int kChains = 16;
#else
constexpr int kChains = 6;
#endif
constexpr int kLanes = 16;

// What the compiler may not see through.
volatile float float_seed = 1;
volatile std::int16_t int_seed = 1;

std::int64_t fma_in_registers(int rounds) {
  F32x16 sum[kChains];
  for (F32x16& chain : sum) chain = splat(float_seed);
  const F32x16 a = splat(float_seed);
  const F32x16 b = splat(1e-9F * float_seed);
  for (int round = 0; round < rounds; ++round) {
    KVASIR_UNROLL(16)
    for (F32x16& chain : sum) chain = fma(a, b, chain);
  }
  float out[kLanes];
  for (const F32x16& chain : sum) {
    store(out, chain);
    float_seed = out[0] > 0 ? 1.0F : 0.0F;
  }
  return static_cast<std::int64_t>(rounds) * kChains * kLanes;
}

std::int64_t dot2_in_registers(int rounds) {
  const std::int16_t pair[2] = {int_seed, int_seed};
  I32x16 sum[kChains];
  for (I32x16& chain : sum) chain = dot2(zero_int(), zero_int(), pair);
  for (int round = 0; round < rounds; ++round) {
    // Each takes its neighbour for weights: a product that stays the same would be computed once.
    KVASIR_UNROLL(16)
    for (int i = 0; i < kChains; ++i) sum[i] = dot2(sum[i], sum[(i + 1) % kChains], pair);
  }
  float out[kLanes];
  for (const I32x16& chain : sum) {
    store(out, to_float(chain));
    int_seed = out[0] > 0 ? 2 : 1;
  }
  return static_cast<std::int64_t>(rounds) * kChains * kLanes * 2;
}

std::int64_t read(const std::byte* from, std::size_t size) {
  I32x16 sum[kChains];
  for (I32x16& chain : sum) chain = zero_int();
  constexpr int kLoads = 4;
  for (std::size_t at = 0; at < size; at += kLoads * 64) {
    KVASIR_UNROLL(4)
    for (int i = 0; i < kLoads; ++i) sum[i] = add(sum[i], load_int(from + at + 64 * i));
  }
  float out[kLanes];
  std::int64_t all = 0;
  for (const I32x16& chain : sum) {
    store(out, to_float(chain));
    for (const float lane : out) all += static_cast<std::int64_t>(lane);
  }
  return all;
}

}  // namespace

Limits limits() {
  return {fma_in_registers, dot2_in_registers, read};
}

}  // namespace kvasir::kernels::KVASIR_ISA
