#include "gateway/bench_lanes.hpp"
#include "kernels/kernels.hpp"
#include "kernels/weight_arena.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace kvasir::gateway {
namespace {

using kernels::WeightType;

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
      for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::byte>(random() & 0x1FU);
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
    {WeightType::f16, "f16"},       {WeightType::bf16, "bf16"},     {WeightType::q8_0, "q8_0"},
    {WeightType::q4_0, "q4_0"},     {WeightType::q4_1, "q4_1"},     {WeightType::q5_0, "q5_0"},
    {WeightType::q5_1, "q5_1"},     {WeightType::q2_k, "q2_k"},     {WeightType::q3_k, "q3_k"},
    {WeightType::q4_k, "q4_k"},     {WeightType::q5_k, "q5_k"},     {WeightType::q6_k, "q6_k"},
    {WeightType::iq4_nl, "iq4_nl"}, {WeightType::iq4_xs, "iq4_xs"},
};

// Billions of multiply-adds a second, median of the rounds.
double speed(const kernels::Kernels& k, WeightType type, int rows, int rounds) {
  Product product(type, rows);
  std::vector<double> seconds;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    product.run(k, rows);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::ranges::nth_element(seconds, seconds.begin() + rounds / 2);
  return 1e-9 * rows * Product::kOutputs * Product::kInputs / seconds[static_cast<std::size_t>(rounds / 2)];
}

}  // namespace

int bench_kernels(const BenchArguments& arguments) {
  const int rounds = arguments.flag("--smoke") ? 3 : 31;
  std::printf("%-8s %-6s %5s %10s %12s\n", "kernels", "type", "rows", "GMAC/s", "to f32");
  for (const kernels::Isa isa : {kernels::Isa::avx2, kernels::Isa::avx512}) {
    const kernels::Kernels* k = kernels::find(isa);
    if (k == nullptr) continue;
    for (const int rows : {1, 8, 64, 256}) {
      const double reference = speed(*k, WeightType::f32, rows, rounds);
      for (const auto& [type, name] : kTypes) {
        const double ours = speed(*k, type, rows, rounds);
        std::printf("%-8s %-6s %5d %10.1f %11.2fx\n", k->name.data(), name, rows, ours, ours / reference);
      }
    }
  }
  return 0;
}

}  // namespace kvasir::gateway
