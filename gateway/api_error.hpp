// An error as OpenAI clients know it: status, and {"error":{message, type, param, code}} (interface.md, error table).
#pragma once

#include "engine/error.hpp"

#include <stdexcept>
#include <string>

#include <boost/system/result.hpp>

namespace kvasir::gateway {

struct ApiError {
  int status = 500;
  std::string message;
  std::string type = "server_error";
  std::string param;            // empty: null
  std::string code;             // empty: null
  int retry_after_seconds = 0;  // above zero: sent as Retry-After

  // The body; all four keys are always there.
  std::string body() const;

  static ApiError invalid(std::string message, std::string param = "", std::string code = "");
  static ApiError not_found(std::string message);
  static ApiError model_not_found(const std::string& model);
  static ApiError prompt_not_found();
  static ApiError invalid_api_key();
  static ApiError rate_limited(std::string message, int retry_after_seconds);
  static ApiError draining();
  static ApiError not_cached();
  static ApiError internal();
  static ApiError from(const engine::Error& error);
};

template <typename T>
using Result = boost::system::result<T, ApiError>;

}  // namespace kvasir::gateway

namespace boost::system {
// result<T, ApiError>::value() on an error is a programming error; say which.
[[noreturn]] inline void throw_exception_from_error(const kvasir::gateway::ApiError& error,
                                                    const boost::source_location&) {
  throw std::logic_error("gateway result used without a check: " + error.message);
}
}  // namespace boost::system
