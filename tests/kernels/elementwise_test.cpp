// Norms, activations, softmax, f16: right against double, equal on every instruction set.
#include "kernels/thread_pool.hpp"
#include "tests/kernels/isas.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::kernels {
namespace {

std::vector<float> normal_values(int n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& v : x) v = normal(random) * scale;
  return x;
}

// Runs `op` on every instruction set; all must equal the first to the bit, which is returned.
template <typename Op>
std::vector<float> on_all(Op op) {
  const std::vector<float> first = op(*isas().front());
  for (const Kernels* k : isas()) {
    const std::vector<float> other = op(*k);
    EXPECT_EQ(0, std::memcmp(first.data(), other.data(), first.size() * sizeof(float))) << k->name;
  }
  return first;
}

class Rows : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Lengths, Rows, testing::Values(1, 15, 16, 17, 384, 577));

TEST_P(Rows, RmsNorm) {
  const int n = GetParam();
  const auto x = normal_values(n, 1);
  const auto w = normal_values(n, 2);
  const auto y = on_all([&](const Kernels& k) {
    std::vector<float> out(x.size());
    k.rms_norm(x.data(), w.data(), out.data(), n, 1e-5F);
    return out;
  });
  double sum = 0;
  for (float v : x) sum += static_cast<double>(v) * v;
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], x[i] / std::sqrt(sum / n + 1e-5) * w[i], 1e-5);
}

TEST_P(Rows, LayerNorm) {
  const int n = GetParam();
  const auto x = normal_values(n, 3, 5);
  const auto w = normal_values(n, 4);
  const auto b = normal_values(n, 5);
  const auto y = on_all([&](const Kernels& k) {
    std::vector<float> out(x.size());
    k.layer_norm(x.data(), w.data(), b.data(), out.data(), n, 1e-12F);
    return out;
  });
  double mean = 0;
  for (float v : x) mean += v;
  mean /= n;
  double var = 0;
  for (float v : x) var += (v - mean) * (v - mean);
  var /= n;
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(y[i], (n == 1 ? 0 : (x[i] - mean) / std::sqrt(var)) * w[i] + b[i], 2e-5);
}

TEST_P(Rows, SwigluGegluAndGelu) {
  const int n = GetParam();
  const auto g = normal_values(n, 6, 4);
  const auto u = normal_values(n, 7);
  const auto swiglu = on_all([&](const Kernels& k) {
    std::vector<float> out(g.size());
    k.swiglu(g.data(), u.data(), out.data(), n);
    return out;
  });
  const auto geglu = on_all([&](const Kernels& k) {
    std::vector<float> out(g.size());
    k.geglu(g.data(), u.data(), out.data(), n);
    return out;
  });
  const auto gelu = on_all([&](const Kernels& k) {
    std::vector<float> out = g;
    k.gelu(out.data(), n);
    return out;
  });
  for (std::size_t i = 0; i < g.size(); ++i) {
    EXPECT_NEAR(swiglu[i], g[i] / (1 + std::exp(-static_cast<double>(g[i]))) * u[i], 1e-5);
    const double inner = std::sqrt(2 / std::numbers::pi) * (g[i] + 0.044715 * std::pow(g[i], 3));
    EXPECT_NEAR(geglu[i], 0.5 * g[i] * (1 + std::tanh(inner)) * u[i], 1e-5);
    EXPECT_NEAR(gelu[i], 0.5 * g[i] * (1 + std::erf(g[i] / std::sqrt(2.0))), 3e-6);
  }
}

TEST_P(Rows, SoftmaxSumsToOneAndSurvivesLargeScores) {
  const int n = GetParam();
  auto x = normal_values(n, 8, 30);
  x[0] = 500;
  const auto y = on_all([&](const Kernels& k) {
    std::vector<float> out = x;
    k.softmax(out.data(), n);
    return out;
  });
  double sum = 0;
  for (float v : y) sum += v;
  EXPECT_NEAR(sum, 1, 1e-5);
  EXPECT_NEAR(y[0], 1, 1e-5);
}

TEST(Silu, IsFiniteForExtremeGates) {
  const std::vector<float> g{-1e30F, -100, -88, 88, 100, 1e30F};
  const std::vector<float> u(g.size(), 1.0F);
  for (const Kernels* k : isas()) {
    std::vector<float> out(g.size());
    k->swiglu(g.data(), u.data(), out.data(), static_cast<int>(g.size()));
    for (float v : out) EXPECT_TRUE(std::isfinite(v)) << k->name;
  }
}

TEST(Half, RoundTripsEveryFiniteValueAndRoundsToNearestEven) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if ((half & 0x7C00U) == 0x7C00U && (half & 0x3FFU) != 0) continue;
    EXPECT_EQ(f32_to_f16(f16_to_f32(half)), half);
  }
  EXPECT_EQ(f32_to_f16(1.0F + 0x1p-11F), 0x3C00);
  EXPECT_EQ(f32_to_f16(1.0F + 3 * 0x1p-11F), 0x3C02);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7C00);
  EXPECT_EQ(f32_to_f16(0x1p-25F), 0);
  EXPECT_EQ(f32_to_f16(0x1.8p-25F), 1);
}

TEST(ThreadPool, RunsEveryItemOnceAndReturnsWhenAllAreDone) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 300; ++round) {
      const int count = round % 37;
      std::vector<int> runs(static_cast<std::size_t>(count));
      pool.parallel_for(count, [&](int i) { ++runs[static_cast<std::size_t>(i)]; });
      ASSERT_EQ(runs, std::vector<int>(static_cast<std::size_t>(count), 1));
    }
  }
}

}  // namespace
}  // namespace kvasir::kernels
