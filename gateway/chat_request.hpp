// A completion request, of a chat as a rule, as plain values: checked, and nothing behind this sees JSON.
#pragma once

#include "engine/engine.hpp"
#include "rag/prompt.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::gateway {

struct ChatRequest {
  std::string model;
  std::vector<rag::Message> messages;
  std::vector<rag::Document> documents;        // of the `documents` field
  std::vector<engine::RawPrompt> raw_prompts;  // of a legacy completion, instead of messages; each has `n` choices

  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage

  double temperature = 1.0;
  double top_p = 1.0;
  double frequency_penalty = 0.0;
  double presence_penalty = 0.0;
  int top_k = 0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  int n = 1;
  int best_of = 0;     // of a legacy completion: choices to compute for a prompt; 0: n
  int max_tokens = 0;  // 0: no limit; max_completion_tokens wins over max_tokens
  std::optional<std::int64_t> seed;
  std::vector<std::string> stop;
  std::vector<std::pair<std::int32_t, float>> logit_bias;  // by token, ascending
  bool logprobs = false;
  int top_logprobs = 0;

  std::string prediction;             // what the answer may look like; changes its speed alone
  std::optional<int> predict_tokens;  // predict_options.tokens

  std::vector<engine::LoraRequest> lora;

  std::string user;
  bool prompt_cache = true;
  std::chrono::seconds pin{0};                  // cache_control: keeps the prompt's KV; 0: not asked for
  std::vector<engine::Breakpoint> breakpoints;  // cache_control of messages, their parts and documents
  std::string cached_prompt_id;                 // an earlier answer, whose prompt is to be kept; or empty
  std::string system_label;                     // cache_checksum as JSON text, or empty
  std::optional<std::string> system_sha256;     // that the system prompt must have, in hexadecimal
  engine::ContextStrategy context_strategy = engine::ContextStrategy::error;
  engine::PriorityTokens priority_tokens;
  std::optional<std::chrono::seconds> cache_ttl;
  std::vector<std::string> cache_tags;
  bool user_scope = false;  // cache_scope: "user"

  // What response_format asks of a model in process.
  engine::OutputFormat format;
  // What tools and tool_choice ask of it.
  engine::ToolUse tool_use;

  // JSON with sorted keys, empty if absent; in `response_format` the caller's order stands: answers follow it. `tools`
  // holds whatever calls functions; `extra` fields that are not ours but may change an upstream's answer, and the
  // messages themselves when they are more than text.
  std::string tools;
  std::string response_format;
  std::string extra;
  bool text_only = true;        // every message is plain text
  std::size_t media_bytes = 0;  // of `body`: parts of messages that are no text

  // Fields that an engine here cannot honour: first name and the sentence for the caller.
  std::optional<std::pair<std::string, std::string>> not_for_engine;

  std::string body;  // as received
};

// Cache-Control of a request (RFC 9111, section 5.2.1).
struct CacheDirectives {
  bool no_cache = false;        // do not read
  bool no_store = false;        // neither read nor store
  bool only_if_cached = false;  // 504 on a miss
  std::optional<std::chrono::seconds> max_age;

  static CacheDirectives parse(std::string_view header);
};

}  // namespace kvasir::gateway
