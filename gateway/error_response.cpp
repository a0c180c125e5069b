#include "gateway/error_response.hpp"

namespace kvasir::gateway {

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{error.status, error.body(), "", "application/json", false};
  if (error.retry_after_seconds > 0) {
    append_header(response.headers, "retry-after", std::to_string(error.retry_after_seconds));
  }
  return response;
}

HttpResponse method_not_allowed(std::string_view allowed) {
  HttpResponse response = error_response(
      {405, "This path does not know this method.", "invalid_request_error", "", "method_not_allowed", 0});
  append_header(response.headers, "allow", allowed);
  return response;
}

std::string error_event(const ApiError& error) {
  return "data: " + error.body() + "\n\n";
}

Task<void> respond(HttpExchange& exchange, RequestRecord& record, HttpResponse response) {
  record.status = response.status;
  const bool sent = co_await exchange.send(std::move(response));
  if (!sent) record.status = 499;
}

Task<void> refuse(HttpExchange& exchange, RequestRecord& record, const ApiError& error) {
  record.status = error.status;
  record.error = error.code.empty() ? error.type : error.code;
  co_await exchange.send(error_response(error));
}

}  // namespace kvasir::gateway
