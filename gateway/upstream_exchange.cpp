#include "gateway/upstream_exchange.hpp"

#include <boost/beast/core/error.hpp>
#include <boost/beast/core/string.hpp>

namespace kvasir::gateway {
namespace {

namespace http = beast::http;

constexpr std::uint32_t kMaxHead = 32 << 10;
constexpr std::uint64_t kMaxBody = 64 << 20;
constexpr std::uint64_t kMaxErrorBody = 1 << 20;
constexpr int kMaxInterim = 8;

bool same(std::string_view a, std::string_view b) {
  return beast::iequals(beast::string_view(a.data(), a.size()), beast::string_view(b.data(), b.size()));
}

std::string_view what_is_wrong(const ErrorCode& error) {
  if (error == http::error::body_limit) return "an answer that is too large";
  if (error == http::error::header_limit) return "headers that are too large";
  if (error == http::error::partial_message || error == asio::error::eof) return "half an answer";
  if (error == asio::error::connection_reset) return "half an answer";
  return "something that is not HTTP";
}

}  // namespace

bool UpstreamExchange::is_stream() const {
  constexpr std::string_view kType = "text/event-stream";
  return same(header("content-type").substr(0, kType.size()), kType);
}

// Parses what the connection has read. That more is needed is no error.
ErrorCode UpstreamExchange::put() {
  beast::flat_buffer& buffer = call_->connection->buffer();
  ErrorCode error;
  if (buffer.size() > 0) buffer.consume(parser_->put(buffer.data(), error));
  return error == http::error::need_more ? ErrorCode{} : error;
}

Task<std::optional<UpstreamFault>> UpstreamExchange::ask(std::string_view head, std::string_view body,
                                                         Clock::time_point deadline) {
  UpstreamConnection& connection = *call_->connection;
  connection.expires_at(deadline);
  // A server may refuse a request before it has read it all: that the rest could not be written is no reason not to
  // look at what it says.
  const ErrorCode unwritten = co_await connection.write(head, body);
  ErrorCode error;
  bool heard = false;
  for (int interim = 0; interim <= kMaxInterim && !error; ++interim) {
    parser_.emplace();
    parser_->header_limit(kMaxHead);
    parser_->body_limit(kMaxBody);
    parser_->eager(true);
    error = put();
    while (!error && !parser_->is_header_done()) {
      error = co_await connection.read();
      if (error) break;
      heard = true;
      error = put();
    }
    if (error || status() >= 200 || status() == 101) break;
  }
  if (call_->cancelled) co_return cancelled();
  if (error == beast::error::timeout) co_return too_slow("first byte of an answer");
  if (error && !heard) co_return connection_reset((unwritten ? unwritten : error).message());
  if (error) co_return bad_answer(what_is_wrong(error));
  if (status() < 200) co_return bad_answer("interim answers only");
  const std::string_view encoding = header("content-encoding");
  if (!encoding.empty() && !same(encoding, "identity")) {
    co_return bad_answer("an answer in an encoding that nobody has asked for");
  }
  co_return std::nullopt;
}

Task<std::optional<UpstreamFault>> UpstreamExchange::read_some(Clock::time_point deadline) {
  call_->connection->expires_at(deadline);
  ErrorCode error = co_await call_->connection->read();
  if (call_->cancelled) co_return cancelled();
  if (error == beast::error::timeout) co_return too_slow("rest of an answer");
  if (error == asio::error::eof) {
    error = {};
    parser_->put_eof(error);  // the end of a body without a length
  } else if (!error) {
    error = put();
  }
  if (error) co_return bad_answer(what_is_wrong(error));
  co_return std::nullopt;
}

Task<std::optional<UpstreamFault>> UpstreamExchange::read_rest(std::chrono::milliseconds idle_timeout) {
  while (!done()) {
    auto fault = co_await read_some(Clock::now() + idle_timeout);
    if (fault) co_return fault;
    if (status() != 200 && bytes().size() > kMaxErrorBody) co_return bad_answer("an error without end");
  }
  co_return std::nullopt;
}

}  // namespace kvasir::gateway
