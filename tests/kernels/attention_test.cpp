// Paged attention: right against a plain softmax in double; a row's bits do not depend on its chunk; a shifted block
// reads like one that was computed at its new place.
#include "tests/kernels/isas.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::kernels {
namespace {

constexpr int kPositions = 2048;

struct Rotation {
  std::vector<float> cos;
  std::vector<float> sin;
  RopeTable table;

  explicit Rotation(int dims, bool interleaved)
      : cos(static_cast<std::size_t>(kPositions * dims / 2)), sin(cos.size()) {
    for (int p = 0; p < kPositions; ++p)
      for (int i = 0; i < dims / 2; ++i) {
        const double angle = p * std::pow(10000.0, -2.0 * i / dims);
        cos[static_cast<std::size_t>(p * dims / 2 + i)] = static_cast<float>(std::cos(angle));
        sin[static_cast<std::size_t>(p * dims / 2 + i)] = static_cast<float>(std::sin(angle));
      }
    table = {cos.data(), sin.data(), dims, interleaved};
  }
};

// One sequence of `length` tokens whose blocks lie in storage in random order.
struct Sequence {
  AttentionShape shape;
  int length;
  std::vector<float> q, k, v;  // [length, heads or kv_heads, head_dim], before rotation
  Rotation rotation;
  std::vector<BlockRef> table;

  Sequence(AttentionShape s, int n, unsigned seed, bool interleaved = true)
      : shape(s),
        length(n),
        q(size(s.heads)),
        k(size(s.kv_heads)),
        v(size(s.kv_heads)),
        rotation(s.head_dim, interleaved) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (auto* values : {&q, &k, &v})
      for (float& x : *values) x = f16_to_f32(f32_to_f16(normal(random)));
    table.resize(static_cast<std::size_t>((n + kKvBlock - 1) / kKvBlock));
    for (std::size_t i = 0; i < table.size(); ++i) table[i].block = static_cast<std::int32_t>(i);
    std::shuffle(table.begin(), table.end(), random);
  }
  std::size_t size(int heads) const { return static_cast<std::size_t>(length * heads * shape.head_dim); }
};

struct Storage {
  std::vector<std::byte> k, v;
  KvLayer layer;
  Storage(const Sequence& s, KvType type)
      : k(s.table.size() * static_cast<std::size_t>(s.shape.kv_heads) * kv_head_bytes(type, s.shape.head_dim)),
        v(k.size()),
        layer{k.data(), v.data(), static_cast<std::ptrdiff_t>(k.size() / s.table.size()), type} {}
};

// Writes the sequence's KV; keys are rotated for position - shift of their block.
Storage written(const Kernels& kernels, const Sequence& s, KvType type = KvType::f16) {
  Storage storage(s, type);
  const int width = s.shape.kv_heads * s.shape.head_dim;
  for (int t = 0; t < s.length; ++t) {
    const BlockRef& ref = s.table[static_cast<std::size_t>(t / kKvBlock)];
    std::vector<float> key(s.k.begin() + t * width, s.k.begin() + (t + 1) * width);
    kernels.rope(s.rotation.table, key.data(), s.shape.kv_heads, s.shape.head_dim, t - ref.shift);
    kernels.kv_write(storage.layer, s.shape, ref.block, t % kKvBlock, key.data(), s.v.data() + t * width);
  }
  return storage;
}

std::vector<float> attend(const Kernels& kernels, const Sequence& s, const Storage& storage, int first, int rows) {
  const int width = s.shape.heads * s.shape.head_dim;
  std::vector<float> q(s.q.begin() + first * width, s.q.begin() + (first + rows) * width);
  for (int r = 0; r < rows; ++r)
    kernels.rope(s.rotation.table, q.data() + r * width, s.shape.heads, s.shape.head_dim, first + r);
  std::vector<float> out(q.size());
  std::vector<float> scratch(attention_scratch(s.shape));
  const int group = s.shape.heads / s.shape.kv_heads * s.shape.head_dim;
  for (int h = 0; h < s.shape.kv_heads; ++h)
    kernels.attention(storage.layer, s.shape, s.rotation.table, s.table.data(), first + 1, rows, h,
                      q.data() + h * group, width, out.data() + h * group, width, scratch.data());
  return out;
}

