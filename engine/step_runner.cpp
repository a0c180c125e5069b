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
  grow(half_sum, rows, width / kernels::kBlock);
}

void StepRunner::plan(std::span<const Segment> segments) {
  groups_.clear();
  rows_ = 0;
  adapted_ = false;
  for (const Segment& segment : segments) {
    adapted_ = adapted_ || !segment.lora.empty();
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
                          a.sum.data() + offset(first, blocks), a.half_sum.data() + offset(first, blocks)});
}

void StepRunner::project(const Projection& projection, Activations& a, int rows, float* out) {
  const int width = projection.inputs();
  const int stride = projection.outputs();
  const kernels::QuantizedRows quantized{a.quantized.data(), a.scale.data(), a.sum.data(), a.half_sum.data()};
  for (const Projection::Part& part : projection.parts()) {
    const kernels::PackedMatrix& matrix = part.matrix;
    threads_.parallel_for((matrix.rows + kOutputs - 1) / kOutputs, [&](int item) {
      const int begin = item * kOutputs;
      const int end = std::min(matrix.rows, begin + kOutputs);
      if (kernels::is_quantized(matrix.type))
        kernels_.linear_quantized(matrix, quantized, rows, projection.bias(part), out + part.offset, stride, begin,
                                  end);
      else
        kernels_.linear_float(matrix, a.values.data(), width, rows, projection.bias(part), out + part.offset, stride,
                              begin, end);
    });
  }
}

void StepRunner::adapt(const Projection& projection, const LoraUse& use, const RowGroup& group, const Activations& a,
                       float* out) {
  static thread_local std::vector<float> low;    // [rows, rank]
  static thread_local std::vector<float> delta;  // [rows, outputs]
  const int width = projection.inputs();
  for (const LoraPart& part : use.adapter->parts(projection)) {
    const int rank = part.down.rows;
    const int outputs = part.up.rows;
    grow(low, group.rows, rank);
    grow(delta, group.rows, outputs);
    kernels_.linear_float(part.down, a.values.data() + offset(group.row, width), width, group.rows, nullptr, low.data(),
                          rank, 0, rank);
    for (int i = 0; i < group.rows * rank; ++i) low[static_cast<std::size_t>(i)] *= part.scale * use.scale;
    kernels_.linear_float(part.up, low.data(), rank, group.rows, nullptr, delta.data(), outputs, 0, outputs);
    for (int r = 0; r < group.rows; ++r)
      kernels_.add(out + offset(group.row + r, projection.outputs()) + part.offset, delta.data() + offset(r, outputs),
                   outputs);
  }
}

