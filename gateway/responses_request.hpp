// OpenAI's request for a response: JSON to what is kept, what is shown again, and the chat request that it is.
#pragma once

#include "gateway/api_error.hpp"

#include <string>

#include <nlohmann/json.hpp>

namespace kvasir::gateway {

struct ResponsesRequest {
  nlohmann::json input;  // items, whole (response_items.hpp)
  std::string previous;  // previous_response_id, or empty
  bool store = true;
  nlohmann::json shown = nlohmann::json::object();  // fields of the request that its answer repeats
  nlohmann::json chat = nlohmann::json::object();   // the chat request, but for its messages and
  std::string response_format;                      // JSON, or empty: a schema's properties have an order
};

// Errors: 400 with the field's name in `param`. Any thread.
Result<ResponsesRequest> parse_responses_request(std::string& body);

// The whole chat request, JSON; its messages are the instructions, the conversation so far, the input. `conversation`:
// items, oldest first.
std::string chat_body(const ResponsesRequest& request, const nlohmann::json& conversation);

// An error that names a field of the chat request names the field of the response that it comes from.
void rename_to_response(ApiError& error);

}  // namespace kvasir::gateway
