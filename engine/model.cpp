#include "engine/model.hpp"

#include "engine/model_metadata.hpp"
#include "engine/weight_reader.hpp"

#include <cmath>
#include <limits>

namespace kvasir::engine {

Result<std::unique_ptr<Model>> Model::load(std::shared_ptr<const ModelFile> file, const ModelShape& shape) {
  auto model = std::make_unique<Model>();
  model->file_ = std::move(file);
  model->shape_ = shape;
  if (shape.architecture->scaled_embeddings) model->embedding_scale_ = std::sqrt(static_cast<float>(shape.hidden));
  if (auto done = model->make_rope(); !done) return done.error();
  if (auto done = model->read_weights(); !done) return done.error();
  return model;
}

Result<void> Model::make_rope() {
  const bool interleaved = shape_.architecture->interleaved_rope;
  const auto rope = read_rope(*file_, shape_, false);
  if (!rope) return rope.error();
  rope_ = RotationTables(*rope, shape_.context, interleaved);
  if (shape_.window == 0 || shape_.architecture->window_rope_base == 0) return {};
  const auto own = read_rope(*file_, shape_, true);
  if (!own) return own.error();
  window_rope_ = RotationTables(*own, shape_.context, interleaved);
  return {};
}

Layer Model::read_layer(WeightReader& reader, int index) const {
  const ModelShape& shape = shape_;
  const Architecture& architecture = *shape.architecture;
  const std::string prefix = "blk." + std::to_string(index) + ".";
  const int query = shape.query_width();
  const int kv = shape.kv_width();
  const int width = shape.feed_forward;
  const auto norm = [&](const char* name, int size) { return reader.vector(prefix + name + ".weight", size); };

  Layer layer;
  layer.attention = shape.attention;
  layer.rope = &rope_;
  if (shape.has_window(index)) {
    layer.attention.window = shape.window;
    if (architecture.window_rope_base > 0) layer.rope = &window_rope_;
  }
  layer.attention_norm = norm("attn_norm", shape.hidden);
  if (reader.has(prefix + "attn_qkv.weight"))
    layer.qkv = reader.projection(shape.hidden, {{prefix + "attn_qkv", query + 2 * kv}});
  else
    layer.qkv =
        reader.projection(shape.hidden, {{prefix + "attn_q", query}, {prefix + "attn_k", kv}, {prefix + "attn_v", kv}});
  if (architecture.query_key_norms) {
    layer.query_norm = norm("attn_q_norm", shape.attention.head_dim);
    layer.key_norm = norm("attn_k_norm", shape.attention.head_dim);
  }
  layer.attention_out = reader.projection(query, {{prefix + "attn_output", shape.hidden}});
  layer.feed_forward_norm = norm("ffn_norm", shape.hidden);
  if (reader.has(prefix + "ffn_gate.weight"))
    layer.gate_up = reader.projection(shape.hidden, {{prefix + "ffn_gate", width}, {prefix + "ffn_up", width}});
  else
    layer.gate_up = reader.projection(shape.hidden, {{prefix + "ffn_up", 2 * width}});
  layer.down = reader.projection(width, {{prefix + "ffn_down", shape.hidden}});
  if (architecture.post_norms) {
    layer.attention_post_norm = norm("post_attention_norm", shape.hidden);
    layer.feed_forward_post_norm = norm("post_ffw_norm", shape.hidden);
  }
  return layer;
}

Result<void> Model::read_weights() {
  WeightReader reader(*file_, arena_);
  const Tensor* embeddings = file_->tensor("token_embd.weight");
  if (embeddings == nullptr) return bad_model(*file_, "tensor token_embd.weight is missing");
  if (embeddings->shape[1] > static_cast<std::uint64_t>(std::numeric_limits<int>::max()))
    return bad_model(*file_, "tensor token_embd.weight has an absurd number of rows");
  shape_.vocabulary = static_cast<int>(embeddings->shape[1]);
  embeddings_ = reader.tensor("token_embd.weight", shape_.hidden, shape_.vocabulary);
  for (int i = 0; i < shape_.layers && !reader.error(); ++i) layers_.push_back(read_layer(reader, i));
  output_norm_ = reader.vector("output_norm.weight", shape_.hidden);
  head_ =
      reader.projection(shape_.hidden, {{reader.has("output.weight") ? "output" : "token_embd", shape_.vocabulary}});
  if (reader.error()) return *reader.error();
  for (const char* name : {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"})
    reader.skip(name);  // make_rope took them
  if (const auto name = reader.left_over())
    return unsupported_model(
        *file_, "tensor " + *name + " has no place in this version's " + std::string(shape_.architecture->name));
  return {};
}

std::optional<Model::Place> Model::find_tensor(std::string_view name) const {
  for (const Layer& layer : layers_)
    for (const Projection* projection : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down}) {
      int offset = 0;
      for (const StackedTensor& tensor : projection->tensors()) {
        if (tensor.name == name) return Place{projection, offset, tensor.outputs};
        offset += tensor.outputs;
      }
    }
  return std::nullopt;
}

void Model::embed(TokenId token, float* out) const {
  const auto type = static_cast<kernels::WeightType>(embeddings_->type);
  const std::size_t row = kernels::stored_bytes(type, 1, static_cast<std::size_t>(shape_.hidden));
  kernels::dequantize_row(type, embeddings_->data.data() + static_cast<std::size_t>(token) * row, shape_.hidden, out);
  if (embedding_scale_ == 1) return;
  for (int i = 0; i < shape_.hidden; ++i) out[i] *= embedding_scale_;
}

}  // namespace kvasir::engine
