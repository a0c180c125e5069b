// One request and its answer on a connection (RFC 9112). Whatever the server sends is bounded.
#pragma once

#include "gateway/upstream_fault.hpp"
#include "gateway/upstream_server.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace kvasir::gateway {

// On the thread of the call's connection. `call` must outlive it.
class UpstreamExchange {
 public:
  using Clock = std::chrono::steady_clock;

  explicit UpstreamExchange(UpstreamCall& call) : call_(&call) {}

  // Sends the request and reads the head of the final answer; interim answers (1xx) are passed over.
  // FaultKind::reset: not a byte of an answer came.
  Task<std::optional<UpstreamFault>> ask(std::string_view head, std::string_view body, Clock::time_point deadline);

  // Of the answer, once ask() has succeeded.
  int status() const { return parser_->get().result_int(); }
  bool is_stream() const;
  std::string_view header(std::string_view name) const { return parser_->get()[name]; }
  // The body is there to its end.
  bool done() const { return parser_->is_done(); }
  // Done, and the connection can serve again.
  bool reusable() const { return done() && parser_->keep_alive(); }

  // What of the body has come and was not taken yet.
  std::string& bytes() { return parser_->get().body(); }
  Task<std::optional<UpstreamFault>> read_some(Clock::time_point deadline);
  // Until the next read, nothing is expected of the server.
  void expect_nothing() { call_->connection->expires_at(Clock::time_point::max()); }
  // All of it into bytes().
  Task<std::optional<UpstreamFault>> read_rest(std::chrono::milliseconds idle_timeout);

 private:
  ErrorCode put();

  UpstreamCall* call_;
  std::optional<beast::http::response_parser<beast::http::string_body>> parser_;
};

}  // namespace kvasir::gateway
