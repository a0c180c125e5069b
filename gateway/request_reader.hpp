// Reads one request object field by field into a ChatRequest; the first field that does not fit is the error.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/chat_request.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

namespace kvasir::gateway {

class RequestReader {
 public:
  using Json = simdjson::dom::element;

  explicit RequestReader(ChatRequest& request) : request_(&request) {}
  std::optional<ApiError> read(simdjson::dom::object object);

 private:
  using Handler = bool (RequestReader::*)(std::string_view name, Json value);
  static Handler handler_of(std::string_view name);

  bool model(std::string_view name, Json value);
  bool messages(std::string_view name, Json value);
  bool documents(std::string_view name, Json value);
  bool stream(std::string_view name, Json value);
  bool stream_options(std::string_view name, Json value);
  bool temperature(std::string_view name, Json value);
  bool top_p(std::string_view name, Json value);
  bool penalty(std::string_view name, Json value);
  bool top_k(std::string_view name, Json value);
  bool n(std::string_view name, Json value);
  bool max_tokens(std::string_view name, Json value);
  bool seed(std::string_view name, Json value);
  bool stop(std::string_view name, Json value);
  bool logit_bias(std::string_view name, Json value);
  bool logprobs(std::string_view name, Json value);
  bool top_logprobs(std::string_view name, Json value);
  bool user(std::string_view name, Json value);
  bool prompt_cache(std::string_view name, Json value);
  bool cache_ttl(std::string_view name, Json value);
  bool cache_tags(std::string_view name, Json value);
  bool cache_scope(std::string_view name, Json value);
  bool tools(std::string_view name, Json value);
  bool response_format(std::string_view name, Json value);
  bool json_schema(Json format);
  bool changes_answer(std::string_view name, Json value);
  bool engine_cannot(std::string_view name, Json value);
  bool strategy(std::string_view name, Json value);
  bool any_object(std::string_view name, Json value);
  bool any_bool(std::string_view name, Json value);
  bool any_text(std::string_view name, Json value);
  bool ignored(std::string_view name, Json value);
  bool unknown(std::string_view name, Json value);

  bool message(const std::string& place, Json value);
  bool content(const std::string& place, Json value, rag::Message& message);
  bool finish();

  bool fail(std::string message, std::string_view param);
  bool text(std::string_view name, Json value, std::string& target);
  bool boolean(std::string_view name, Json value, bool& target);
  bool number(std::string_view name, Json value, double low, double high, double& target);
  bool integer(std::string_view name, Json value, std::int64_t low, std::int64_t high, std::int64_t& target);
  void refuse_for_engine(std::string_view name, std::string why);
  void add_extra(std::string_view name, Json value);

  ChatRequest* request_;
  std::optional<ApiError> error_;
  std::vector<std::pair<std::string, std::string>> extra_;  // name, canonical JSON
  std::vector<std::pair<std::string, std::string>> tools_;
  bool has_messages_ = false;
  bool has_stream_options_ = false;
  bool has_top_logprobs_ = false;
  bool has_completion_limit_ = false;
};

// JSON text with sorted keys and no spaces.
std::string canonical_json(simdjson::dom::element value);

}  // namespace kvasir::gateway
