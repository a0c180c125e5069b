#include "embed/bert_encoder.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <utility>

namespace kvasir::embed {
namespace {

using kernels::kTile;
using kernels::PackedMatrix;
using kernels::WeightType;

constexpr int kRowBlock = 64;       // rows of activations that stay in cache while weights stream past
constexpr int kItemsPerThread = 4;  // so that a thread that is late costs a quarter of its share
constexpr int kRowsPerItem = 16;    // of work that is cheap per row

constexpr int round_up(int value, int step) {
  return (value + step - 1) / step * step;
}
std::size_t area(int rows, int cols) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols);
}

int widest(const BertConfig& config) {
  return round_up(std::max(config.hidden, config.ffn), kernels::kBlock);
}

const std::byte* bytes_of(const float* values) {
  return reinterpret_cast<const std::byte*>(values);
}

}  // namespace

BertEncoder::BertEncoder(BertConfig config, BertWeights weights, int threads)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      kernels_(kernels::best()),
      pool_(threads),
      hidden_(area(kMaxRows, config_.hidden)),
      qkv_(area(kMaxRows, 3 * config_.hidden)),
      context_(area(kMaxRows, config_.hidden)),
      ffn_(area(kMaxRows, config_.ffn)),
      delta_(area(kMaxRows, config_.hidden)),
      rounded_(area(kMaxRows, widest(config_))),
      scales_(rounded_.size() / kernels::kBlock),
      sums_(scales_.size()),
      half_sums_(scales_.size()) {
  assert(config_.max_tokens <= kMaxRows);
  for (int head = 0; head < config_.heads; ++head) {
    const int tokens = config_.max_tokens;
    const int width = config_.head_dim();
    heads_.push_back({AlignedBuffer<float>(2 * area(tokens, width)),
                      AlignedBuffer<std::byte>(kernels::packed_bytes(WeightType::f32, tokens, width)),
                      AlignedBuffer<std::byte>(kernels::packed_bytes(WeightType::f32, width, tokens)),
                      AlignedBuffer<float>(area(kQueryRows, tokens))});
  }
}

void BertEncoder::encode(std::span<const TokenId> ids, std::span<const int> lengths, float* out) {
  assert(ids.size() <= static_cast<std::size_t>(kMaxRows));
  rows_ = static_cast<int>(ids.size());
  embed_tokens(ids, lengths);
  for (const BertLayer& layer : weights_.layers) {
    attend(layer, lengths);
    feed_forward(layer);
  }
  pool(lengths, out);
}

template <typename Body>
void BertEncoder::for_rows(Body&& body) {
  pool_.parallel_for(round_up(rows_, kRowsPerItem) / kRowsPerItem, [&](int item) {
    const int end = std::min(rows_, (item + 1) * kRowsPerItem);
    for (int row = item * kRowsPerItem; row < end; ++row) body(row);
  });
}

kernels::QuantizedRows BertEncoder::rounded(int first, int cols) {
  const std::size_t block = area(first, cols / kernels::kBlock);
  return {rounded_.data() + area(first, cols), scales_.data() + block, sums_.data() + block, half_sums_.data() + block};
}

void BertEncoder::round_rows(const Linear& linear, const float* from) {
  const int cols = linear.weight.cols;
  if (!kernels::is_quantized(linear.weight.type)) return;
  for_rows([&](int row) { kernels_.quantize_rows(from + area(row, cols), cols, 1, cols, rounded(row, cols)); });
}

template <typename After>
void BertEncoder::multiply(const Linear& linear, const float* from, float* to, After&& after) {
  const PackedMatrix& weight = linear.weight;
  const bool quantized = kernels::is_quantized(weight.type);
  round_rows(linear, from);
  const int columns = round_up(weight.rows / (pool_.threads() * kItemsPerThread) + 1, 2 * kTile);
  const int column_items = round_up(weight.rows, columns) / columns;
  const int row_items = round_up(rows_, kRowBlock) / kRowBlock;
  pool_.parallel_for(row_items * column_items, [&](int item) {
    const int row = item / column_items * kRowBlock;
    const int rows = std::min(kRowBlock, rows_ - row);
    const int first = item % column_items * columns;
    const int last = std::min(weight.rows, first + columns);
    float* part = to + area(row, weight.rows);
    if (quantized) {
      kernels_.linear_quantized(weight, rounded(row, weight.cols), rows, linear.bias.data(), part, weight.rows, first,
                                last);
    } else {
      kernels_.linear_float(weight, from + area(row, weight.cols), weight.cols, rows, linear.bias.data(), part,
                            weight.rows, first, last);
    }
    for (int r = 0; r < rows; ++r) after(part + area(r, weight.rows) + first, last - first);
  });
}

void BertEncoder::add_and_norm(const float* delta, const LayerNorm& norm) {
  for_rows([&](int row) {
    float* x = hidden_.data() + area(row, config_.hidden);
    kernels_.add(x, delta + area(row, config_.hidden), config_.hidden);
    kernels_.layer_norm(x, norm.weight.data(), norm.bias.data(), x, config_.hidden, config_.epsilon);
  });
}

