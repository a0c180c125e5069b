// Answers that are there as a whole, refusals above all.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/http_connection.hpp"
#include "gateway/request_record.hpp"

#include <string>
#include <string_view>

namespace kvasir::gateway {

inline constexpr std::string_view kEventStream = "text/event-stream; charset=utf-8";

HttpResponse error_response(const ApiError& error);
HttpResponse method_not_allowed(std::string_view allowed);
// The last event of a stream that breaks, before its connection does.
std::string error_event(const ApiError& error);

// Sends it and notes its status in `record`.
Task<void> respond(HttpExchange& exchange, RequestRecord& record, HttpResponse response);
// The same for an error.
Task<void> refuse(HttpExchange& exchange, RequestRecord& record, const ApiError& error);

}  // namespace kvasir::gateway
