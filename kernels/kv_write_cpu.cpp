// Writing keys and values into KV blocks.
#include "kernels/kv_format.hpp"
#include "kernels/ops_cpu.hpp"

namespace kvasir::kernels::KVASIR_ISA {
namespace {

constexpr float kLimit = 65504.0F;  // f16's largest: an infinity here would poison masked sums

F32x16 limited(const float* x) {
  return min(max(load(x), splat(-kLimit)), splat(kLimit));
}

// Where one head's token goes.
struct Slot {
  std::byte* keys;    // of the head
  std::byte* values;  // of the head
  int slot;
  int dim;
};

void write_f16(const Slot& to, const float* k, const float* v) {
  auto* keys = reinterpret_cast<std::uint16_t*>(to.keys) + to.slot;
  auto* values = reinterpret_cast<std::uint16_t*>(to.values) + static_cast<std::ptrdiff_t>(to.slot) * to.dim;
  for (int d = 0; d < to.dim; d += 16) {
    std::uint16_t column[16];
    store_f16(column, limited(k + d));
    for (int i = 0; i < 16; ++i) keys[static_cast<std::ptrdiff_t>(d + i) * kKvBlock] = column[i];
    store_f16(values + d, limited(v + d));
  }
}

// Quantises x [dim] to whole numbers (int8: -127..127, int4: 0..15) and returns the scale as f16.
template <KvType Type>
std::uint16_t quantize(const float* x, int dim, std::int16_t* q) {
  using Format = KvFormat<Type>;
  float rotated[kMaxHeadDim];
  F32x16 top = zero();
  for (int d = 0; d < dim; d += 16) store(rotated + d, limited(x + d));
  hadamard(rotated, dim);
  for (int d = 0; d < dim; d += 16) top = max(top, abs(load(rotated + d)));
  std::uint16_t scale[16];
  store_f16(scale, splat(max_lanes(top) / Format::largest));
  alignas(64) float rounded[16];
  store(rounded, load_f16(scale));
  const F32x16 inverse = splat(rounded[0] > 0 ? 1.0F / rounded[0] : 0.0F);
  // Rounding the scale may have made the largest a little too large for it.
  const F32x16 limit = splat(Format::largest);
  const F32x16 offset = splat(Type == KvType::int4 ? 7.5F : 0.0F);
  for (int d = 0; d < dim; d += 16) {
    const F32x16 scaled = min(max(mul(load(rotated + d), inverse), sub(zero(), limit)), limit);
    store_i16(q + d, add(scaled, offset));
  }
  return scale[0];
}

void pack_int8(const Slot& to, const std::int16_t* k, const std::int16_t* v) {
  for (int d = 0; d < to.dim; ++d) {
    to.keys[static_cast<std::ptrdiff_t>(d) * kKvBlock + to.slot] = static_cast<std::byte>(k[d]);
    to.values[static_cast<std::ptrdiff_t>(to.slot) * to.dim + d] = static_cast<std::byte>(v[d]);
  }
}

void pack_int4(const Slot& to, const std::int16_t* k, const std::int16_t* v) {
  const auto pair = [](int low, int high) { return static_cast<std::byte>(low | high << 4); };
  for (int d = 0; d < to.dim; d += 2)
    to.keys[static_cast<std::ptrdiff_t>(d / 2) * kKvBlock + to.slot] = pair(k[d], k[d + 1]);
  std::byte* row = to.values + static_cast<std::ptrdiff_t>(to.slot) * to.dim / 2;
  for (int d = 0; d < to.dim; d += 16, row += 8)
    for (int i = 0; i < 8; ++i) row[i] = pair(v[d + i], v[d + i + 8]);
}

template <KvType Type>
void write_quantized(const Slot& to, const float* k, const float* v) {
  std::int16_t key[kMaxHeadDim];
  std::int16_t value[kMaxHeadDim];
  const std::uint16_t key_scale = quantize<Type>(k, to.dim, key);
  const std::uint16_t value_scale = quantize<Type>(v, to.dim, value);
  if constexpr (Type == KvType::int8)
    pack_int8(to, key, value);
  else
    pack_int4(to, key, value);
  const std::size_t at = KvFormat<Type>::bytes(static_cast<std::ptrdiff_t>(to.dim) * kKvBlock);
  reinterpret_cast<std::uint16_t*>(to.keys + at)[to.slot] = key_scale;
  reinterpret_cast<std::uint16_t*>(to.values + at)[to.slot] = value_scale;
}

}  // namespace

void kv_write(const KvLayer& kv, const AttentionShape& shape, int block, int slot, const float* k, const float* v) {
  const auto head_bytes = static_cast<std::ptrdiff_t>(kv_head_bytes(kv.type, shape.head_dim));
  for (int h = 0; h < shape.kv_heads; ++h, k += shape.head_dim, v += shape.head_dim) {
    const std::ptrdiff_t at = block * kv.block_stride + h * head_bytes;
    const Slot to{kv.k + at, kv.v + at, slot, shape.head_dim};
    switch (kv.type) {
      case KvType::f16:
        write_f16(to, k, v);
        break;
      case KvType::int8:
        write_quantized<KvType::int8>(to, k, v);
        break;
      case KvType::int4:
        write_quantized<KvType::int4>(to, k, v);
        break;
    }
  }
}

}  // namespace kvasir::kernels::KVASIR_ISA
