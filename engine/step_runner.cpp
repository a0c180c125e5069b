#include "engine/step_runner.hpp"

#include <algorithm>

namespace kvasir::engine {
namespace {

// Outputs that one thread takes at a time; a multiple of the tile.
constexpr int kOutputs = 4 * kernels::kTile;

void grow(std::vector<float>& values, int rows, int width) {
  const std::size_t size = static_cast<std::size_t>(rows) * static_cast<std::size_t>(width);
  if (values.size() < size) values.resize(size);
}

std::ptrdiff_t offset(int row, int width) {
  return static_cast<std::ptrdiff_t>(row) * width;
}

}  // namespace

StepRunner::StepRunner(const Model& model, KvStorage& storage, kernels::ThreadPool& threads,
                       const kernels::Kernels& kernels)
    : model_(model), storage_(storage), threads_(threads), kernels_(kernels) {}

void StepRunner::Activations::resize(int rows, int width) {
  grow(values, rows, width);
  const std::size_t elements = static_cast<std::size_t>(rows) * static_cast<std::size_t>(width);
  if (quantized.size() < elements) quantized.resize(elements);
  grow(scale, rows, width / kernels::kBlock);
  grow(sum, rows, width / kernels::kBlock);
}

void StepRunner::plan(std::span<const Segment> segments) {
  groups_.clear();
  rows_ = 0;
  for (const Segment& segment : segments) {
    const int tokens = static_cast<int>(segment.tokens.size());
    for (int first = 0; first < tokens; first += kernels::kAttentionRows) {
      const int rows = std::min(kernels::kAttentionRows, tokens - first);
      groups_.push_back({&segment, rows_ + first, rows, segment.position + first});
    }
    rows_ += tokens;
  }
  const ModelShape& shape = model_.shape();
  grow(residual_, rows_, shape.hidden);
  grow(branch_, rows_, shape.hidden);
  grow(qkv_, rows_, shape.query_width() + 2 * shape.kv_width());
  grow(gate_up_, rows_, 2 * shape.feed_forward);
  normed_.resize(rows_, shape.hidden);
  attended_.resize(rows_, shape.query_width());
  hidden_.resize(rows_, shape.feed_forward);
}

template <typename F>
void StepRunner::for_groups(F f) {
  threads_.parallel_for(static_cast<int>(groups_.size()), [&](int i) { f(groups_[static_cast<std::size_t>(i)]); });
}

void StepRunner::prepare(const Projection& projection, Activations& a, int width, int first, int rows) const {
  if (!projection.reads_quantized()) return;
  const int blocks = width / kernels::kBlock;
  kernels_.quantize_rows(a.values.data() + offset(first, width), width, rows, width,
                         {a.quantized.data() + offset(first, width), a.scale.data() + offset(first, blocks),
                          a.sum.data() + offset(first, blocks)});
}

void StepRunner::project(const Projection& projection, Activations& a, int rows, float* out) {
  const int width = projection.inputs();
  const int stride = projection.outputs();
  const kernels::QuantizedRows quantized{a.quantized.data(), a.scale.data(), a.sum.data()};
  for (const Projection::Part& part : projection.parts()) {
    const kernels::PackedMatrix& matrix = part.matrix;
    const bool plain = matrix.type == kernels::WeightType::f32 || matrix.type == kernels::WeightType::f16;
    threads_.parallel_for((matrix.rows + kOutputs - 1) / kOutputs, [&](int item) {
      const int begin = item * kOutputs;
      const int end = std::min(matrix.rows, begin + kOutputs);
      if (plain)
        kernels_.linear_float(matrix, a.values.data(), width, rows, nullptr, out + part.offset, stride, begin, end);
      else
        kernels_.linear_quantized(matrix, quantized, rows, nullptr, out + part.offset, stride, begin, end);
    });
  }
}

std::span<const float> StepRunner::run(std::span<const Segment> segments) {
  plan(segments);
  const ModelShape& shape = model_.shape();
  for_groups([&](const RowGroup& group) {
    for (int r = 0; r < group.rows; ++r) {
      const auto token = static_cast<std::size_t>(group.position + r - group.segment->position);
      model_.embed(group.segment->tokens[token], residual_.data() + offset(group.row + r, shape.hidden));
    }
  });
  for (int i = 0; i < shape.layers; ++i) run_layer(i);
  return logits(segments);
}

void StepRunner::run_layer(int index) {
  const ModelShape& shape = model_.shape();
  const Layer& layer = model_.layers()[static_cast<std::size_t>(index)];
  const int hidden = shape.hidden;
  const auto norm_into = [&](const std::vector<float>& weight, const Projection& next, const RowGroup& group) {
    for (int r = group.row; r < group.row + group.rows; ++r)
      kernels_.rms_norm(residual_.data() + offset(r, hidden), weight.data(), normed_.values.data() + offset(r, hidden),
                        hidden, shape.norm_eps);
    prepare(next, normed_, hidden, group.row, group.rows);
  };
  for_groups([&](const RowGroup& group) { norm_into(layer.attention_norm, layer.qkv, group); });
  project(layer.qkv, normed_, rows_, qkv_.data());
  attend(index);
  project(layer.attention_out, attended_, rows_, branch_.data());
  for_groups([&](const RowGroup& group) {
    kernels_.add(residual_.data() + offset(group.row, hidden), branch_.data() + offset(group.row, hidden),
                 group.rows * hidden);
    norm_into(layer.feed_forward_norm, layer.gate_up, group);
  });
  feed_forward(layer);
}

void StepRunner::attend(int index) {
  const ModelShape& shape = model_.shape();
  const Layer& layer = model_.layers()[static_cast<std::size_t>(index)];
  const kernels::AttentionShape& attention = shape.attention;
  const kernels::KvLayer kv = storage_.layer(index);
  const kernels::RopeTable rope = model_.rope();
  const int query = shape.query_width();
  const int width = query + 2 * shape.kv_width();
  for_groups([&](const RowGroup& group) {
    for (int r = 0; r < group.rows; ++r) {
      const int position = group.position + r;
      float* q = qkv_.data() + offset(group.row + r, width);
      float* k = q + query;
      kernels_.rope(rope, q, attention.heads + attention.kv_heads, attention.head_dim, position);
      const kernels::BlockRef& ref = group.segment->table[static_cast<std::size_t>(position / kernels::kKvBlock)];
      kernels_.kv_write(kv, attention, ref.block, position % kernels::kKvBlock, k, k + shape.kv_width());
    }
  });
  const int per_head = query / attention.kv_heads;
  threads_.parallel_for(static_cast<int>(groups_.size()) * attention.kv_heads, [&](int item) {
    static thread_local std::vector<float> scratch;
    scratch.resize(kernels::attention_scratch(attention));
    const RowGroup& group = groups_[static_cast<std::size_t>(item / attention.kv_heads)];
    const int head = item % attention.kv_heads;
    kernels_.attention(kv, attention, rope, group.segment->table.data(), group.position + 1, group.rows, head,
                       qkv_.data() + offset(group.row, width) + offset(head, per_head), width,
                       attended_.values.data() + offset(group.row, query) + offset(head, per_head), query,
                       scratch.data());
  });
  for_groups([&](const RowGroup& group) { prepare(layer.attention_out, attended_, query, group.row, group.rows); });
}

void StepRunner::feed_forward(const Layer& layer) {
  const int width = model_.shape().feed_forward;
  const int hidden = model_.shape().hidden;
  project(layer.gate_up, normed_, rows_, gate_up_.data());
  for_groups([&](const RowGroup& group) {
    for (int r = group.row; r < group.row + group.rows; ++r) {
      const float* gate = gate_up_.data() + offset(r, 2 * width);
      kernels_.swiglu(gate, gate + width, hidden_.values.data() + offset(r, width), width);
    }
    prepare(layer.down, hidden_, width, group.row, group.rows);
  });
  project(layer.down, hidden_, rows_, branch_.data());
  for_groups([&](const RowGroup& group) {
    kernels_.add(residual_.data() + offset(group.row, hidden), branch_.data() + offset(group.row, hidden),
                 group.rows * hidden);
  });
}

std::span<const float> StepRunner::logits(std::span<const Segment> segments) {
  const ModelShape& shape = model_.shape();
  int wanted = 0;
  int row = 0;
  for (const Segment& segment : segments) {
    row += static_cast<int>(segment.tokens.size());
    for (int i = row - segment.logit_rows; i < row; ++i, ++wanted) {
      kernels_.rms_norm(residual_.data() + offset(i, shape.hidden), model_.output_norm().data(),
                        normed_.values.data() + offset(wanted, shape.hidden), shape.hidden, shape.norm_eps);
      prepare(model_.head(), normed_, shape.hidden, wanted, 1);
    }
  }
  if (wanted == 0) return {};
  grow(logits_, wanted, shape.vocabulary);
  project(model_.head(), normed_, wanted, logits_.data());
  return {logits_.data(), static_cast<std::size_t>(wanted) * static_cast<std::size_t>(shape.vocabulary)};
}

}  // namespace kvasir::engine
