// What a legacy completion request has instead of messages.
#include "gateway/request_reader.hpp"

#include <unordered_map>
#include <unordered_set>

namespace kvasir::gateway {
namespace {

constexpr int kDefaultMaxTokens = 16;
constexpr std::size_t kMaxEngineChoices = 128;

}  // namespace

RequestReader::Handler RequestReader::completion_handler(std::string_view name) {
  using R = RequestReader;
  static const std::unordered_map<std::string_view, Handler> handlers{
      {"prompt", &R::prompt},          {"echo", &R::echo},
      {"suffix", &R::suffix},          {"best_of", &R::best_of},
      {"logprobs", &R::logprob_count}, {"max_tokens", &R::completion_tokens},
  };
  // Those of a chat, which a legacy completion does not have.
  static const std::unordered_set<std::string_view> of_chats{
      "messages",  "documents",     "tools",        "tool_choice",           "parallel_tool_calls",
      "functions", "function_call", "top_logprobs", "max_completion_tokens", "response_format"};
  if (const auto found = handlers.find(name); found != handlers.end()) return found->second;
  return of_chats.contains(name) ? &R::engine_cannot : chat_handler(name);
}

bool RequestReader::prompt(std::string_view name, Json value) {
  add_extra(name, value);
  if (value.is_string()) return prompt_text(name, value);
  simdjson::dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return fail_type(name, kTextsOrTokens, value);
  if (list.size() == 0) return fail("Invalid 'prompt': expected at least one prompt.", name);
  if (list.at(0).is_int64()) return prompt_tokens(std::string(name), list);
  for (const Json item : list) {
    const std::string place = element_name(name, request_->raw_prompts.size());
    simdjson::dom::array tokens;
    if (item.is_string()) {
      if (!prompt_text(place, item)) return false;
    } else if (item.get(tokens) == simdjson::SUCCESS) {
      if (!prompt_tokens(place, tokens)) return false;
    } else {
      return fail_type(place, "a string or an array of tokens", item);
    }
  }
  return true;
}

bool RequestReader::prompt_text(std::string_view name, Json value) {
  return text(name, value, request_->raw_prompts.emplace_back().text);
}

bool RequestReader::prompt_tokens(const std::string& place, simdjson::dom::array list) {
  if (list.size() == 0) return fail("Invalid '" + place + "': expected at least one token.", "prompt");
  return token_ids(place, list, request_->raw_prompts.emplace_back().tokens);
}

bool RequestReader::echo(std::string_view name, Json value) {
  if (!boolean(name, value, echo_)) return false;
  if (echo_) add_extra(name, value);
  return true;
}

bool RequestReader::suffix(std::string_view name, Json value) {
  std::string after;
  if (!text(name, value, after)) return false;
  if (!after.empty()) refuse_for_engine(name, "models served in this process continue a text, they fill no gaps");
  return true;
}

bool RequestReader::best_of(std::string_view name, Json value) {
  std::int64_t count = 0;
  if (!integer(name, value, 1, 20, count)) return false;
  request_->best_of = static_cast<int>(count);
  return true;
}

bool RequestReader::logprob_count(std::string_view name, Json value) {
  std::int64_t count = 0;
  if (!integer(name, value, 0, 5, count)) return false;
  request_->logprobs = true;
  request_->top_logprobs = static_cast<int>(count);
  return true;
}

bool RequestReader::completion_tokens(std::string_view name, Json value) {
  std::int64_t limit = 0;
  if (!integer(name, value, 0, 1 << 30, limit)) return false;
  if (limit == 0) refuse_for_engine(name, "models served in this process write at least one token");
  request_->max_tokens = static_cast<int>(limit);
  has_max_tokens_ = true;
  return true;
}

bool RequestReader::finish_completion() {
  if (request_->raw_prompts.empty()) return missing("prompt");
  if (!has_max_tokens_) request_->max_tokens = kDefaultMaxTokens;
  for (engine::RawPrompt& prompt : request_->raw_prompts) prompt.echo = echo_;
  if (request_->best_of != 0 && request_->best_of < request_->n) return fail_range("best_of", "at least 'n'");
  if (request_->best_of > request_->n) {
    refuse_for_engine("best_of", "models served in this process choose none; send it equal to 'n'");
  }
  if (echo_ && request_->logprobs) {
    refuse_for_engine("echo", "models served in this process give no logprobs of the prompt");
  }
  if (request_->raw_prompts.size() * static_cast<std::size_t>(request_->n) > kMaxEngineChoices) {
    refuse_for_engine("prompt", "models served in this process give at most 128 choices a request, prompts times 'n'");
  }
  return true;
}

}  // namespace kvasir::gateway
