#include "gateway/api_error.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

void append_text_or_null(std::string& out, std::string_view text) {
  if (text.empty()) {
    out += "null";
  } else {
    append_json_string(out, text);
  }
}

}  // namespace

std::string ApiError::body() const {
  std::string out = R"({"error":{"message":)";
  append_json_string(out, message);
  out += R"(,"type":)";
  append_json_string(out, type);
  out += R"(,"param":)";
  append_text_or_null(out, param);
  out += R"(,"code":)";
  append_text_or_null(out, code);
  out += "}}";
  return out;
}

ApiError ApiError::invalid(std::string message, std::string param, std::string code) {
  return {400, std::move(message), "invalid_request_error", std::move(param), std::move(code), 0};
}

ApiError ApiError::not_found(std::string message) {
  return {404, std::move(message), "invalid_request_error", "", "not_found", 0};
}

ApiError ApiError::model_not_found(const std::string& model) {
  return {404, "The model '" + model + "' does not exist.", "invalid_request_error", "model", "model_not_found", 0};
}

ApiError ApiError::prompt_not_found() {
  return {404,
          "The KV of this prompt is unknown or expired; send the request without 'cached_prompt_id'.",
          "invalid_request_error",
          "cached_prompt_id",
          "cached_prompt_not_found",
          0};
}

ApiError ApiError::invalid_api_key() {
  return {401,
          "Missing or wrong API key; send it as 'Authorization: Bearer KEY'.",
          "invalid_request_error",
          "",
          "invalid_api_key",
          0};
}

ApiError ApiError::rate_limited(std::string message, int retry_after_seconds) {
  return {429, std::move(message), "rate_limit_error", "", "rate_limit_exceeded", retry_after_seconds};
}

ApiError ApiError::draining() {
  return {503, "The server is shutting down.", "server_error", "", "draining", 1};
}

ApiError ApiError::not_cached() {
  return {504, "Nothing is cached for this request.", "invalid_request_error", "", "not_cached", 0};
}

ApiError ApiError::internal() {
  return {500, "The server had an internal error.", "server_error", "", "internal", 0};
}

ApiError ApiError::from(const engine::Error& error) {
  switch (error.code) {
    case engine::ErrorCode::bad_request:
      return invalid(error.message, error.param);
    case engine::ErrorCode::context_length:
      return invalid(error.message, error.param.empty() ? "messages" : error.param, "context_length_exceeded");
    case engine::ErrorCode::prompt_not_found:
      return prompt_not_found();
    case engine::ErrorCode::overloaded:
      return {429, error.message, "rate_limit_error", "", "engine_overloaded", std::max(1, error.retry_after_seconds)};
    case engine::ErrorCode::shutting_down:
      return draining();
    case engine::ErrorCode::bad_model_file:
    case engine::ErrorCode::unsupported_model:
    case engine::ErrorCode::internal:
      break;
  }
  return internal();
}

}  // namespace kvasir::gateway
