#include "gateway/upstream_answer.hpp"

#include "gateway/upstream_fault.hpp"

#include <algorithm>

#include <simdjson.h>

namespace kvasir::gateway {
namespace {

using Json = simdjson::dom::element;
using simdjson::SUCCESS;

constexpr std::size_t kMaxChoices = 128;

// Empty if it is no string. Valid until the parser is used again.
std::string_view text_of(Json object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == SUCCESS ? text : std::string_view();
}

// Most chunks repeat what the first one said.
void keep(std::string& known, std::string_view text) {
  if (!text.empty() && text != known) known = text;
}

int int_of(Json object, std::string_view key) {
  std::int64_t number = 0;
  return object[key].get(number) == SUCCESS ? static_cast<int>(std::clamp<std::int64_t>(number, 0, INT32_MAX)) : 0;
}

void note_usage(Json root, FlightResult& result) {
  const auto usage = read_usage(root);
  if (!usage) return;
  result.answer.prompt_tokens = usage->prompt;
  result.answer.completion_tokens = usage->completion;
  result.cached_tokens = usage->cached;
}

bool is_reasoning(std::string_view field) {
  return field == "reasoning_content" || field == "reasoning";
}

// Adds what a message or delta tells of the model's thoughts. False if an answer tells them under two names.
bool add_reasoning(Json message, cache::AnswerChoice& choice) {
  for (const std::string_view field : {"reasoning_content", "reasoning"}) {
    const std::string_view text = text_of(message, field);
    if (text.empty()) continue;
    if (!choice.reasoning_field.empty() && choice.reasoning_field != field) return false;
    choice.reasoning_field = field;
    choice.reasoning += text;
  }
  return true;
}

// A message or delta holds something that an Answer does not: a tool call, audio, pictures.
bool holds_more(Json message) {
  simdjson::dom::object object;
  if (message.get(object) != SUCCESS) return true;
  for (const auto field : object) {
    const bool known =
        field.key == "role" || field.key == "content" || field.key == "refusal" || is_reasoning(field.key);
    if (known) {
      if (!field.value.is_string() && !field.value.is_null()) return true;
      continue;
    }
    simdjson::dom::array list;
    const bool empty = field.value.is_null() || (field.value.get(list) == SUCCESS && list.size() == 0);
    if (!empty) return true;
  }
  return false;
}

bool read_choice(Json json, FlightResult& result) {
  cache::AnswerChoice choice;
  Json message;
  if (json["message"].get(message) != SUCCESS || !message.is_object()) return false;
  choice.content = text_of(message, "content");
  choice.refusal = text_of(message, "refusal");
  choice.finish_reason = text_of(json, "finish_reason");
  Json logprobs;
  if (json["logprobs"].get(logprobs) == SUCCESS && logprobs.is_object()) choice.logprobs = simdjson::minify(logprobs);
  result.complete = add_reasoning(message, choice) && result.complete && !holds_more(message);
  result.answer.choices.push_back(std::move(choice));
  return true;
}

}  // namespace

std::optional<TokenUsage> read_usage(Json root) {
  Json told;
  if (root["usage"].get(told) != SUCCESS || !told.is_object()) return std::nullopt;
  TokenUsage usage{int_of(told, "prompt_tokens"), 0, int_of(told, "completion_tokens")};
  Json details;
  if (told["prompt_tokens_details"].get(details) == SUCCESS && details.is_object()) {
    usage.cached = int_of(details, "cached_tokens");
  }
  return usage;
}

Result<FlightResult> read_completion(std::string body) {
  simdjson::dom::parser parser;
  Json root;
  if (parser.parse(body).get(root) != SUCCESS) return bad_answer("an answer that is not JSON").error;
  simdjson::dom::array choices;
  if (!root.is_object() || root["choices"].get(choices) != SUCCESS || choices.size() == 0) {
    return bad_answer("an answer without choices").error;
  }
  FlightResult result;
  result.answer.model = text_of(root, "model");
  result.answer.system_fingerprint = text_of(root, "system_fingerprint");
  for (const Json choice : choices) {
    if (!read_choice(choice, result)) return bad_answer("a choice without a message").error;
  }
  note_usage(root, result);
  result.raw_body = std::move(body);
  return result;
}

Result<FlightDelta> StreamAssembler::push(std::string data) {
  thread_local simdjson::dom::parser parser;
  Json root;
  if (parser.parse(data).get(root) != SUCCESS || !root.is_object()) return bad_answer("a chunk that is not JSON").error;
  Json problem;
  if (root["error"].get(problem) == SUCCESS && !problem.is_null()) return refused_with(502, data, 0).error;
  keep(result_.answer.model, text_of(root, "model"));
  keep(result_.answer.system_fingerprint, text_of(root, "system_fingerprint"));
  note_usage(root, result_);
  FlightDelta delta;
  simdjson::dom::array choices;
  // Keep-alives and events of a server's own have no choices (a default-made array must not be walked).
  if (root["choices"].get(choices) != SUCCESS || choices.size() == 0) {
    delta.usage_only = root["usage"].is_object();
    delta.raw = std::move(data);
    return delta;
  }
  for (const Json json : choices) {
    const auto index = static_cast<std::size_t>(int_of(json, "index"));
    if (index >= kMaxChoices) return bad_answer("a chunk for a choice that nobody asked for").error;
    if (choices_.size() <= index) choices_.resize(index + 1);
    Choice& choice = choices_[index];
    Json part;
    if (json["delta"].get(part) == SUCCESS && part.is_object()) {
      choice.answer.content += text_of(part, "content");
      choice.answer.refusal += text_of(part, "refusal");
      result_.complete = add_reasoning(part, choice.answer) && result_.complete && !holds_more(part);
    }
    simdjson::dom::array items;
    if (json["logprobs"]["content"].get(items) == SUCCESS) {
      for (const Json item : items) {
        if (!choice.logprobs.empty()) choice.logprobs += ',';
        choice.logprobs += simdjson::minify(item);
      }
    }
    keep(choice.answer.finish_reason, text_of(json, "finish_reason"));
  }
  delta.raw = std::move(data);
  return delta;
}

bool StreamAssembler::finished() const {
  return !choices_.empty() && std::all_of(choices_.begin(), choices_.end(),
                                          [](const Choice& choice) { return !choice.answer.finish_reason.empty(); });
}

FlightResult StreamAssembler::take() {
  for (Choice& choice : choices_) {
    if (!choice.logprobs.empty()) {
      choice.answer.logprobs = R"({"content":[)";
      choice.answer.logprobs.append(choice.logprobs).append(R"(],"refusal":null})");
    }
    result_.answer.choices.push_back(std::move(choice.answer));
  }
  return std::move(result_);
}

}  // namespace kvasir::gateway
