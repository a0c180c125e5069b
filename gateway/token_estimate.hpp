// What a request may come to, before anything is tokenised.
#pragma once

#include "gateway/chat_request.hpp"
#include "gateway/money.hpp"

#include <cstddef>

namespace kvasir::gateway {

// Of a text whose tokens nobody has counted.
int estimated_tokens(std::size_t bytes);
// Pictures are many bytes and few tokens.
int estimated_prompt_tokens(const ChatRequest& request);
// Of all choices of all prompts.
TokenUsage most_tokens(const ChatRequest& request);

}  // namespace kvasir::gateway
