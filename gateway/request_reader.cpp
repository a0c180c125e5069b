#include "gateway/request_reader.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>
#include <cctype>
#include <unordered_map>
#include <unordered_set>

#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

constexpr std::int64_t kMaxTokens = 1 << 30;

// An object of the collected fields, by name.
std::string join_sorted(std::vector<std::pair<std::string, std::string>> fields) {
  if (fields.empty()) return "";
  std::sort(fields.begin(), fields.end());
  std::string out = "{";
  for (const auto& [name, value] : fields) {
    if (out.size() > 1) out += ',';
    append_json_string(out, name);
    out += ':';
    out += value;
  }
  return out + "}";
}

}  // namespace

RequestReader::Handler RequestReader::chat_handler(std::string_view name) {
  using R = RequestReader;
  static const std::unordered_map<std::string_view, Handler> handlers{
      {"model", &R::model},
      {"messages", &R::messages},
      {"documents", &R::documents},
      {"stream", &R::stream},
      {"stream_options", &R::stream_options},
      {"temperature", &R::temperature},
      {"top_p", &R::top_p},
      {"frequency_penalty", &R::penalty},
      {"presence_penalty", &R::penalty},
      {"top_k", &R::top_k},
      {"min_p", &R::min_p},
      {"repetition_penalty", &R::repetition_penalty},
      {"n", &R::n},
      {"max_tokens", &R::max_tokens},
      {"max_completion_tokens", &R::max_tokens},
      {"seed", &R::seed},
      {"stop", &R::stop},
      {"logit_bias", &R::logit_bias},
      {"logprobs", &R::logprobs},
      {"top_logprobs", &R::top_logprobs},
      {"user", &R::user},
      {"prompt_cache", &R::prompt_cache},
      {"cache_ttl", &R::cache_ttl},
      {"cache_tags", &R::cache_tags},
      {"cache_scope", &R::cache_scope},
      {"tools", &R::tools},
      {"tool_choice", &R::tool_choice},
      {"parallel_tool_calls", &R::parallel_tool_calls},
      {"functions", &R::tools},
      {"function_call", &R::function_call},
      {"response_format", &R::response_format},
      {"metadata", &R::pairs},
      {"store", &R::any_bool},
      {"safety_identifier", &R::any_text},
      {"service_tier", &R::any_text},
      {"prompt_cache_key", &R::any_text},
      {"prompt_cache_retention", &R::any_text},
      {"prompt_cache_options", &R::any_object},
      {"verbosity", &R::verbosity},
      {"reasoning_effort", &R::reasoning_effort},
      {"prediction", &R::prediction},
      {"predict_options", &R::predict_options},
      {"lora", &R::lora},
      {"cache_control", &R::cache_control},
      {"cached_prompt_id", &R::cached_prompt_id},
      {"cache_checksum", &R::cache_checksum},
      {"context_window_strategy", &R::context_strategy},
      {"priority_tokens", &R::priority_tokens},
      {"modalities", &R::modalities},
  };
  // What OpenAI and other servers know, and what would change an answer.
  static const std::unordered_set<std::string_view> beyond_the_engine{
      "moderation",
      "audio",
      "web_search_options",
      "top_a",
      "tfs_z",
      "typical_p",
      "epsilon_cutoff",
      "eta_cutoff",
      "dynatemp_range",
      "mirostat",
      "xtc_probability",
      "dry_multiplier",
      "min_tokens",
      "repeat_penalty",
      "length_penalty",
      "use_beam_search",
      "best_of",
      "echo",
      "ignore_eos",
      "bad_words",
      "allowed_token_ids",
      "stop_token_ids",
      "include_stop_str_in_output",
      "skip_special_tokens",
      "prompt_logprobs",
      "truncate_prompt_tokens",
      "logits_processors",
      "grammar",
      "structured_outputs",
      "guided_json",
      "guided_regex",
      "guided_choice",
      "guided_grammar",
      "json_schema",
      "add_generation_prompt",
      "continue_final_message",
      "chat_template",
      "chat_template_kwargs",
      "thinking",
      "enable_thinking",
      "thinking_budget",
      "reasoning",
  };
  if (const auto found = handlers.find(name); found != handlers.end()) return found->second;
  return beyond_the_engine.contains(name) ? &R::engine_cannot : &R::unknown;
}

std::optional<ApiError> RequestReader::read(simdjson::dom::object object) {
  for (const auto field : object) {
    // null means "not given" everywhere but in messages.
    if (field.value.is_null() && field.key != "messages" && field.key != "prompt") continue;
    const Handler handler = kind_ == Kind::chat ? chat_handler(field.key) : completion_handler(field.key);
    if (!(this->*handler)(field.key, field.value)) return error_;
  }
  finish();
  return error_;
}

