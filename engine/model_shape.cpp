#include "engine/model_shape.hpp"

#include "engine/model_metadata.hpp"

#include <cmath>
#include <optional>
#include <string>

namespace kvasir::engine {
namespace {

constexpr int kLargeGemma = 62;  // layers of Gemma 3 27B, whose queries are scaled by hidden / heads instead

float attention_scale(const ModelShape& shape) {
  const bool large_gemma = shape.architecture->name == "gemma3" && shape.layers == kLargeGemma;
  const int width = large_gemma ? shape.hidden / shape.attention.heads : shape.attention.head_dim;
  return 1.0F / std::sqrt(static_cast<float>(width));
}

std::optional<Error> check_heads(const ModelFile& file, const ModelShape& shape, int value_dim) {
  const kernels::AttentionShape& attention = shape.attention;
  if (attention.heads > shape.hidden)
    return bad_model(file, std::to_string(attention.heads) + " query heads are more than its " +
                               std::to_string(shape.hidden) + " hidden dimensions");
  if (attention.heads % attention.kv_heads != 0 || attention.heads / attention.kv_heads > kernels::kMaxGroup)
    return bad_model(file, std::to_string(attention.heads) + " query heads cannot share " +
                               std::to_string(attention.kv_heads) + " KV heads");
  if (attention.head_dim < 16 || attention.head_dim % 16 != 0 || attention.head_dim > kernels::kMaxHeadDim ||
      value_dim != attention.head_dim)
    return unsupported_model(file, "head dimensions other than one multiple of 16, at most " +
                                       std::to_string(kernels::kMaxHeadDim) +
                                       ", for keys and values are not known to this version");
  return std::nullopt;
}

}  // namespace

Error bad_model(const ModelFile& file, const std::string& what) {
  return {ErrorCode::bad_model_file, file.path() + ": " + what, "", 0};
}

Error unsupported_model(const ModelFile& file, const std::string& what) {
  return {ErrorCode::unsupported_model, file.path() + ": " + what, "", 0};
}

void ModelMetadata::fail(const std::string& key, bool missing) {
  if (!error_) error_ = bad_model(file_, prefix_ + key + (missing ? " is missing" : " is out of range"));
}

int ModelMetadata::count(const std::string& key, std::int64_t most, std::optional<std::int64_t> absent) {
  const auto value = file_.integer(prefix_ + key);
  const auto found = value ? value : absent;
  if (found && *found >= 1 && *found <= most) return static_cast<int>(*found);
  fail(key, !value);
  return 1;
}

double ModelMetadata::positive(const std::string& key, double most, std::optional<double> absent) {
  const auto value = file_.number(prefix_ + key);
  if (!value && absent) return *absent;
  if (value && *value > 0 && *value <= most) return *value;
  fail(key, !value);
  return 1;
}

Result<ModelShape> read_shape(const ModelFile& file) {
  const std::string* name = file.text("general.architecture");
  if (name == nullptr) return bad_model(file, "general.architecture is missing");
  ModelShape shape;
  shape.architecture = find_architecture(*name);
  if (shape.architecture == nullptr)
    return unsupported_model(file, "architecture '" + *name + "' is not known to this version (it runs " +
                                       std::string(known_architectures()) + ")");
  ModelMetadata metadata(file, *name);
  shape.layers = metadata.count("block_count", 1000);
  shape.hidden = metadata.count("embedding_length", 1 << 17);
  shape.feed_forward = metadata.count("feed_forward_length", 1 << 20);
  shape.trained_context = metadata.count("context_length", 1 << 24);
  shape.context = shape.trained_context;
  shape.norm_eps = static_cast<float>(metadata.positive("attention.layer_norm_rms_epsilon", 1));
  kernels::AttentionShape& attention = shape.attention;
  attention.heads = metadata.count("attention.head_count", 1024);
  attention.kv_heads = metadata.count("attention.head_count_kv", 1024, attention.heads);
  attention.head_dim = metadata.count("attention.key_length", kernels::kMaxHeadDim, shape.hidden / attention.heads);
  const int value_dim = metadata.count("attention.value_length", kernels::kMaxHeadDim, attention.head_dim);
  if (metadata.has("attention.sliding_window")) {
    const auto window = file.integer(*name + ".attention.sliding_window").value_or(-1);
    if (window != 0) shape.window = metadata.count("attention.sliding_window", 1 << 24);
  }
  shape.window_period = shape.architecture->window_period;
  if (metadata.has("attention.sliding_window_pattern"))
    shape.window_period = metadata.count("attention.sliding_window_pattern", 1000);
  if (metadata.error()) return *metadata.error();
  if (const auto error = check_heads(file, shape, value_dim)) return *error;
  if (shape.window > 0 && shape.architecture->window_period == 0)
    return unsupported_model(file, "sliding-window attention is not known for " + *name);
  attention.scale = attention_scale(shape);
  return shape;
}

}  // namespace kvasir::engine
