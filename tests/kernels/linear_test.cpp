// Matrix products: right against a plain sum in double, and equal bit for bit on every instruction set and batch shape.
#include "tests/kernels/isas.hpp"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::kernels {
namespace {

struct Case {
  WeightType type;
  int rows;
  int cols;
};

std::vector<std::byte> random_weights(const Case& c, std::mt19937& random) {
  std::vector<std::byte> stored(
      stored_bytes(c.type, static_cast<std::size_t>(c.rows), static_cast<std::size_t>(c.cols)));
  std::normal_distribution<float> normal;
  const std::size_t block = c.type == WeightType::q4_1 ? 20 : 34;
  if (c.type == WeightType::f32) {
    for (std::size_t i = 0; i < stored.size(); i += 4) {
      const float v = normal(random);
      std::memcpy(&stored[i], &v, 4);
    }
  } else if (c.type == WeightType::f16) {
    for (std::size_t i = 0; i < stored.size(); i += 2) {
      const std::uint16_t v = f32_to_f16(normal(random));
      std::memcpy(&stored[i], &v, 2);
    }
  } else {
    for (auto& b : stored) b = static_cast<std::byte>(random() & 0xFFU);
    for (std::size_t i = 0; i < stored.size(); i += block) {
      const std::uint16_t scale = f32_to_f16(0.01F * normal(random));
      const std::uint16_t minimum = f32_to_f16(0.1F * normal(random));
      std::memcpy(&stored[i], &scale, 2);
      if (c.type == WeightType::q4_1) std::memcpy(&stored[i + 2], &minimum, 2);
    }
  }
  return stored;
}

struct Product {
  Case c;
  std::vector<std::byte> stored;
  std::vector<std::byte> packed;
  std::vector<float> x;
  std::vector<float> bias;
  int m;

  Product(Case shape, int rows, std::mt19937& random) : c(shape), stored(random_weights(shape, random)), m(rows) {
    packed.resize(packed_bytes(c.type, c.rows, c.cols));
    pack(c.type, stored.data(), c.rows, c.cols, 0, packed.data());
    std::normal_distribution<float> normal;
    x.resize(static_cast<std::size_t>(m * c.cols));
    for (float& v : x) v = normal(random);
    bias.resize(static_cast<std::size_t>(c.rows));
    for (float& v : bias) v = normal(random);
  }

  PackedMatrix matrix() const { return {c.type, c.rows, c.cols, packed.data()}; }

