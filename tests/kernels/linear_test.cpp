// Matrix products: right against a plain sum in double, and equal bit for bit on every instruction set and batch shape.
#include "tests/kernels/isas.hpp"
#include "tests/test_files.hpp"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
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

// Where a stored block has its f16 numbers: random bits there would be infinities now and then.
struct Halves {
  std::size_t block;  // bytes
  std::vector<std::size_t> at;
};
Halves halves_of(WeightType type) {
  switch (type) {
    case WeightType::q4_0:
    case WeightType::iq4_nl:
      return {18, {0}};
    case WeightType::q4_1:
      return {20, {0, 2}};
    case WeightType::q5_0:
      return {22, {0}};
    case WeightType::q5_1:
      return {24, {0, 2}};
    case WeightType::q2_k:
      return {84, {80, 82}};
    case WeightType::q3_k:
      return {110, {108}};
    case WeightType::q4_k:
      return {144, {0, 2}};
    case WeightType::q5_k:
      return {176, {0, 2}};
    case WeightType::q6_k:
      return {210, {208}};
    case WeightType::iq4_xs:
      return {136, {0}};
    default:
      return {34, {0}};
  }
}

std::vector<std::byte> random_weights(const Case& c, std::mt19937& random) {
  std::vector<std::byte> stored(
      stored_bytes(c.type, static_cast<std::size_t>(c.rows), static_cast<std::size_t>(c.cols)));
  std::normal_distribution<float> normal;
  if (c.type == WeightType::f32) {
    for (std::size_t i = 0; i < stored.size(); i += 4) {
      const float v = normal(random);
      std::memcpy(&stored[i], &v, 4);
    }
  } else if (!is_quantized(c.type)) {
    for (std::size_t i = 0; i < stored.size(); i += 2) {
      const float v = normal(random);
      std::uint16_t bits = f32_to_f16(v);
      if (c.type == WeightType::bf16) std::memcpy(&bits, reinterpret_cast<const char*>(&v) + 2, 2);
      std::memcpy(&stored[i], &bits, 2);
    }
  } else {
    for (auto& b : stored) b = static_cast<std::byte>(random() & 0xFFU);
    const Halves halves = halves_of(c.type);
    for (std::size_t i = 0; i < stored.size(); i += halves.block)
      for (const std::size_t at : halves.at) {
        const std::uint16_t half = f32_to_f16(0.01F * normal(random));
        std::memcpy(&stored[i + at], &half, 2);
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
    if (!is_quantized(c.type)) {
      k.linear_float(matrix(), from, c.cols, count, b, y.data(), c.rows, 0, c.rows);
      return y;
    }
    const auto elements = static_cast<std::size_t>(count * c.cols);
    std::vector<std::int16_t> q(elements);
    std::vector<float> scale(elements / kBlock);
    std::vector<float> sum(elements / kBlock);
    std::vector<float> half_sum(elements / kBlock);
    const QuantizedRows rows{q.data(), scale.data(), sum.data(), half_sum.data()};
    k.quantize_rows(from, c.cols, count, c.cols, rows);
    k.linear_quantized(matrix(), rows, count, b, y.data(), c.rows, 0, c.rows);
    return y;
  }
};

class Linear : public testing::TestWithParam<WeightType> {};

TEST_P(Linear, EqualsAPlainSumInDouble) {
  std::mt19937 random(7);
  for (const auto& [rows, cols, m] : {std::tuple{16, 256, 1}, {48, 768, 3}, {37, 512, 9}, {192, 1536, 17}}) {
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
  const Product p({GetParam(), 80, 512}, 23, random);
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
  constexpr int cols = 256;
  const Product p({GetParam(), 70, cols}, 1, random);
  const Kernels& k = best();
  const std::vector<float> whole = p.run(k, 0, 1, false);
  std::vector<std::int16_t> q(cols);
  std::vector<float> scale(cols / kBlock);
  std::vector<float> sum(cols / kBlock);
  std::vector<float> half_sum(cols / kBlock);
  const QuantizedRows quantized{q.data(), scale.data(), sum.data(), half_sum.data()};
  k.quantize_rows(p.x.data(), cols, 1, cols, quantized);
  std::vector<float> y(72, -1.0F);
  for (const auto& [begin, end] : {std::pair{0, 32}, {32, 48}, {48, 70}}) {
    if (is_quantized(p.c.type))
      k.linear_quantized(p.matrix(), quantized, 1, nullptr, y.data(), 70, begin, end);
    else
      k.linear_float(p.matrix(), p.x.data(), cols, 1, nullptr, y.data(), 70, begin, end);
  }
  EXPECT_EQ(0, std::memcmp(y.data(), whole.data(), 70 * sizeof(float)));
  EXPECT_EQ(y[70], -1.0F);
}

struct NamedType {
  const char* name;
  WeightType type;
};
constexpr NamedType kTypes[] = {
    {"F32", WeightType::f32},   {"F16", WeightType::f16},       {"BF16", WeightType::bf16},
    {"Q4_0", WeightType::q4_0}, {"Q4_1", WeightType::q4_1},     {"Q5_0", WeightType::q5_0},
    {"Q5_1", WeightType::q5_1}, {"Q8_0", WeightType::q8_0},     {"Q2_K", WeightType::q2_k},
    {"Q3_K", WeightType::q3_k}, {"Q4_K", WeightType::q4_k},     {"Q5_K", WeightType::q5_k},
    {"Q6_K", WeightType::q6_k}, {"IQ4_NL", WeightType::iq4_nl}, {"IQ4_XS", WeightType::iq4_xs},
};
std::vector<WeightType> all_types() {
  std::vector<WeightType> types;
  for (const NamedType& named : kTypes) types.push_back(named.type);
  return types;
}
std::string name_of(WeightType type) {
  for (const NamedType& named : kTypes)
    if (named.type == type) return named.name;
  return {};
}

INSTANTIATE_TEST_SUITE_P(Types, Linear, testing::ValuesIn(all_types()),
                         [](const auto& type) { return name_of(type.param); });

class StoredBlocks : public testing::TestWithParam<NamedType> {};

// Blocks that llama.cpp quantised, values that gguf-py made of them.
TEST_P(StoredBlocks, HaveTheReferencesValues) {
  const auto folder = shared_data() / "engine_golden" / "tiny" / "dequant";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no golden data at " << folder;
  const auto read = [&](const std::string& name) {
    std::ifstream file(folder / (std::string(GetParam().name) + name), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string blocks = read(".blocks");
  const std::string values = read(".f32");
  constexpr std::size_t rows = 8;
  constexpr std::size_t cols = 256;
  ASSERT_EQ(blocks.size(), stored_bytes(GetParam().type, rows, cols));
  ASSERT_EQ(values.size(), rows * cols * sizeof(float));
  for (std::size_t r = 0; r < rows; ++r) {
    std::vector<float> row(cols);
    dequantize_row(GetParam().type, std::as_bytes(std::span(blocks)).data() + stored_bytes(GetParam().type, r, cols),
                   cols, row.data());
    for (std::size_t i = 0; i < cols; ++i) {
      float want = 0;
      std::memcpy(&want, values.data() + (r * cols + i) * sizeof want, sizeof want);
      ASSERT_EQ(row[i], want) << "row " << r << ", value " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, StoredBlocks, testing::ValuesIn(std::span(kTypes).subspan(1)),
                         [](const auto& named) { return std::string(named.param.name); });

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
    std::vector<float> half_sum(3);
    k->quantize_rows(x.data(), 96, 1, 96, {q.data(), scale.data(), sum.data(), half_sum.data()});
    for (std::size_t i = 0; i < 96; ++i) EXPECT_NEAR(scale[i / 32] * q[i], x[i], scale[i / 32] * 0.51F) << k->name;
    EXPECT_EQ(scale[1], 0.0F);
    EXPECT_EQ(sum[1], 0.0F);
  }
}

}  // namespace
}  // namespace kvasir::kernels
