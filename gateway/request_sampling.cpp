// How an answer is sampled, and what speeds that up.
#include "gateway/request_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace kvasir::gateway {
namespace {

constexpr std::size_t kMostAdapters = 8;
constexpr double kMostScale = 100;

// Nothing if this is no list of {name, scale}.
std::optional<std::vector<engine::LoraRequest>> adapters_of(Json value) {
  simdjson::dom::array list;
  if (value.get(list) != simdjson::SUCCESS || list.size() > kMostAdapters) return std::nullopt;
  std::vector<engine::LoraRequest> wanted;
  for (const Json item : list) {
    std::string_view adapter;
    if (!item.is_object() || item["name"].get(adapter) != simdjson::SUCCESS) return std::nullopt;
    double scale = 1;
    Json given;
    const bool scaled = item["scale"].get(given) == simdjson::SUCCESS && !given.is_null();
    if (scaled && (given.get(scale) != simdjson::SUCCESS || std::abs(scale) > kMostScale)) return std::nullopt;
    wanted.push_back({std::string(adapter), static_cast<float>(scale)});
  }
  return wanted;
}

}  // namespace

bool RequestReader::temperature(std::string_view name, Json value) {
  return number(name, value, 0.0, 2.0, request_->temperature);
}

bool RequestReader::top_p(std::string_view name, Json value) {
  return number(name, value, 0.0, 1.0, request_->top_p);
}

bool RequestReader::penalty(std::string_view name, Json value) {
  const bool presence = name == "presence_penalty";
  return number(name, value, -2.0, 2.0, presence ? request_->presence_penalty : request_->frequency_penalty);
}

bool RequestReader::top_k(std::string_view name, Json value) {
  std::int64_t top_k = 0;
  if (!integer(name, value, -1, 1'000'000, top_k)) return false;
  request_->top_k = static_cast<int>(std::max<std::int64_t>(top_k, 0));
  add_extra(name, value);
  return true;
}

bool RequestReader::min_p(std::string_view name, Json value) {
  add_extra(name, value);
  return number(name, value, 0.0, 1.0, request_->min_p);
}

bool RequestReader::repetition_penalty(std::string_view name, Json value) {
  add_extra(name, value);
  return number(name, value, 0.01, 10.0, request_->repetition_penalty);
}

// Other servers have other forms of it, which pass.
bool RequestReader::lora(std::string_view name, Json value) {
  add_extra(name, value);
  if (auto wanted = adapters_of(value)) {
    request_->lora = std::move(*wanted);
  } else if (!request_->not_for_engine) {
    request_->not_for_engine.emplace(std::string(name),
                                     "must be a list of at most " + std::to_string(kMostAdapters) +
                                         " objects with the 'name' of an adapter and, if not 1, a 'scale'");
  }
  return true;
}

bool RequestReader::n(std::string_view name, Json value) {
  std::int64_t n = 1;
  if (!integer(name, value, 1, 128, n)) return false;
  request_->n = static_cast<int>(n);
  return true;
}

bool RequestReader::seed(std::string_view name, Json value) {
  std::int64_t seed = 0;
  if (!integer(name, value, INT64_MIN, INT64_MAX, seed)) return false;
  request_->seed = seed;
  return true;
}

bool RequestReader::stop(std::string_view name, Json value) {
  if (value.is_string()) {
    std::string one;
    text(name, value, one);
    if (!one.empty()) request_->stop.push_back(std::move(one));
    return true;
  }
  simdjson::dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return fail_type(name, "a string or an array of strings", value);
  if (list.size() > 4) return fail_range(name, "at most 4 sequences");
  for (const Json item : list) {
    std::string one;
    if (!text(name, item, one)) return false;
    if (!one.empty()) request_->stop.push_back(std::move(one));
  }
  return true;
}

bool RequestReader::logit_bias(std::string_view name, Json value) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return fail_type(name, "an object", value);
  for (const auto field : object) {
    std::int32_t token = 0;
    const auto [end, bad] = std::from_chars(field.key.data(), field.key.data() + field.key.size(), token);
    if (bad != std::errc{} || end != field.key.data() + field.key.size() || token < 0) {
      return fail_range(name, "keyed by token ids");
    }
    double bias = 0;
    if (!number(name, field.value, -100, 100, bias)) return false;
    request_->logit_bias.emplace_back(token, static_cast<float>(bias));
  }
  std::sort(request_->logit_bias.begin(), request_->logit_bias.end());
  return true;
}

bool RequestReader::logprobs(std::string_view name, Json value) {
  return boolean(name, value, request_->logprobs);
}

bool RequestReader::top_logprobs(std::string_view name, Json value) {
  std::int64_t count = 0;
  if (!integer(name, value, 0, 20, count)) return false;
  request_->top_logprobs = static_cast<int>(count);
  has_top_logprobs_ = true;
  return true;
}

bool RequestReader::prediction(std::string_view name, Json value) {
  if (!value.is_object()) return fail_type(name, "an object", value);
  std::string_view type;
  if (value["type"].get(type) != simdjson::SUCCESS) return missing("prediction.type");
  if (type != "content") return fail_range("prediction.type", "'content'");
  Json content;
  if (value["content"].get(content) != simdjson::SUCCESS) return missing("prediction.content");
  constexpr std::string_view kContent = "prediction.content";
  if (content.is_string()) return text(kContent, content, request_->prediction);
  simdjson::dom::array parts;
  if (content.get(parts) != simdjson::SUCCESS) return fail_type(kContent, "a string or an array of parts", content);
  std::size_t index = 0;
  for (const Json part : parts) {
    const std::string place = element_name(kContent, index++);
    if (!part.is_object()) return fail_type(place, "an object", part);
    if (part["type"].get(type) != simdjson::SUCCESS || type != "text") return fail_range(place + ".type", "'text'");
    Json words;
    if (part["text"].get(words) != simdjson::SUCCESS) return missing(place + ".text");
    std::string one;
    if (!text(place + ".text", words, one)) return false;
    request_->prediction += one;
  }
  return true;
}

bool RequestReader::predict_options(std::string_view name, Json value) {
  if (!value.is_object()) return fail_type(name, "an object", value);
  Json tokens;
  if (value["tokens"].get(tokens) != simdjson::SUCCESS || tokens.is_null()) return true;
  std::int64_t most = 0;
  if (!integer("predict_options.tokens", tokens, 0, engine::SpeculationSettings::kMostTokens, most)) return false;
  request_->predict_tokens = static_cast<int>(most);
  return true;
}

}  // namespace kvasir::gateway