void StepRunner::project_adapted(const Projection& projection, Activations& a, float* out) {
  project(projection, a, rows_, out);
  if (!adapted_) return;
  for_groups([&](const RowGroup& group) {
    for (const LoraUse& use : group.segment->lora) adapt(projection, use, group, a, out);
  });
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

void StepRunner::norm(const std::vector<float>& weight, const float* from, float* to, int row) const {
  const int hidden = model_.shape().hidden;
  kernels_.rms_norm(from + offset(row, hidden), weight.data(), to + offset(row, hidden), hidden,
                    model_.shape().norm_eps);
}

void StepRunner::norm_into(const std::vector<float>& weight, const Projection& next, const RowGroup& group) {
  for (int r = group.row; r < group.row + group.rows; ++r) norm(weight, residual_.data(), normed_.values.data(), r);
  prepare(next, normed_, model_.shape().hidden, group.row, group.rows);
}

void StepRunner::add_branch(const std::vector<float>& post_norm, const RowGroup& group) {
  const int hidden = model_.shape().hidden;
  for (int r = group.row; r < group.row + group.rows && !post_norm.empty(); ++r)
    norm(post_norm, branch_.data(), branch_.data(), r);
  kernels_.add(residual_.data() + offset(group.row, hidden), branch_.data() + offset(group.row, hidden),
               group.rows * hidden);
}

void StepRunner::run_layer(int index) {
  const Layer& layer = model_.layers()[static_cast<std::size_t>(index)];
  for_groups([&](const RowGroup& group) { norm_into(layer.attention_norm, layer.qkv, group); });
  project_adapted(layer.qkv, normed_, qkv_.data());
  attend(index);
  project_adapted(layer.attention_out, attended_, branch_.data());
  for_groups([&](const RowGroup& group) {
    add_branch(layer.attention_post_norm, group);
    norm_into(layer.feed_forward_norm, layer.gate_up, group);
  });
  feed_forward(layer);
}

void StepRunner::place(const Layer& layer, const kernels::KvLayer& kv, const RowGroup& group, int row) {
  const ModelShape& shape = model_.shape();
  const kernels::AttentionShape& attention = layer.attention;
  const int position = group.position + row;
  float* q = qkv_.data() + offset(group.row + row, shape.query_width() + 2 * shape.kv_width());
  float* k = q + shape.query_width();
  const auto norm_heads = [&](const std::vector<float>& weight, float* x, int heads) {
    for (int h = 0; h < heads && !weight.empty(); ++h, x += attention.head_dim)
      kernels_.rms_norm(x, weight.data(), x, attention.head_dim, shape.norm_eps);
  };
  norm_heads(layer.query_norm, q, attention.heads);
  norm_heads(layer.key_norm, k, attention.kv_heads);
  layer.rope->rotate(kernels_, q, attention.heads + attention.kv_heads, attention.head_dim, position);
  const kernels::BlockRef& ref = group.segment->table[static_cast<std::size_t>(position / kernels::kKvBlock)];
  kernels_.kv_write(kv, attention, ref.block, position % kernels::kKvBlock, k, k + shape.kv_width());
}

void StepRunner::attend(int index) {
  const ModelShape& shape = model_.shape();
  const Layer& layer = model_.layers()[static_cast<std::size_t>(index)];
  const kernels::AttentionShape& attention = layer.attention;
  const kernels::KvLayer kv = storage_.layer(index);
  const int query = shape.query_width();
  const int width = query + 2 * shape.kv_width();
  for_groups([&](const RowGroup& group) {
    for (int r = 0; r < group.rows; ++r) place(layer, kv, group, r);
  });
  const int per_head = query / attention.kv_heads;
  threads_.parallel_for(static_cast<int>(groups_.size()) * attention.kv_heads, [&](int item) {
    static thread_local std::vector<float> scratch;
    scratch.resize(kernels::attention_scratch(attention));
    const RowGroup& group = groups_[static_cast<std::size_t>(item / attention.kv_heads)];
    const int head = item % attention.kv_heads;
    kernels_.attention(kv, attention, layer.rope->table(), group.segment->table.data(), group.position + 1, group.rows,
                       head, qkv_.data() + offset(group.row, width) + offset(head, per_head), width,
                       attended_.values.data() + offset(group.row, query) + offset(head, per_head), query,
                       scratch.data());
  });
  for_groups([&](const RowGroup& group) { prepare(layer.attention_out, attended_, query, group.row, group.rows); });
}

void StepRunner::feed_forward(const Layer& layer) {
  const int width = model_.shape().feed_forward;
  const auto activate = model_.shape().architecture->activation == Activation::gelu ? kernels_.geglu : kernels_.swiglu;
  project_adapted(layer.gate_up, normed_, gate_up_.data());
  for_groups([&](const RowGroup& group) {
    for (int r = group.row; r < group.row + group.rows; ++r) {
      const float* gate = gate_up_.data() + offset(r, 2 * width);
      activate(gate, gate + width, hidden_.values.data() + offset(r, width), width);
    }
    prepare(layer.down, hidden_, width, group.row, group.rows);
  });
  project_adapted(layer.down, hidden_, branch_.data());
  for_groups([&](const RowGroup& group) { add_branch(layer.feed_forward_post_norm, group); });
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