// Keys as they lie in KV, rotated for where they stand, and values: [length, kv_heads, head_dim].
struct Kv {
  std::vector<float> k, v;
};

Kv original(const Sequence& s) {
  Kv kv{s.k, s.v};
  const int width = s.shape.kv_heads * s.shape.head_dim;
  for (int t = 0; t < s.length; ++t)
    find(Isa::generic)->rope(s.rotation.table, kv.k.data() + t * width, s.shape.kv_heads, s.shape.head_dim, t);
  return kv;
}

// The normalised Hadamard matrix of the largest power of two in n, along a vector of n, by its definition.
std::vector<float> hadamard(const std::vector<float>& x) {
  const auto n = static_cast<int>(x.size());
  const int size = n & -n;
  std::vector<float> y;
  for (int i = 0; i < n; ++i) {
    double sum = 0;
    for (int j = 0; j < size; ++j) {
      const double value = x[static_cast<std::size_t>(i / size * size + j)];
      sum += std::popcount(static_cast<unsigned>(i % size & j)) % 2 == 0 ? value : -value;
    }
    y.push_back(static_cast<float>(sum / std::sqrt(size)));
  }
  return y;
}

// One number of a block as the layout in kernels.hpp says, without its scale.
float stored_value(KvType type, const std::byte* head, bool key, int dim, int slot, int head_dim) {
  if (type == KvType::int4) {
    const int byte = key ? dim / 2 * kKvBlock + slot : (slot * (head_dim / 16) + dim / 16) * 8 + dim % 8;
    const bool high = key ? dim % 2 == 1 : dim % 16 >= 8;
    const auto bits = static_cast<int>(head[byte]);
    return static_cast<float>(high ? bits >> 4 : bits & 15) - 7.5F;
  }
  const int index = key ? dim * kKvBlock + slot : slot * head_dim + dim;
  if (type == KvType::int8) return static_cast<std::int8_t>(head[index]);
  std::uint16_t bits;
  std::memcpy(&bits, head + 2 * index, sizeof bits);
  return f16_to_f32(bits);
}

Kv read_back(const Sequence& s, const Storage& storage) {
  Kv kv;
  const KvType type = storage.layer.type;
  const int dim = s.shape.head_dim;
  const std::size_t head_bytes = kv_head_bytes(type, dim);
  for (int t = 0; t < s.length; ++t)
    for (int h = 0; h < s.shape.kv_heads; ++h) {
      const int block = s.table[static_cast<std::size_t>(t / kKvBlock)].block;
      const int slot = t % kKvBlock;
      for (const bool key : {true, false}) {
        const std::byte* head =
            (key ? storage.k : storage.v).data() + static_cast<std::size_t>(block * s.shape.kv_heads + h) * head_bytes;
        float scale = 1;
        if (type != KvType::f16) {
          std::uint16_t bits;
          std::memcpy(&bits, head + head_bytes - 2 * (kKvBlock - slot), sizeof bits);
          scale = f16_to_f32(bits);
        }
        std::vector<float> x;
        for (int d = 0; d < dim; ++d) x.push_back(scale * stored_value(type, head, key, d, slot, dim));
        if (type != KvType::f16) x = hadamard(x);
        std::vector<float>& to = key ? kv.k : kv.v;
        to.insert(to.end(), x.begin(), x.end());
      }
    }
  return kv;
}

