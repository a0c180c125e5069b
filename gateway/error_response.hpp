// Refusals as HTTP answers.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/http_connection.hpp"
#include "gateway/metrics.hpp"

#include <string_view>

namespace kvasir::gateway {

HttpResponse error_response(const ApiError& error);
HttpResponse method_not_allowed(std::string_view allowed);

// Sends it and notes it in `record`.
Task<void> refuse(HttpExchange& exchange, RequestRecord& record, const ApiError& error);

}  // namespace kvasir::gateway