bool RequestReader::finish() {
  if (kind_ == Kind::completion && !finish_completion()) return false;
  if (kind_ == Kind::chat && !has_messages_) return missing("messages");
  if (has_stream_options_ && !request_->stream) {
    return fail("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options");
  }
  if (has_top_logprobs_ && !request_->logprobs) {
    return fail("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs");
  }
  if (request_->user_scope && request_->user.empty()) {
    return fail("The 'user' parameter is required when 'cache_scope' is 'user'.", "user");
  }
  if (!finish_tools()) return false;
  request_->tools = join_sorted(std::move(tools_));
  request_->extra = join_sorted(std::move(extra_));
  return true;
}

void RequestReader::refuse_for_engine(std::string_view name, std::string why) {
  if (!request_->not_for_engine) request_->not_for_engine.emplace(std::string(name), std::move(why));
}

void RequestReader::add_extra(std::string_view name, Json value) {
  extra_.emplace_back(std::string(name), canonical_json(value));
}

bool RequestReader::model(std::string_view name, Json value) {
  return text(name, value, request_->model);
}

bool RequestReader::stream(std::string_view name, Json value) {
  return boolean(name, value, request_->stream);
}

bool RequestReader::stream_options(std::string_view name, Json value) {
  has_stream_options_ = true;
  if (!value.is_object()) return fail_type(name, "an object", value);
  Json include;
  if (value["include_usage"].get(include) != simdjson::SUCCESS || include.is_null()) return true;
  return boolean("stream_options.include_usage", include, request_->include_usage);
}

bool RequestReader::max_tokens(std::string_view name, Json value) {
  std::int64_t limit = 0;
  if (!integer(name, value, 1, kMaxTokens, limit)) return false;
  const bool newer = name == "max_completion_tokens";
  if (newer || !has_completion_limit_) request_->max_tokens = static_cast<int>(limit);
  has_completion_limit_ = has_completion_limit_ || newer;
  return true;
}

bool RequestReader::user(std::string_view name, Json value) {
  return text(name, value, request_->user);
}

bool RequestReader::response_format(std::string_view name, Json value) {
  if (!value.is_object()) return fail_type(name, "an object", value);
  std::string_view type;
  if (value["type"].get(type) != simdjson::SUCCESS) {
    return missing("response_format.type");
  }
  if (type != "text" && type != "json_object" && type != "json_schema") {
    return fail_range("response_format.type", "'text', 'json_object' or 'json_schema'");
  }
  if (type == "text") return true;
  request_->response_format = simdjson::minify(value);
  request_->format.kind = engine::OutputFormat::Kind::json_object;
  return type == "json_object" || json_schema(value);
}

bool RequestReader::json_schema(Json format) {
  constexpr std::string_view kName = "response_format.json_schema";
  Json described;
  if (format["json_schema"].get(described) != simdjson::SUCCESS) {
    return missing(kName);
  }
  if (!described.is_object()) return fail_type(kName, "an object", described);
  const std::string name_of_name = std::string(kName) + ".name";
  Json field;
  if (described["name"].get(field) != simdjson::SUCCESS) {
    return missing(name_of_name);
  }
  std::string word;
  if (!text(name_of_name, field, word)) return false;
  if (!usable_name(word)) return fail_range(name_of_name, std::string(kUsableNames));
  bool strict = false;
  if (described["strict"].get(field) == simdjson::SUCCESS && !field.is_null() &&
      !boolean(std::string(kName) + ".strict", field, strict)) {
    return false;
  }
  // Without a schema any object will do.
  if (described["schema"].get(field) != simdjson::SUCCESS || field.is_null()) return true;
  const std::string name_of_schema = std::string(kName) + ".schema";
  if (!field.is_object()) return fail_type(name_of_schema, "an object", field);
  request_->format = {engine::OutputFormat::Kind::json_schema, simdjson::minify(field)};
  return true;
}

bool RequestReader::verbosity(std::string_view name, Json value) {
  std::string word;
  if (!text(name, value, word)) return false;
  if (word != "low" && word != "medium" && word != "high") return fail_range(name, "'low', 'medium' or 'high'");
  add_extra(name, value);
  return true;
}

bool RequestReader::reasoning_effort(std::string_view name, Json value) {
  add_extra(name, value);
  return any_text(name, value);
}

bool RequestReader::modalities(std::string_view name, Json value) {
  simdjson::dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return fail_type(name, "an array of strings", value);
  bool more_than_text = false;
  std::size_t index = 0;
  for (const Json item : list) {
    std::string word;
    if (!text(element_name(name, index++), item, word)) return false;
    more_than_text = more_than_text || word != "text";
  }
  return !more_than_text || engine_cannot(name, value);
}

bool RequestReader::engine_cannot(std::string_view name, Json value) {
  refuse_for_engine(name, "models served in this process do not know this field in this version");
  add_extra(name, value);
  return true;
}

bool RequestReader::any_object(std::string_view name, Json value) {
  return value.is_object() || fail_type(name, "an object", value);
}

bool RequestReader::any_bool(std::string_view name, Json value) {
  return value.is_bool() || fail_type(name, "a boolean", value);
}

bool RequestReader::any_text(std::string_view name, Json value) {
  return value.is_string() || fail_type(name, "a string", value);
}

bool RequestReader::unknown(std::string_view name, Json value) {
  add_extra(name, value);
  return true;
}

}  // namespace kvasir::gateway
