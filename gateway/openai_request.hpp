// OpenAI's requests for chat completions and legacy completions: JSON to ChatRequest, as strict as OpenAI's own server.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/chat_request.hpp"

#include <string>
#include <string_view>

namespace kvasir::gateway {

// Errors: 400 with the field's name in `param`; JSON that is broken, not UTF-8 or nested deeper than 64 has none.
// Any thread.
Result<ChatRequest> parse_chat_request(std::string body);
// The same for /v1/completions: the prompts are in `raw_prompts`.
Result<ChatRequest> parse_completion_request(std::string body);

// The same request for an upstream: `model` is the upstream's name, fields of ours are left out, documents stand in the
// last user message, and a stream always reports its usage (the gateway counts tokens; clients that did not ask for
// it do not see it). All other fields keep their bytes. Where nothing changes it is request.body itself, else it stands
// in `written`, which is empty before.
std::string_view upstream_body(const ChatRequest& request, const rag::Prompt& prompt, const std::string& model,
                               std::string& written);

}  // namespace kvasir::gateway
