// Reads one request object field by field into a ChatRequest; the first field that does not fit is the error.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/chat_request.hpp"
#include "gateway/field_reader.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

namespace kvasir::gateway {

// What OpenAI takes as the name of a function or a schema.
bool usable_name(std::string_view name);
inline constexpr std::string_view kUsableNames = "1 to 64 letters, digits, '_' or '-'";

class RequestReader : private FieldReader {
 public:
  // A chat has messages, a legacy completion a prompt.
  enum class Kind { chat, completion };

  explicit RequestReader(ChatRequest& request, Kind kind = Kind::chat) : request_(&request), kind_(kind) {}
  std::optional<ApiError> read(simdjson::dom::object object);

 private:
  using Handler = bool (RequestReader::*)(std::string_view name, Json value);
  static Handler chat_handler(std::string_view name);
  static Handler completion_handler(std::string_view name);

  bool model(std::string_view name, Json value);
  bool messages(std::string_view name, Json value);
  bool documents(std::string_view name, Json value);
  bool stream(std::string_view name, Json value);
  bool stream_options(std::string_view name, Json value);
  bool temperature(std::string_view name, Json value);
  bool top_p(std::string_view name, Json value);
  bool penalty(std::string_view name, Json value);
  bool top_k(std::string_view name, Json value);
  bool min_p(std::string_view name, Json value);
  bool repetition_penalty(std::string_view name, Json value);
  bool n(std::string_view name, Json value);
  bool max_tokens(std::string_view name, Json value);
  bool seed(std::string_view name, Json value);
  bool stop(std::string_view name, Json value);
  bool logit_bias(std::string_view name, Json value);
  bool logprobs(std::string_view name, Json value);
  bool top_logprobs(std::string_view name, Json value);
  bool prediction(std::string_view name, Json value);
  bool predict_options(std::string_view name, Json value);
  bool lora(std::string_view name, Json value);
  bool user(std::string_view name, Json value);
  bool prompt_cache(std::string_view name, Json value);
  bool cache_control(std::string_view name, Json value);
  bool cached_prompt_id(std::string_view name, Json value);
  bool cache_checksum(std::string_view name, Json value);
  bool context_strategy(std::string_view name, Json value);
  bool priority_tokens(std::string_view name, Json value);
  bool cache_ttl(std::string_view name, Json value);
  bool cache_tags(std::string_view name, Json value);
  bool cache_scope(std::string_view name, Json value);
  bool tools(std::string_view name, Json value);
  bool tool(const std::string& place, Json value);
  bool tool_choice(std::string_view name, Json value);
  bool parallel_tool_calls(std::string_view name, Json value);
  bool function_call(std::string_view name, Json value);
  bool finish_tools();
  bool response_format(std::string_view name, Json value);
  bool json_schema(Json format);
  bool verbosity(std::string_view name, Json value);
  bool reasoning_effort(std::string_view name, Json value);
  bool modalities(std::string_view name, Json value);
  bool engine_cannot(std::string_view name, Json value);
  bool any_object(std::string_view name, Json value);
  bool any_bool(std::string_view name, Json value);
  bool any_text(std::string_view name, Json value);
  bool unknown(std::string_view name, Json value);

  // Of legacy completions.
  bool prompt(std::string_view name, Json value);
  bool prompt_text(std::string_view name, Json value);
  bool prompt_tokens(const std::string& place, simdjson::dom::array list);
  bool echo(std::string_view name, Json value);
  bool suffix(std::string_view name, Json value);
  bool best_of(std::string_view name, Json value);
  bool logprob_count(std::string_view name, Json value);
  bool completion_tokens(std::string_view name, Json value);
  bool finish_completion();

  bool message(const std::string& place, Json value);
  bool content(const std::string& place, Json value, rag::Message& message);
  bool tool_calls(const std::string& place, Json value, rag::Message& message);
  // Of a cache_control at `place`.
  bool pin_time(const std::string& place, Json value, std::chrono::seconds& target);
  // Takes the cache_control of the message, part or document at `holder`, if it has one.
  bool breakpoint(const std::string& holder, Json object, engine::Breakpoint at);
  // The field `key` of the object at `place`.
  bool required(std::string_view place, Json object, std::string_view key, Json& field);
  bool finish();

  void refuse_for_engine(std::string_view name, std::string why);
  void add_extra(std::string_view name, Json value);

  ChatRequest* request_;
  Kind kind_;
  std::vector<std::pair<std::string, std::string>> extra_;  // name, canonical JSON
  std::vector<std::pair<std::string, std::string>> tools_;
  std::optional<engine::ToolUse::Choice> tool_choice_;
  bool has_tools_ = false;
  bool has_messages_ = false;
  bool has_stream_options_ = false;
  bool has_top_logprobs_ = false;
  bool has_completion_limit_ = false;
  bool has_max_tokens_ = false;
  bool echo_ = false;
};

}  // namespace kvasir::gateway
