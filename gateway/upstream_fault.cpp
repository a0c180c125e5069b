#include "gateway/upstream_fault.hpp"

#include <utility>

#include <simdjson.h>

namespace kvasir::gateway {
namespace {

using simdjson::SUCCESS;

constexpr std::size_t kMaxMessage = 8 << 10;
constexpr std::size_t kMaxWord = 128;  // type, param, code

// A string of an error object, cut between characters.
std::string text_of(simdjson::dom::element object, std::string_view key, std::size_t most) {
  std::string_view text;
  if (object[key].get(text) != SUCCESS) return {};
  if (text.size() > most) {
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
    text = text.substr(0, most);
  }
  return std::string(text);
}

FaultKind kind_of(int status) {
  if (status == 429) return FaultKind::limited;
  if (status >= 502 && status <= 504) return FaultKind::unavailable;
  return status < 500 ? FaultKind::rejected : FaultKind::server_error;
}

ApiError upstream_api_error(int status, std::string message, std::string code) {
  return {status, std::move(message), "upstream_error", "", std::move(code), 0};
}

}  // namespace

std::string_view to_string(FaultKind kind) {
  constexpr std::array<std::string_view, kFaultKinds> kNames{"unreachable", "reset",        "timeout",     "limited",
                                                             "unavailable", "server_error", "credentials", "bad_answer",
                                                             "rejected",    "cancelled"};
  return kNames[static_cast<std::size_t>(kind)];
}

UpstreamFault bad_answer(std::string_view what) {
  return {FaultKind::bad_answer,
          upstream_api_error(502, "The upstream server sent " + std::string(what) + ".", "upstream_bad_answer")};
}

UpstreamFault unreachable(std::string_view why) {
  return {FaultKind::unreachable,
          upstream_api_error(502, "The upstream server cannot be reached: " + std::string(why) + ".",
                             "upstream_unreachable")};
}

UpstreamFault connection_reset(std::string_view why) {
  UpstreamFault fault = unreachable(why);
  fault.kind = FaultKind::reset;
  return fault;
}

UpstreamFault too_slow(std::string_view what) {
  return {FaultKind::timeout,
          upstream_api_error(504, "The upstream server did not answer in time: no " + std::string(what) + ".",
                             "upstream_timeout")};
}

UpstreamFault private_address() {
  return {FaultKind::unreachable,
          upstream_api_error(502,
                             "The upstream server's name leads to a private address, which private_networks does not "
                             "allow.",
                             "upstream_private_address")};
}

UpstreamFault cancelled() {
  return {FaultKind::cancelled, upstream_api_error(499, "The request was cancelled.", "cancelled")};
}

UpstreamFault refused_with(int status, std::string_view body, int retry_after_seconds) {
  if (status == 401 || status == 403) {
    return {FaultKind::credentials,
            upstream_api_error(502, "The upstream server refused the gateway's credentials.", "upstream_auth")};
  }
  if (status < 400 || status > 599) {
    return bad_answer("a redirect or an unexpected status, " + std::to_string(status));
  }
  UpstreamFault fault{kind_of(status),
                      {status, "The upstream server answered with status " + std::to_string(status) + ".",
                       status < 500 ? "invalid_request_error" : "upstream_error", "", "", retry_after_seconds}};
  ApiError& error = fault.error;
  if (status == 429) error.type = "rate_limit_error";
  if (body.empty()) return fault;
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::element inner;
  if (parser.parse(body.data(), body.size()).get(root) != SUCCESS || root["error"].get(inner) != SUCCESS) return fault;
  if (inner.is_string()) error.message = text_of(root, "error", kMaxMessage);
  if (auto text = text_of(inner, "message", kMaxMessage); !text.empty()) error.message = std::move(text);
  if (auto text = text_of(inner, "type", kMaxWord); !text.empty()) error.type = std::move(text);
  error.param = text_of(inner, "param", kMaxWord);
  error.code = text_of(inner, "code", kMaxWord);
  return fault;
}

}  // namespace kvasir::gateway