std::vector<double> plain(const Sequence& s, const Kv& kv, int row) {
  const int dim = s.shape.head_dim;
  const int group = s.shape.heads / s.shape.kv_heads;
  const Kernels& kernels = *find(Isa::generic);
  std::vector<double> out;
  for (int h = 0; h < s.shape.heads; ++h) {
    std::vector<float> q(s.q.begin() + (row * s.shape.heads + h) * dim,
                         s.q.begin() + (row * s.shape.heads + h + 1) * dim);
    kernels.rope(s.rotation.table, q.data(), 1, dim, row);
    std::vector<double> weight;
    const int oldest = s.shape.window == 0 ? 0 : std::max(0, row + 1 - s.shape.window);
    for (int t = 0; t <= row; ++t) {
      const auto key = kv.k.begin() + (t * s.shape.kv_heads + h / group) * dim;
      const double score = std::inner_product(q.begin(), q.end(), key, 0.0) * s.shape.scale;
      weight.push_back(t < oldest ? -std::numeric_limits<double>::infinity() : score);
    }
    const double top = *std::max_element(weight.begin(), weight.end());
    double sum = 0;
    for (double& w : weight) sum += w = std::exp(w - top);
    for (int d = 0; d < dim; ++d) {
      double value = 0;
      for (int t = 0; t <= row; ++t)
        value += weight[static_cast<std::size_t>(t)] / sum *
                 kv.v[static_cast<std::size_t>((t * s.shape.kv_heads + h / group) * dim + d)];
      out.push_back(value);
    }
  }
  return out;
}

constexpr KvType kTypes[] = {KvType::f16, KvType::int8, KvType::int4};
constexpr AttentionShape kGrouped{9, 3, 64, 0.125F};
constexpr AttentionShape kSmall{4, 4, 16, 0.25F};
constexpr AttentionShape kWindowed{4, 2, 32, 0.2F, 300};
constexpr AttentionShape kOddWidth{6, 2, 96, 0.1F};

TEST(Attention, EqualsAPlainSoftmax) {
  for (const auto& [shape, length] : {std::pair{kGrouped, 5},
                                      {kGrouped, 300},
                                      {kSmall, 16},
                                      {kSmall, 777},
                                      {kWindowed, 20},
                                      {kWindowed, 301},
                                      {kWindowed, 812},
                                      {kWindowed, 900}}) {
    const Sequence s(shape, length, 3);
    for (const KvType type : kTypes)
      for (const Kernels* k : isas()) {
        const Storage storage = written(*k, s, type);
        const std::vector<float> out = attend(*k, s, storage, length - 1, 1);
        const std::vector<double> want = plain(s, read_back(s, storage), length - 1);
        for (std::size_t i = 0; i < want.size(); ++i)
          ASSERT_NEAR(out[i], want[i], 2e-5) << k->name << " length " << length << " type " << static_cast<int>(type);
      }
  }
}

TEST(KvWrite, KeepsWhatItIsGivenToTheTypesPrecision) {
  for (const AttentionShape& shape : {kGrouped, kSmall, kOddWidth}) {
    const Sequence s(shape, 40, 8);
    const Kv given = original(s);
    const auto rms = [&](const std::vector<float>& got, const std::vector<float>& want) {
      double error = 0;
      double size = 0;
      for (std::size_t i = 0; i < want.size(); ++i) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
      }
      return std::sqrt(error / size);
    };
    // Half a step, evenly spread, of a vector whose largest number is about 2.7 times the usual one.
    for (const auto& [type, bound] : {std::pair{KvType::f16, 3e-4}, {KvType::int8, 0.01}, {KvType::int4, 0.13}})
      for (const Kernels* k : isas()) {
        const Kv kept = read_back(s, written(*k, s, type));
        EXPECT_LT(rms(kept.k, given.k), bound) << k->name << " type " << static_cast<int>(type);
        EXPECT_LT(rms(kept.v, given.v), bound) << k->name << " type " << static_cast<int>(type);
      }
  }
}