void BertEncoder::embed_tokens(std::span<const TokenId> ids, std::span<const int> lengths) {
  const LayerNorm& norm = weights_.embedding_norm;
  const std::size_t word_bytes = kernels::stored_bytes(weights_.word_type, 1, static_cast<std::size_t>(config_.hidden));
  const auto embed_token = [&](int row, int position) {
    float* x = hidden_.data() + area(row, config_.hidden);
    const TokenId id = ids[static_cast<std::size_t>(row)];
    assert(id >= 0 && id < config_.vocabulary);
    kernels::dequantize_row(weights_.word_type, weights_.words.data() + static_cast<std::size_t>(id) * word_bytes,
                            config_.hidden, x);
    kernels_.add(x, weights_.positions.data() + area(position, config_.hidden), config_.hidden);
    kernels_.layer_norm(x, norm.weight.data(), norm.bias.data(), x, config_.hidden, config_.epsilon);
  };
  int row = 0;
  for (const int length : lengths) {
    assert(length > 0 && length <= config_.max_tokens);
    for (int position = 0; position < length; ++position) embed_token(row++, position);
  }
}

void BertEncoder::attend(const BertLayer& layer, std::span<const int> lengths) {
  const auto nothing = [](float*, int) {};
  multiply(layer.qkv, hidden_.data(), qkv_.data(), nothing);
  pool_.parallel_for(config_.heads, [&](int head) {
    int row = 0;
    for (const int length : lengths) {
      attend_head(head, row, length);
      row += length;
    }
  });
  multiply(layer.attention_output, context_.data(), delta_.data(), nothing);
  add_and_norm(delta_.data(), layer.attention_norm);
}

// softmax(q kᵀ / √d) v. Keys and values are packed like weights, so that the products run in the same kernel.
void BertEncoder::attend_head(int head, int first_row, int length) {
  const int width = config_.head_dim();
  const int stride = 3 * config_.hidden;
  const float scale = 1.0F / std::sqrt(static_cast<float>(width));
  const float* queries = qkv_.data() + area(first_row, stride) + area(head, width);
  HeadScratch& scratch = heads_[static_cast<std::size_t>(head)];
  float* keys = scratch.gathered.data();
  float* values = keys + area(length, width);
  for (int token = 0; token < length; ++token) {
    const float* key = queries + area(token, stride) + config_.hidden;
    const float* value = key + config_.hidden;
    for (int i = 0; i < width; ++i) {
      keys[area(token, width) + static_cast<std::size_t>(i)] = key[i] * scale;
      values[area(i, length) + static_cast<std::size_t>(token)] = value[i];
    }
  }
  kernels::pack(WeightType::f32, bytes_of(keys), length, width, 0, scratch.keys.data());
  kernels::pack(WeightType::f32, bytes_of(values), width, length, 0, scratch.values.data());
  const PackedMatrix key_matrix{WeightType::f32, length, width, scratch.keys.data()};
  const PackedMatrix value_matrix{WeightType::f32, width, length, scratch.values.data()};

  float* scores = scratch.scores.data();
  float* context = context_.data() + area(first_row, config_.hidden) + area(head, width);
  for (int row = 0; row < length; row += kQueryRows) {
    const int rows = std::min(kQueryRows, length - row);
    kernels_.linear_float(key_matrix, queries + area(row, stride), stride, rows, nullptr, scores, length, 0, length);
    for (int r = 0; r < rows; ++r) kernels_.softmax(scores + area(r, length), length);
    kernels_.linear_float(value_matrix, scores, length, rows, nullptr, context + area(row, config_.hidden),
                          config_.hidden, 0, width);
  }
}

void BertEncoder::feed_forward(const BertLayer& layer) {
  multiply(layer.ffn_up, hidden_.data(), ffn_.data(), [&](float* x, int n) { kernels_.gelu(x, n); });
  multiply(layer.ffn_down, ffn_.data(), delta_.data(), [](float*, int) {});
  add_and_norm(delta_.data(), layer.ffn_norm);
}

// The mean over all tokens, [CLS] and [SEP] too, then L2 norm 1.
void BertEncoder::pool(std::span<const int> lengths, float* out) {
  const float* row = hidden_.data();
  for (const int length : lengths) {
    std::fill_n(out, config_.hidden, 0.0F);
    for (int token = 0; token < length; ++token, row += config_.hidden) kernels_.add(out, row, config_.hidden);
    double squares = 0;
    for (int i = 0; i < config_.hidden; ++i) squares += static_cast<double>(out[i]) * static_cast<double>(out[i]);
    const double inverse = 1.0 / std::max(std::sqrt(squares), 1e-12);
    for (int i = 0; i < config_.hidden; ++i) out[i] = static_cast<float>(static_cast<double>(out[i]) * inverse);
    out += config_.hidden;
  }
}

}  // namespace kvasir::embed