  std::vector<float> run(const Kernels& k, int first, int count, bool with_bias = true) const {
    std::vector<float> y(static_cast<std::size_t>(count * c.rows));
    const float* from = x.data() + static_cast<std::ptrdiff_t>(first) * c.cols;
    const float* b = with_bias ? bias.data() : nullptr;
    if (c.type == WeightType::f32 || c.type == WeightType::f16) {
      k.linear_float(matrix(), from, c.cols, count, b, y.data(), c.rows, 0, c.rows);
      return y;
    }
    const auto elements = static_cast<std::size_t>(count * c.cols);
    std::vector<std::int16_t> q(elements);
    std::vector<float> scale(elements / kBlock);
    std::vector<float> sum(elements / kBlock);
    const QuantizedRows rows{q.data(), scale.data(), sum.data()};
    k.quantize_rows(from, c.cols, count, c.cols, rows);
    k.linear_quantized(matrix(), rows, count, b, y.data(), c.rows, 0, c.rows);
    return y;
  }
};

class Linear : public testing::TestWithParam<WeightType> {};

TEST_P(Linear, EqualsAPlainSumInDouble) {
  std::mt19937 random(7);
  for (const auto& [rows, cols, m] : {std::tuple{16, 32, 1}, {48, 576, 3}, {37, 96, 9}, {192, 1536, 17}}) {
    const Product p({GetParam(), rows, cols}, m, random);
    std::vector<float> w(static_cast<std::size_t>(rows * cols));
    for (int r = 0; r < rows; ++r)
      dequantize_row(
          p.c.type,
          p.stored.data() + stored_bytes(p.c.type, static_cast<std::size_t>(r), static_cast<std::size_t>(cols)), cols,
          w.data() + static_cast<std::ptrdiff_t>(r) * cols);
    for (const Kernels* k : isas()) {
      const std::vector<float> y = p.run(*k, 0, m);
      for (int i = 0; i < m; ++i)
        for (int r = 0; r < rows; ++r) {
          double sum = p.bias[static_cast<std::size_t>(r)];
          double magnitude = 1;
          for (int j = 0; j < cols; ++j) {
            const double term = static_cast<double>(w[static_cast<std::size_t>(r * cols + j)]) *
                                p.x[static_cast<std::size_t>(i * cols + j)];
            sum += term;
            magnitude += std::fabs(term);
          }
          ASSERT_NEAR(y[static_cast<std::size_t>(i * rows + r)], sum, 5e-5 * magnitude)
              << k->name << " row " << i << " output " << r;
        }
    }
  }
}

TEST_P(Linear, GivesARowTheSameBitsAloneAndInAnyBatchAndOnEveryInstructionSet) {
  std::mt19937 random(8);
  const Product p({GetParam(), 80, 320}, 23, random);
  const std::vector<float> whole = p.run(*isas().front(), 0, 23);
  for (const Kernels* k : isas()) {
    for (const int batch : {1, 2, 3, 5, 8, 13, 23})
      for (int first = 0; first + batch <= 23; first += batch) {
        const std::vector<float> part = p.run(*k, first, batch);
        ASSERT_EQ(0, std::memcmp(part.data(), whole.data() + static_cast<std::ptrdiff_t>(first) * 80,
                                 part.size() * sizeof(float)))
            << k->name << " batch " << batch << " from " << first;
      }
  }
}

TEST_P(Linear, CanBeSplitOverOutputsWithoutTouchingOthers) {
  std::mt19937 random(9);
  const Product p({GetParam(), 70, 64}, 1, random);
  const Kernels& k = best();
  const std::vector<float> whole = p.run(k, 0, 1, false);
  std::vector<std::int16_t> q(64);
  std::vector<float> scale(2);
  std::vector<float> sum(2);
  k.quantize_rows(p.x.data(), 64, 1, 64, {q.data(), scale.data(), sum.data()});
  std::vector<float> y(72, -1.0F);
  const bool plain = p.c.type == WeightType::f32 || p.c.type == WeightType::f16;
  for (const auto& [begin, end] : {std::pair{0, 32}, {32, 48}, {48, 70}}) {
    if (plain)
      k.linear_float(p.matrix(), p.x.data(), 64, 1, nullptr, y.data(), 70, begin, end);
    else
      k.linear_quantized(p.matrix(), {q.data(), scale.data(), sum.data()}, 1, nullptr, y.data(), 70, begin, end);
  }
  EXPECT_EQ(0, std::memcmp(y.data(), whole.data(), 70 * sizeof(float)));
  EXPECT_EQ(y[70], -1.0F);
}

INSTANTIATE_TEST_SUITE_P(Types, Linear,
                         testing::Values(WeightType::f32, WeightType::f16, WeightType::q4_1, WeightType::q8_0),
                         [](const auto& type) {
                           switch (type.param) {
                             case WeightType::f32:
                               return std::string("f32");
                             case WeightType::f16:
                               return std::string("f16");
                             case WeightType::q4_1:
                               return std::string("q4_1");
                             default:
                               return std::string("q8_0");
                           }
                         });

TEST(QuantizeRows, KeepsSixteenBitsOfEachBlockAndSurvivesZeros) {
  std::mt19937 random(10);
  std::normal_distribution<float> normal;
  std::vector<float> x(96);
  for (float& v : x) v = normal(random) * 100;
  for (int i = 32; i < 64; ++i) x[static_cast<std::size_t>(i)] = 0;
  for (const Kernels* k : isas()) {
    std::vector<std::int16_t> q(96);
    std::vector<float> scale(3);
    std::vector<float> sum(3);
    k->quantize_rows(x.data(), 96, 1, 96, {q.data(), scale.data(), sum.data()});
    for (std::size_t i = 0; i < 96; ++i) EXPECT_NEAR(scale[i / 32] * q[i], x[i], scale[i / 32] * 0.51F) << k->name;
    EXPECT_EQ(scale[1], 0.0F);
    EXPECT_EQ(sum[1], 0.0F);
  }
}

}  // namespace
}  // namespace kvasir::kernels
