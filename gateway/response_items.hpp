// Items of /v1/responses: what a conversation consists of there, and the chat messages that they are.
#pragma once

#include "gateway/field_reader.hpp"

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace kvasir::gateway {

// `input` of a request (a string or a list of items) as an array of items, each whole: with type, id, status, and
// content as parts. Errors: 400; `param` is the item's place.
std::optional<ApiError> read_response_input(Json value, nlohmann::json& items);

// Appends the chat messages that say the same. `items`: those of requests (as read above) and of answers.
void append_chat_messages(nlohmann::json& messages, const nlohmann::json& items);

}  // namespace kvasir::gateway
