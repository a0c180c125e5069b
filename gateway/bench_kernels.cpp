#include "gateway/bench_lanes.hpp"
#include "kernels/kernels.hpp"
#include "kernels/limits.hpp"
#include "kernels/weight_arena.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

namespace kvasir::gateway {
namespace {

using kernels::WeightType;

constexpr int kSmokeRounds = 3;
constexpr std::size_t kMoreThanCaches = std::size_t{128} << 20;

// A matrix of the size of SmolLM2's gate and up projection, and activations for it.
struct Product {
  static constexpr int kOutputs = 3072;
  static constexpr int kInputs = 768;

  kernels::WeightArena arena;
  kernels::PackedMatrix matrix;
  std::vector<float> x, y, scale, sum, half_sum;
  std::vector<std::int16_t> q;

  Product(WeightType type, int rows) {
    const std::size_t bytes = kernels::packed_bytes(type, kOutputs, kInputs);
    std::byte* data = arena.allocate(bytes);
    std::mt19937 random(1);
    // Small positive floats and halves, whatever the type: denormal numbers would be timed otherwise.
    const float f32 = 0.01F;
    const std::uint16_t half = type == WeightType::f16 ? kernels::f32_to_f16(f32) : 0x3C24;
    if (type == WeightType::f32)
      for (std::size_t i = 0; i + 4 <= bytes; i += 4) std::memcpy(data + i, &f32, 4);
    else if (!kernels::is_quantized(type))
      for (std::size_t i = 0; i + 2 <= bytes; i += 2) std::memcpy(data + i, &half, 2);
    else
      for (std::size_t i = 0; i < bytes; i += 4) {
        const auto four = static_cast<std::uint32_t>(random() & 0x1F1F1F1FU);
        std::memcpy(data + i, &four, std::min<std::size_t>(4, bytes - i));
      }
    matrix = {type, kOutputs, kInputs, data};
    const auto count = static_cast<std::size_t>(rows);
    x.assign(count * kInputs, 0.5F);
    y.resize(count * kOutputs);
    q.assign(count * kInputs, 3);
    scale.assign(count * kInputs / kernels::kBlock, 1e-3F);
    half_sum = sum = scale;
  }

  void run(const kernels::Kernels& k, int rows) {
    const kernels::QuantizedRows quantized{q.data(), scale.data(), sum.data(), half_sum.data()};
    if (kernels::is_quantized(matrix.type))
      k.linear_quantized(matrix, quantized, rows, nullptr, y.data(), kOutputs, 0, kOutputs);
    else
      k.linear_float(matrix, x.data(), kInputs, rows, nullptr, y.data(), kOutputs, 0, kOutputs);
  }
};

constexpr std::pair<WeightType, const char*> kTypes[] = {
    {WeightType::f32, "f32"},   {WeightType::f16, "f16"},       {WeightType::bf16, "bf16"},
    {WeightType::q8_0, "q8_0"}, {WeightType::q4_0, "q4_0"},     {WeightType::q4_1, "q4_1"},
    {WeightType::q5_0, "q5_0"}, {WeightType::q5_1, "q5_1"},     {WeightType::q2_k, "q2_k"},
    {WeightType::q3_k, "q3_k"}, {WeightType::q4_k, "q4_k"},     {WeightType::q5_k, "q5_k"},
    {WeightType::q6_k, "q6_k"}, {WeightType::iq4_nl, "iq4_nl"}, {WeightType::iq4_xs, "iq4_xs"},
};

double median_seconds(int rounds, const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::ranges::nth_element(seconds, seconds.begin() + rounds / 2);
  return seconds[static_cast<std::size_t>(rounds / 2)];
}

// What this core reaches at best, in this run.
struct Ceilings {
  double fma;   // multiply-adds a second
  double dot2;  // of 16-bit integers
  double read;  // bytes a second, from memory
};

Ceilings ceilings(kernels::Isa isa, int rounds) {
  const kernels::Limits limits = kernels::limits(isa);
  constexpr int kOfOne = 1 << 16;
  kernels::WeightArena arena;
  const std::size_t size = rounds > kSmokeRounds ? 2 * kMoreThanCaches : std::size_t{1} << 20;
  std::byte* memory = arena.allocate(size);
  std::memset(memory, 1, size);
  std::int64_t macs = 0;
  const double fma = median_seconds(rounds, [&] { macs = limits.fma(kOfOne); });
  const double fma_speed = static_cast<double>(macs) / fma;
  const double dot2 = median_seconds(rounds, [&] { macs = limits.dot2(kOfOne); });
  const double read = median_seconds(3, [&] { macs += limits.read(memory, size); });
  return {fma_speed, static_cast<double>(limits.dot2(kOfOne)) / dot2, static_cast<double>(size) / read};
}

// A row of a prompt's chunk meets weights that lie in the cache; a single row, in decoding, those that come from
// memory.
double linear_speed(const kernels::Kernels& k, WeightType type, int rows, int rounds) {
  std::vector<Product> products;
  const std::size_t bytes = kernels::packed_bytes(type, Product::kOutputs, Product::kInputs);
  const std::size_t copies = rows == 1 && rounds > kSmokeRounds ? kMoreThanCaches / bytes : 1;
  for (std::size_t i = 0; i < copies; ++i) products.emplace_back(type, rows);
  std::size_t next = 0;
  const double seconds =
      median_seconds(std::max(rounds, static_cast<int>(copies)), [&] { products[next++ % copies].run(k, rows); });
  return static_cast<double>(rows) * Product::kOutputs * Product::kInputs / seconds;
}

// One KV head of SmolLM2's shape over `keys` keys, `rows` queries of each of its three heads.
struct Attention {
  static constexpr kernels::AttentionShape kShape{3, 1, 64, 0.125F, 0};

