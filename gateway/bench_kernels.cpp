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
  static constexpr int kInputs = 576;

  kernels::WeightArena arena;
  kernels::PackedMatrix matrix;
  std::vector<float> x, y, scale, sum;
  std::vector<std::int16_t> q;

  Product(WeightType type, int rows) {
    const std::size_t bytes = kernels::packed_bytes(type, kOutputs, kInputs);
    std::byte* data = arena.allocate(bytes);
    std::mt19937 random(1);
    // Small positive floats and halves, whatever the type: denormal numbers would be timed otherwise.
    const float f32 = 0.01F;
    const std::uint16_t f16 = kernels::f32_to_f16(f32);
    if (type == WeightType::f32)
      for (std::size_t i = 0; i + 4 <= bytes; i += 4) std::memcpy(data + i, &f32, 4);
    else if (type == WeightType::f16)
      for (std::size_t i = 0; i + 2 <= bytes; i += 2) std::memcpy(data + i, &f16, 2);
    else
      for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::byte>(random() & 0x1FU);
    matrix = {type, kOutputs, kInputs, data};
    const auto count = static_cast<std::size_t>(rows);
    x.assign(count * kInputs, 0.5F);
    y.resize(count * kOutputs);
    q.assign(count * kInputs, 3);
    scale.assign(count * kInputs / kernels::kBlock, 1e-3F);
    sum = scale;
  }

  void run(const kernels::Kernels& k, int rows) {
    if (matrix.type == WeightType::f32 || matrix.type == WeightType::f16)
      k.linear_float(matrix, x.data(), kInputs, rows, nullptr, y.data(), kOutputs, 0, kOutputs);
    else
      k.linear_quantized(matrix, {q.data(), scale.data(), sum.data()}, rows, nullptr, y.data(), kOutputs, 0, kOutputs);
  }
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
  std::printf("%-8s %-5s %5s %10s %12s\n", "kernels", "type", "rows", "GMAC/s", "to f32");
  for (const kernels::Isa isa : {kernels::Isa::avx2, kernels::Isa::avx512}) {
    const kernels::Kernels* k = kernels::find(isa);
    if (k == nullptr) continue;
    for (const int rows : {1, 8, 64, 256}) {
      const double reference = speed(*k, WeightType::f32, rows, rounds);
      for (const auto& [type, name] : {std::pair{WeightType::f16, "f16"}, std::pair{WeightType::q8_0, "q8_0"},
                                       std::pair{WeightType::q4_1, "q4_1"}}) {
        const double ours = speed(*k, type, rows, rounds);
        std::printf("%-8s %-5s %5d %10.1f %11.2fx\n", k->name.data(), name, rows, ours, ours / reference);
      }
    }
  }
  return 0;
}

}  // namespace kvasir::gateway
