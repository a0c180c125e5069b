// PEFT's adapters: names and rows as Hugging Face's models have them.
#include "embed/safetensors.hpp"
#include "engine/lora_file.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace kvasir::engine {
namespace {

using nlohmann::json;

constexpr std::int64_t kMostRank = 4096;
constexpr std::int64_t kMostWidth = 1 << 20;

constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kModules{{
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate_up_proj", "ffn_up"},
}};

Error bad(const std::string& path, const std::string& what) {
  return {ErrorCode::bad_model_file, path + ": " + what, "", 0};
}
Error unsupported(const std::string& path, const std::string& what) {
  return {ErrorCode::unsupported_model, path + ": " + what, "", 0};
}

// What a feature's key holds when the feature is off.
bool is_off(const json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return true;
  if (found->is_boolean()) return !found->get<bool>();
  if (found->is_string()) return found->get<std::string>() == "none";
  return (found->is_object() || found->is_array()) && found->empty();
}

Result<float> read_scale(const std::string& path) {
  std::ifstream file(path);
  const json config = json::parse(file, nullptr, false);
  if (!config.is_object()) return bad(path, "is missing or no JSON object");
  for (const char* key : {"use_dora", "fan_in_fan_out", "bias", "modules_to_save", "rank_pattern", "alpha_pattern"})
    if (!is_off(config, key)) return unsupported(path, fmt::format("'{}' is not known to this version", key));
  const auto rank = config.find("r");
  const auto alpha = config.find("lora_alpha");
  if (rank == config.end() || !rank->is_number_integer() || alpha == config.end() || !alpha->is_number())
    return bad(path, "'r' or 'lora_alpha' is missing");
  const auto r = rank->get<std::int64_t>();
  if (r < 1 || r > kMostRank) return bad(path, "'r' is out of range");
  const double divisor = is_off(config, "use_rslora") ? static_cast<double>(r) : std::sqrt(static_cast<double>(r));
  const auto scale = static_cast<float>(alpha->get<double>() / divisor);
  if (!std::isfinite(scale)) return bad(path, "'lora_alpha' is out of range");
  return scale;
}

// "…layers.7.self_attn.q_proj" is "blk.7.attn_q" in GGUF.
std::optional<std::string> gguf_name(std::string_view module) {
  constexpr std::string_view layers = "layers.";
  const auto at = module.find(layers);
  if (at == std::string_view::npos) return std::nullopt;
  module.remove_prefix(at + layers.size());
  int layer = 0;
  const auto [end, error] = std::from_chars(module.data(), module.data() + module.size(), layer);
  if (error != std::errc() || layer < 0) return std::nullopt;
  module.remove_prefix(static_cast<std::size_t>(end - module.data()));
  for (const auto& [theirs, ours] : kModules)
    if (module.size() == theirs.size() + 1 && module.ends_with(theirs)) return fmt::format("blk.{}.{}", layer, ours);
  return std::nullopt;
}

std::optional<std::vector<float>> floats_of(const embed::Tensor& tensor) {
  using kernels::WeightType;
  constexpr std::array<std::pair<std::string_view, WeightType>, 3> types{
      {{"F32", WeightType::f32}, {"F16", WeightType::f16}, {"BF16", WeightType::bf16}}};
  const auto* type = std::find_if(types.begin(), types.end(), [&](const auto& t) { return t.first == tensor.dtype; });
  if (type == types.end() || tensor.shape.size() != 2) return std::nullopt;
  for (const std::int64_t size : tensor.shape)
    if (size < 1 || size > kMostWidth) return std::nullopt;
  const auto rows = static_cast<std::size_t>(tensor.shape[0]);
  const auto cols = static_cast<std::size_t>(tensor.shape[1]);
  std::vector<float> values(rows * cols);
  for (std::size_t row = 0; row < rows; ++row)
    kernels::dequantize_row(type->second, tensor.bytes.data() + kernels::stored_bytes(type->second, row, cols),
                            static_cast<int>(cols), values.data() + row * cols);
  return values;
}

// A head's rows of Hugging Face's rotation, halves apart, as GGUF's llama has them: pairs together.
void interleave(std::vector<float>& up, int heads, int head_dim, int rank) {
  const std::vector<float> from = up;
  const auto width = static_cast<std::size_t>(rank);
  for (int h = 0; h < heads; ++h)
    for (int i = 0; i < head_dim; ++i) {
      const int source = h * head_dim + i % 2 * (head_dim / 2) + i / 2;
      std::memcpy(up.data() + static_cast<std::size_t>(h * head_dim + i) * width,
                  from.data() + static_cast<std::size_t>(source) * width, width * sizeof(float));
    }
}

}  // namespace

Result<std::vector<LoraMatrices>> read_peft_lora(const std::string& path, const ModelShape& shape) {
  namespace fs = std::filesystem;
  std::error_code ignored;  // what cannot be looked at cannot be opened either, which says why
  const fs::path weights =
      fs::is_directory(path, ignored) ? fs::path(path) / "adapter_model.safetensors" : fs::path(path);
  const auto scale = read_scale((weights.parent_path() / "adapter_config.json").string());
  if (!scale) return scale.error();
  std::string error;
  const auto file = embed::SafeTensors::open(weights, error);
  if (!file) return bad(weights.string(), error);

  constexpr std::string_view down_suffix = ".lora_A.weight";
  constexpr std::string_view up_suffix = ".lora_B.weight";
  std::vector<LoraMatrices> all;
  for (const std::string_view name : file->names()) {
    if (name.ends_with(up_suffix)) continue;  // comes with its lora_A
    const auto tensor = name.ends_with(down_suffix) ? gguf_name(name.substr(0, name.size() - down_suffix.size()))
                                                    : std::optional<std::string>();
    if (!tensor) return unsupported(weights.string(), fmt::format("'{}' is not known to this version", name));
    const std::string pair = std::string(name.substr(0, name.size() - down_suffix.size())) + std::string(up_suffix);
    const embed::Tensor* down = file->find(name);
    const embed::Tensor* up = file->find(pair);
    if (up == nullptr) return bad(weights.string(), fmt::format("'{}' lacks its lora_B", name));
    auto a = floats_of(*down);
    auto b = floats_of(*up);
    if (!a || !b || down->shape[0] != up->shape[1] || down->shape[0] > kMostRank)
      return bad(weights.string(), fmt::format("the matrices of '{}' do not fit", name));
    LoraMatrices matrices{*tensor,
                          static_cast<int>(down->shape[0]),
                          static_cast<int>(down->shape[1]),
                          static_cast<int>(up->shape[0]),
                          std::move(*a),
                          std::move(*b),
                          *scale};
    const bool rotated = tensor->ends_with("attn_q") || tensor->ends_with("attn_k");
    const int head_dim = shape.attention.head_dim;
    if (rotated && shape.architecture->interleaved_rope && matrices.outputs % head_dim == 0)
      interleave(matrices.up, matrices.outputs / head_dim, head_dim, matrices.rank);
    all.push_back(std::move(matrices));
  }
  if (2 * all.size() != file->size()) return bad(weights.string(), "a lora_B lacks its lora_A");
  return all;
}

}  // namespace kvasir::engine
