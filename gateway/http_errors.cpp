#include "gateway/http_errors.hpp"

namespace kvasir::gateway::http_errors {
namespace {

ApiError refused(int status, std::string message, std::string code) {
  return {status, std::move(message), "invalid_request_error", "", std::move(code), 0};
}

}  // namespace

ApiError malformed(std::string_view what) {
  return ApiError::invalid("The HTTP request is malformed: " + std::string(what));
}
ApiError timed_out() {
  return refused(408, "The request did not arrive in time.", "request_timeout");
}
ApiError body_too_large() {
  return refused(413, "The body is larger than this server accepts.", "body_too_large");
}
ApiError target_too_long() {
  return refused(414, "The request line is longer than this server accepts.", "uri_too_long");
}
ApiError unknown_content_coding() {
  return refused(415, "The body's Content-Encoding is unknown here; send gzip or none.",
                 "unsupported_content_encoding");
}
ApiError unknown_expectation() {
  return refused(417, "The only expectation that this server meets is 100-continue.", "expectation_failed");
}
ApiError headers_too_large() {
  return refused(431, "The headers are larger than this server accepts.", "headers_too_large");
}
ApiError unknown_transfer_coding() {
  return refused(501, "The only Transfer-Encoding that this server knows is chunked.", "unsupported_transfer_encoding");
}
ApiError unknown_version() {
  return refused(505, "This server speaks HTTP/1.1 and HTTP/1.0.", "http_version_not_supported");
}

}  // namespace kvasir::gateway::http_errors
