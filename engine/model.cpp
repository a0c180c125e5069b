#include "engine/model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

namespace kvasir::engine {
namespace {

using kernels::WeightType;

Error bad(const ModelFile& file, const std::string& what) {
  return {ErrorCode::bad_model_file, file.path() + ": " + what, "", 0};
}

Error unsupported(const ModelFile& file, const std::string& what) {
  return {ErrorCode::unsupported_model, file.path() + ": " + what, "", 0};
}

std::optional<WeightType> weight_type(std::uint32_t ggml_type) {
  for (const WeightType type : {WeightType::f32, WeightType::f16, WeightType::q4_1, WeightType::q8_0})
    if (static_cast<std::uint32_t>(type) == ggml_type) return type;
  return std::nullopt;
}

// A matrix [outputs, inputs] of the file, checked.
Result<const Tensor*> find_matrix(const ModelFile& file, const std::string& name, int inputs, int outputs) {
  const Tensor* tensor = file.tensor(name);
  if (tensor == nullptr) return bad(file, "tensor " + name + " is missing");
  if (tensor->shape[0] != static_cast<std::uint64_t>(inputs) ||
      tensor->shape[1] != static_cast<std::uint64_t>(outputs) ||
      tensor->elements() != tensor->shape[0] * tensor->shape[1])
    return bad(file, "tensor " + name + " has shape [" + std::to_string(tensor->shape[0]) + ", " +
                         std::to_string(tensor->shape[1]) + "], expected [" + std::to_string(inputs) + ", " +
                         std::to_string(outputs) + "]");
  const auto type = weight_type(tensor->type);
  if (!type)
    return unsupported(file, "tensor " + name + " has type " + std::to_string(tensor->type) +
                                 ", this version computes with F32, F16, Q4_1 and Q8_0");
  if ((*type == WeightType::q4_1 || *type == WeightType::q8_0) && inputs % kernels::kBlock != 0)
    return bad(file, "tensor " + name + " is quantised but its rows are no multiple of 32");
  return tensor;
}

}  // namespace

Result<Projection> Projection::load(const ModelFile& file, kernels::WeightArena& arena,
                                    const std::vector<std::string>& names, int inputs,
                                    const std::vector<int>& outputs) {
  Projection projection;
  projection.inputs_ = inputs;
  std::vector<const Tensor*> tensors;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto tensor = find_matrix(file, names[i], inputs, outputs[i]);
    if (!tensor) return tensor.error();
    tensors.push_back(*tensor);
  }
  for (std::size_t first = 0; first < tensors.size();) {
    const WeightType type = *weight_type(tensors[first]->type);
    std::size_t last = first;
    int rows = 0;
    while (last < tensors.size() && tensors[last]->type == tensors[first]->type) rows += outputs[last++];
    std::byte* memory = arena.allocate(kernels::packed_bytes(type, rows, inputs));
    if (memory == nullptr)
      return Error{ErrorCode::internal, file.path() + ": not enough memory for the weights", "", 0};
    int row = 0;
    for (std::size_t i = first; i < last; row += outputs[i++])
      kernels::pack(type, tensors[i]->data.data(), outputs[i], inputs, row, memory);
    projection.parts_.push_back({{type, rows, inputs, memory}, projection.outputs_});
    projection.outputs_ += rows;
    first = last;
  }
  return projection;
}

bool Projection::reads_quantized() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) {
    return part.matrix.type == WeightType::q4_1 || part.matrix.type == WeightType::q8_0;
  });
}

Result<std::unique_ptr<Model>> Model::load(std::shared_ptr<const ModelFile> file, const ModelShape& shape) {
  auto model = std::make_unique<Model>();
  model->file_ = std::move(file);
  model->shape_ = shape;
  if (auto done = model->read_weights(); !done) return done.error();
  model->make_rope();
  return model;
}

Result<ModelShape> read_shape(const ModelFile& file) {
  ModelShape shape;
  const std::string* architecture = file.text("general.architecture");
  if (architecture == nullptr) return bad(file, "general.architecture is missing");
  if (*architecture != "llama")
    return unsupported(file, "architecture '" + *architecture + "' is not known to this version (it runs llama)");

  std::optional<Error> error;
  const auto count = [&](const std::string& key, std::int64_t most, std::optional<std::int64_t> absent = {}) {
    const auto value = file.integer("llama." + key);
    if (!value && absent) return static_cast<int>(*absent);
    if (!value || *value < 1 || *value > most) {
      if (!error)
        error = bad(file, value ? "llama." + key + " is " + std::to_string(*value) + ", which is out of range"
                                : "llama." + key + " is missing");
      return 1;
    }
    return static_cast<int>(*value);
  };
  shape.layers = count("block_count", 1000);
  shape.hidden = count("embedding_length", 1 << 17);
  shape.feed_forward = count("feed_forward_length", 1 << 20);
  shape.context = count("context_length", 1 << 24);
  kernels::AttentionShape& attention = shape.attention;
  attention.heads = count("attention.head_count", 1024);
  attention.kv_heads = count("attention.head_count_kv", 1024, attention.heads);
  attention.head_dim = count("attention.key_length", 1024, shape.hidden / attention.heads);
  const int value_dim = count("attention.value_length", 1024, attention.head_dim);
  const int rotated = count("rope.dimension_count", 1024, attention.head_dim);
  const auto eps = file.number("llama.attention.layer_norm_rms_epsilon");
  if (error) return *error;
  if (!eps || !(*eps > 0) || *eps > 1)
    return bad(file, "llama.attention.layer_norm_rms_epsilon is missing or out of range");
  if (attention.heads % attention.kv_heads != 0 || attention.heads / attention.kv_heads > kernels::kMaxGroup)
    return bad(file, std::to_string(attention.heads) + " query heads cannot share " +
                         std::to_string(attention.kv_heads) + " KV heads");
  if (attention.head_dim % 16 != 0 || value_dim != attention.head_dim || rotated != attention.head_dim)
    return unsupported(
        file,
        "head dimensions other than one multiple of 16 for keys, values and rotation are not known to this version");
  const std::string* scaling = file.text("llama.rope.scaling.type");
  if ((scaling != nullptr && *scaling != "none") || file.tensor("rope_freqs.weight") != nullptr ||
      file.number("llama.rope.scale_linear").value_or(1.0) != 1.0)
    return unsupported(file, "scaled rotary embeddings are not known to this version");
  if (file.integer("llama.attention.sliding_window").value_or(0) > 0)
    return unsupported(file, "sliding-window attention is not known to this version");

  attention.scale = 1.0F / std::sqrt(static_cast<float>(attention.head_dim));
  shape.norm_eps = static_cast<float>(*eps);
  shape.rope_base = static_cast<float>(file.number("llama.rope.freq_base").value_or(10000.0));
  if (!(shape.rope_base > 1)) return bad(file, "llama.rope.freq_base is out of range");
  return shape;
}

