#include "kernels/kernels.hpp"

#include <cstdlib>
#include <cstring>
#include <string_view>

#define KVASIR_DECLARE(isa)     \
  namespace kvasir::kernels {   \
  const Kernels& isa##_table(); \
  }
KVASIR_DECLARE(generic)
#if defined(__x86_64__)
KVASIR_DECLARE(avx2)
KVASIR_DECLARE(avx512)
#endif
#undef KVASIR_DECLARE

namespace kvasir::kernels {
namespace {

bool supported(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (isa) {
    case Isa::generic:
      return true;
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
             __builtin_cpu_supports("bmi2");
    case Isa::avx512:
      return supported(Isa::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vnni");
  }
  return false;
#else
  return isa == Isa::generic;
#endif
}

const Kernels& choose() {
  const char* wish = std::getenv("KVASIR_ISA");
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::generic}) {
    const Kernels* table = find(isa);
    if (table != nullptr && wish != nullptr && table->name == wish) return *table;
  }
  for (const Isa isa : {Isa::avx512, Isa::avx2})
    if (const Kernels* table = find(isa)) return *table;
  return *find(Isa::generic);
}

}  // namespace

const Kernels* find(Isa isa) {
  if (!supported(isa)) return nullptr;
  switch (isa) {
    case Isa::generic:
      return &generic_table();
#if defined(__x86_64__)
    case Isa::avx2:
      return &avx2_table();
    case Isa::avx512:
      return &avx512_table();
#else
    default:
      break;
#endif
  }
  return nullptr;
}

const Kernels& best() {
  static const Kernels& chosen = choose();
  return chosen;
}

std::size_t kv_head_bytes(KvType type, int head_dim) {
  const std::size_t values = static_cast<std::size_t>(head_dim) * kKvBlock;
  constexpr std::size_t scales = kKvBlock * sizeof(std::uint16_t);
  switch (type) {
    case KvType::f16:
      return values * sizeof(std::uint16_t);
    case KvType::int8:
      return values + scales;
    case KvType::int4:
      return values / 2 + scales;
  }
  return 0;
}

std::size_t attention_scratch(const AttentionShape& shape) {
  const auto queries =
      static_cast<std::size_t>(kAttentionRows) * static_cast<std::size_t>(shape.heads / shape.kv_heads);
  return queries * (256 + 3 * static_cast<std::size_t>(shape.head_dim) + 2);
}

float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  std::uint32_t mantissa = bits & 0x3FFU;
  std::uint32_t out = sign;
  if (exponent == 0x1F) {
    out |= 0x7F800000U | (mantissa << 13);
  } else if (exponent != 0) {
    out |= ((exponent + 112) << 23) | (mantissa << 13);
  } else if (mantissa != 0) {
    std::uint32_t e = 113;
    while ((mantissa & 0x400U) == 0) {
      mantissa <<= 1;
      --e;
    }
    out |= (e << 23) | ((mantissa & 0x3FFU) << 13);
  }
  float value;
  std::memcpy(&value, &out, sizeof value);
  return value;
}

float bf16_to_f32(std::uint16_t bits) {
  const std::uint32_t whole = std::uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &whole, sizeof value);
  return value;
}

std::uint16_t f32_to_f16(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);
  const std::uint32_t exponent = magnitude >> 23;
  // Below 2^-14 the result is denormal: the mantissa moves right, with its leading one.
  const std::uint32_t shift = exponent >= 113 ? 13 : 13 + (113 - exponent);
  if (shift > 24) return sign;
  const std::uint32_t mantissa = exponent >= 113 ? magnitude - (112U << 23) : (magnitude & 0x7FFFFFU) | 0x800000U;
  const std::uint32_t half = 1U << (shift - 1);
  const std::uint32_t rest = mantissa & ((1U << shift) - 1);
  std::uint32_t out = mantissa >> shift;
  if (rest > half || (rest == half && (out & 1U) != 0)) ++out;
  return static_cast<std::uint16_t>(sign | out);
}

}  // namespace kvasir::kernels