  std::vector<std::byte> k, v;
  kernels::KvLayer layer;
  std::vector<kernels::BlockRef> table;
  std::vector<float> q, out, scratch;
  std::vector<float> rotation;
  kernels::RopeTable rope;
  int keys;

  Attention(const kernels::Kernels& kernels, kernels::KvType type, int keys, int rows) : keys(keys) {
    const std::size_t head = kernels::kv_head_bytes(type, kShape.head_dim);
    const int blocks = keys / kernels::kKvBlock;
    k.resize(head * static_cast<std::size_t>(blocks));
    v.resize(k.size());
    layer = {k.data(), v.data(), static_cast<std::ptrdiff_t>(head), type};
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> one(static_cast<std::size_t>(kShape.head_dim));
    for (int t = 0; t < keys; ++t) {
      for (float& x : one) x = normal(random);
      kernels.kv_write(layer, kShape, t / kernels::kKvBlock, t % kernels::kKvBlock, one.data(), one.data());
    }
    for (int b = 0; b < blocks; ++b) table.push_back({b, 0});
    q.resize(static_cast<std::size_t>(rows * kShape.heads * kShape.head_dim), 0.1F);
    out.resize(q.size());
    scratch.resize(kernels::attention_scratch(kShape));
  }

  void run(const kernels::Kernels& kernels, int rows) {
    const std::ptrdiff_t width = kShape.heads * kShape.head_dim;
    kernels.attention(layer, kShape, rope, table.data(), keys - rows + 1, rows, 0, q.data(), width, out.data(), width,
                      scratch.data());
  }
};

// As in linear_speed.
double attention_seconds(const kernels::Kernels& k, kernels::KvType type, int keys, int rows, int rounds) {
  std::vector<Attention> copies;
  const int count = rows == 1 && rounds > kSmokeRounds ? 128 : 1;
  for (int i = 0; i < count; ++i) copies.emplace_back(k, type, keys, rows);
  std::size_t next = 0;
  return median_seconds(std::max<int>(rounds, static_cast<int>(copies.size())),
                        [&] { copies[next++ % copies.size()].run(k, rows); });
}

}  // namespace

int bench_kernels(const BenchArguments& arguments) {
  const int rounds = arguments.flag("--smoke") ? kSmokeRounds : 31;
  for (const kernels::Isa isa : {kernels::Isa::avx2, kernels::Isa::avx512}) {
    const kernels::Kernels* k = kernels::find(isa);
    if (k == nullptr) continue;
    const Ceilings most = ceilings(isa, rounds);
    std::printf("%s, one core: %.1f GMAC/s in floats, %.1f in 16 bits, %.1f GB/s from memory\n", k->name.data(),
                1e-9 * most.fma, 1e-9 * most.dot2, 1e-9 * most.read);
    std::printf("%-9s %-6s %5s %9s %10s %10s\n", "kernel", "type", "rows", "GMAC/s", "of compute", "of memory");
    for (const int rows : {1, 8, 64, 256}) {
      for (const auto& [type, name] : kTypes) {
        const double speed = linear_speed(*k, type, rows, rounds);
        const double bytes = static_cast<double>(kernels::packed_bytes(type, Product::kOutputs, Product::kInputs)) /
                             (Product::kOutputs * Product::kInputs);
        std::printf("%-9s %-6s %5d %9.1f %9.0f%%", "linear", name, rows, 1e-9 * speed,
                    100 * speed / (kernels::is_quantized(type) ? most.dot2 : most.fma));
        if (rows == 1) std::printf(" %9.0f%%", 100 * speed * bytes / most.read);
        std::printf("\n");
      }
    }
    constexpr int kKeys = 4096;
    for (const int rows : {1, kernels::kAttentionRows}) {
      for (std::size_t type = 0; type < kernels::kKvTypeNames.size(); ++type) {
        const double seconds = attention_seconds(*k, static_cast<kernels::KvType>(type), kKeys, rows, rounds);
        const double macs = 2.0 * rows * Attention::kShape.heads * Attention::kShape.head_dim * kKeys / seconds;
        const double bytes = 2.0 * kKeys / kernels::kKvBlock *
                             static_cast<double>(kernels::kv_head_bytes(static_cast<kernels::KvType>(type),
                                                                        Attention::kShape.head_dim)) /
                             seconds;
        std::printf("%-9s %-6s %5d %9.1f %9.0f%%", "attention", kernels::kKvTypeNames.at(type).data(), rows,
                    1e-9 * macs, 100 * macs / most.fma);
        if (rows == 1) std::printf(" %9.0f%%", 100 * bytes / most.read);
        std::printf("\n");
      }
    }
  }
  return 0;
}

}  // namespace kvasir::gateway