Result<std::vector<float>> Model::read_vector(const std::string& name, int size) const {
  const auto tensor = find_matrix(*file_, name, size, 1);
  if (!tensor) return tensor.error();
  std::vector<float> values(static_cast<std::size_t>(size));
  kernels::dequantize_row(*weight_type((*tensor)->type), (*tensor)->data.data(), size, values.data());
  return values;
}

Result<void> Model::read_weights() {
  const ModelFile& file = *file_;
  embeddings_ = file.tensor("token_embd.weight");
  if (embeddings_ == nullptr) return bad(file, "tensor token_embd.weight is missing");
  if (embeddings_->shape[1] > static_cast<std::uint64_t>(std::numeric_limits<int>::max()))
    return bad(file, "tensor token_embd.weight has an absurd number of rows");
  shape_.vocabulary = static_cast<int>(embeddings_->shape[1]);
  const auto checked = find_matrix(file, "token_embd.weight", shape_.hidden, shape_.vocabulary);
  if (!checked) return checked.error();
  embedding_type_ = *weight_type(embeddings_->type);

  std::set<std::string, std::less<>> read{"token_embd.weight", "output_norm.weight", "output.weight"};
  std::optional<Error> error;
  const auto take = [&](auto& target, auto result) {
    if (error) return;
    if (result)
      target = std::move(*result);
    else
      error = result.error();
  };
  const int query = shape_.query_width();
  const int kv = shape_.kv_width();
  for (int i = 0; i < shape_.layers && !error; ++i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    const auto load = [&](const std::vector<std::string>& names, int inputs, const std::vector<int>& outputs) {
      std::vector<std::string> full;
      for (const std::string& name : names) full.push_back(prefix + name + ".weight");
      read.insert(full.begin(), full.end());
      return Projection::load(file, arena_, full, inputs, outputs);
    };
    Layer& layer = layers_.emplace_back();
    read.insert({prefix + "attn_norm.weight", prefix + "ffn_norm.weight"});
    take(layer.attention_norm, read_vector(prefix + "attn_norm.weight", shape_.hidden));
    take(layer.qkv, load({"attn_q", "attn_k", "attn_v"}, shape_.hidden, {query, kv, kv}));
    take(layer.attention_out, load({"attn_output"}, query, {shape_.hidden}));
    take(layer.feed_forward_norm, read_vector(prefix + "ffn_norm.weight", shape_.hidden));
    take(layer.gate_up, load({"ffn_gate", "ffn_up"}, shape_.hidden, {shape_.feed_forward, shape_.feed_forward}));
    take(layer.down, load({"ffn_down"}, shape_.feed_forward, {shape_.hidden}));
  }
  take(output_norm_, read_vector("output_norm.weight", shape_.hidden));
  const bool tied = file.tensor("output.weight") == nullptr;
  take(head_, Projection::load(file, arena_, {tied ? "token_embd.weight" : "output.weight"}, shape_.hidden,
                               {shape_.vocabulary}));
  if (error) return *error;
  for (const auto& [name, tensor] : file.tensors())
    if (!read.contains(name)) return unsupported(file, "tensor " + name + " has no place in this version's llama");
  return {};
}

void Model::make_rope() {
  const int half = shape_.attention.head_dim / 2;
  const std::size_t size = static_cast<std::size_t>(shape_.context) * static_cast<std::size_t>(half);
  rope_cos_.resize(size);
  rope_sin_.resize(size);
  for (int i = 0; i < half; ++i) {
    const double frequency = std::pow(static_cast<double>(shape_.rope_base), -2.0 * i / shape_.attention.head_dim);
    for (int p = 0; p < shape_.context; ++p) {
      const std::size_t at = static_cast<std::size_t>(p) * static_cast<std::size_t>(half) + static_cast<std::size_t>(i);
      rope_cos_[at] = static_cast<float>(std::cos(p * frequency));
      rope_sin_[at] = static_cast<float>(std::sin(p * frequency));
    }
  }
}

kernels::RopeTable Model::rope() const {
  return {rope_cos_.data(), rope_sin_.data(), shape_.attention.head_dim, true};
}

void Model::embed(TokenId token, float* out) const {
  const std::size_t row = kernels::stored_bytes(embedding_type_, 1, static_cast<std::size_t>(shape_.hidden));
  kernels::dequantize_row(embedding_type_, embeddings_->data.data() + static_cast<std::size_t>(token) * row,
                          shape_.hidden, out);
}

}  // namespace kvasir::engine
