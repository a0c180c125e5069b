#include "embed/bert_config.hpp"

#include <algorithm>
#include <fstream>

#include <nlohmann/json.hpp>

namespace kvasir::embed {
namespace {

using Json = nlohmann::json;

constexpr int kDefaultMaxTokens = 256;      // what all-MiniLM-L6-v2 was published with
constexpr std::int64_t kLargest = 1 << 20;  // of any dimension: products of two stay far inside 64 bits

std::optional<Json> read_json(const std::filesystem::path& path, std::string& error) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    error = "cannot open " + path.string();
    return std::nullopt;
  }
  Json json = Json::parse(file, nullptr, false);
  if (!json.is_object()) {
    error = path.string() + " is not a JSON object";
    return std::nullopt;
  }
  return json;
}

// The integer under `key`, or 0 if there is no sensible one.
int dimension(const Json& json, const char* key) {
  const auto value = json.find(key);
  if (value == json.end() || !value->is_number_integer()) return 0;
  const auto number = value->get<std::int64_t>();
  return number > 0 && number <= kLargest ? static_cast<int>(number) : 0;
}

std::string text(const Json& json, const char* key, std::string otherwise) {
  const auto value = json.find(key);
  return value != json.end() && value->is_string() ? value->get<std::string>() : std::move(otherwise);
}

// What the model was called where it was trained, which moving the folder does not change; else the folder's name.
std::string model_name(const Json& json, const std::filesystem::path& folder) {
  const std::string origin = text(json, "_name_or_path", "");
  const std::string name = origin.substr(origin.find_last_of('/') + 1);
  return name.empty() ? std::filesystem::absolute(folder / ".").parent_path().filename().string() : name;
}

// Why the encoder cannot run this model, or an empty string.
std::string unsupported(const Json& json, const BertConfig& config) {
  if (text(json, "model_type", "") != "bert") return "its model_type is not bert";
  if (text(json, "hidden_act", "") != "gelu") return "its hidden_act is not gelu";
  if (text(json, "position_embedding_type", "absolute") != "absolute") return "its positions are not absolute";
  const int smallest =
      std::min({config.layers, config.hidden, config.heads, config.ffn, config.vocabulary, config.segments});
  if (smallest == 0 || config.positions < 2) return "it lacks a dimension";
  if (config.hidden % 16 != 0 || config.hidden % config.heads != 0) {
    return "its hidden_size is no multiple of 16 and of the heads";
  }
  if (!(config.epsilon >= 0 && config.epsilon < 1)) return "its layer_norm_eps is not sensible";
  return "";
}

}  // namespace

std::optional<BertConfig> read_bert_config(const std::filesystem::path& folder, std::string& error) {
  const auto path = folder / "config.json";
  const auto json = read_json(path, error);
  if (!json) return std::nullopt;

  BertConfig config{.name = model_name(*json, folder),
                    .layers = dimension(*json, "num_hidden_layers"),
                    .hidden = dimension(*json, "hidden_size"),
                    .heads = dimension(*json, "num_attention_heads"),
                    .ffn = dimension(*json, "intermediate_size"),
                    .vocabulary = dimension(*json, "vocab_size"),
                    .positions = dimension(*json, "max_position_embeddings"),
                    .segments = dimension(*json, "type_vocab_size"),
                    .max_tokens = kDefaultMaxTokens,
                    .epsilon = 1e-12F};
  const auto epsilon = json->find("layer_norm_eps");
  if (epsilon != json->end() && epsilon->is_number()) config.epsilon = epsilon->get<float>();
  if (const std::string reason = unsupported(*json, config); !reason.empty()) {
    error = path.string() + " describes a model that cannot be used: " + reason;
    return std::nullopt;
  }

  const auto sentence_path = folder / "sentence_bert_config.json";
  if (std::filesystem::exists(sentence_path)) {
    const auto sentence = read_json(sentence_path, error);
    if (!sentence) return std::nullopt;
    config.max_tokens = std::max(2, dimension(*sentence, "max_seq_length"));
  }
  config.max_tokens = std::min(config.max_tokens, config.positions);
  return config;
}

}  // namespace kvasir::embed