TEST(KvWrite, KeepsZerosAndSaturatesWhatNoNumberHolds) {
  const Sequence s(kSmall, 16, 9);
  const auto width = static_cast<std::size_t>(s.shape.kv_heads * s.shape.head_dim);
  for (const KvType type : kTypes)
    for (const Kernels* k : isas()) {
      Storage storage(s, type);
      const std::vector<float> zeros(width);
      const std::vector<float> infinite(width, std::numeric_limits<float>::infinity());
      for (int t = 0; t < 16; ++t)
        k->kv_write(storage.layer, s.shape, s.table[0].block, t, t == 3 ? zeros.data() : infinite.data(),
                    t == 3 ? zeros.data() : infinite.data());
      const Kv kept = read_back(s, storage);
      for (std::size_t i = 0; i < width; ++i) EXPECT_EQ(kept.k[3 * width + i], 0);
      for (const float x : kept.v) EXPECT_TRUE(std::isfinite(x)) << k->name << " type " << static_cast<int>(type);
    }
}

TEST(Attention, GivesARowTheSameBitsInEveryChunkAndOnEveryInstructionSet) {
  for (const auto& [shape, type] : {std::pair{kGrouped, KvType::f16},
                                    {kWindowed, KvType::f16},
                                    {kGrouped, KvType::int8},
                                    {kOddWidth, KvType::int8},
                                    {kGrouped, KvType::int4},
                                    {kOddWidth, KvType::int4}}) {
    const Sequence s(shape, 530, 4);
    const int width = s.shape.heads * s.shape.head_dim;
    std::vector<float> alone;
    const Storage reference = written(*isas().front(), s, type);
    for (int row = 500; row < 530; ++row) {
      const std::vector<float> out = attend(*isas().front(), s, reference, row, 1);
      alone.insert(alone.end(), out.begin(), out.end());
    }
    for (const Kernels* k : isas()) {
      const Storage storage = written(*k, s, type);
      EXPECT_EQ(storage.k, reference.k);
      EXPECT_EQ(storage.v, reference.v);
      for (const int chunk : {1, 3, 5, 8})
        for (int row = 500; row + chunk <= 530; row += chunk) {
          const std::vector<float> out = attend(*k, s, storage, row, chunk);
          for (std::size_t i = 0; i < out.size(); ++i)
            ASSERT_EQ(out[i], alone[static_cast<std::size_t>((row - 500) * width) + i])
                << k->name << " chunk " << chunk << " row " << row;
        }
    }
  }
}

TEST(Attention, ReadsAShiftedBlockAsIfItStoodWhereItIsUsed) {
  for (const bool interleaved : {true, false}) {
    Sequence s(kGrouped, 200, 5, interleaved);
    const Kernels& k = best();
    const std::vector<float> want = attend(k, s, written(k, s), 192, 8);
    for (std::size_t i = 2; i < 9; ++i) s.table[i].shift = i < 5 ? 16 : -48;
    for (const auto& [type, bound] : {std::pair{KvType::f16, 4e-3}, {KvType::int8, 0.02}, {KvType::int4, 0.3}}) {
      const std::vector<float> out = attend(k, s, written(k, s, type), 192, 8);
      for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], want[i], bound);
    }
  }
}

TEST(Attention, IgnoresWhateverLiesBehindTheLastToken) {
  for (const KvType type : kTypes) {
    const Sequence s(kSmall, 40, 6);
    const Kernels& k = best();
    Storage storage = written(k, s, type);
    const std::vector<float> want = attend(k, s, storage, 20, 1);
    // Given: everything after token 20 is overwritten with the largest numbers that f16 has.
    const std::vector<float> huge(64, 65504.0F);
    for (int t = 21; t < 48; ++t)
      k.kv_write(storage.layer, s.shape, s.table[static_cast<std::size_t>(t / 16)].block, t % 16, huge.data(),
                 huge.data());
    EXPECT_EQ(attend(k, s, storage, 20, 1), want);
  }
}

}  // namespace
}  // namespace kvasir::kernels
