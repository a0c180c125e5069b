#include "gateway/http_connection.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>
#include <array>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace kvasir::gateway {
namespace {

namespace http = beast::http;
using RequestParser = http::request_parser<http::string_body>;

constexpr std::size_t kHeaderRead = 8 << 10;
constexpr std::size_t kBodyRead = 64 << 10;

ApiError ambiguous() {
  return ApiError::invalid("The HTTP request must say its body's length once: Content-Length, or chunked in HTTP/1.1.");
}

ApiError http_error(const ErrorCode& error) {
  if (error == http::error::body_limit) {
    return {413, "The body is larger than this server accepts.", "invalid_request_error", "", "body_too_large", 0};
  }
  if (error == http::error::header_limit) {
    return {431, "The headers are larger than this server accepts.", "invalid_request_error", "", "headers_too_large",
            0};
  }
  return ApiError::invalid("The HTTP request is malformed: " + error.message());
}

// A body whose end two servers could see in different places (RFC 9112, section 6.3).
template <bool IsRequest, typename Body>
bool ambiguous_length(const http::parser<IsRequest, Body>& parser) {
  const auto& message = parser.get();
  const auto codings = message.count(http::field::transfer_encoding);
  if (codings == 0) return false;
  return codings > 1 || message.version() < 11 || message.count(http::field::content_length) > 0 ||
         !beast::iequals(message[http::field::transfer_encoding], "chunked");
}

// Path and query of a target in origin form or absolute form (RFC 9112, section 3.2).
void split_target(std::string_view target, HttpRequest& request) {
  if (const auto scheme = target.find("://"); scheme != std::string_view::npos && target.front() != '/') {
    const auto path = target.find('/', scheme + 3);
    target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
  }
  const auto question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  request.query = target.substr(std::min(question + 1, target.size()));
}

// All but the body.
HttpRequest head_of(const http::request<http::string_body>& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  split_target(message.target(), request);
  request.authorization = std::string(message[http::field::authorization]);
  request.host = std::string(message[http::field::host]);
  request.origin = std::string(message[http::field::origin]);
  request.traceparent = std::string(message["traceparent"]);
  const auto [first, last] = message.equal_range(http::field::cache_control);
  for (auto line = first; line != last; ++line) {
    if (!request.cache_control.empty()) request.cache_control += ", ";
    request.cache_control += line->value();
  }
  const std::string_view id = message["x-request-id"];
  request.id = sane_request_id(id) ? std::string(id) : random_id("req-");
  return request;
}

}  // namespace

HttpConnection::HttpConnection(Socket socket, ConnectionGroup& group) : stream_(std::move(socket)), group_(&group) {
  group_->open.insert(this);
}

HttpConnection::~HttpConnection() {
  group_->open.erase(this);
}

Task<void> HttpConnection::run() {
  while (keep_alive_ && !broken_) {
    const Read read = co_await read_request();
    if (read != Read::request) break;
    busy_ = true;
    answered_ = false;
    group_->requests_running->fetch_add(1, std::memory_order_relaxed);
    const bool handled = co_await handle();
    stop_watching();
    if (!handled && !answered_) broken_ = true;
    busy_ = false;
    group_->requests_running->fetch_sub(1, std::memory_order_release);
    if (!answered_ || group_->closing->load(std::memory_order_relaxed)) keep_alive_ = false;
  }
  if (!broken_) co_await linger_close();
}

// An exception here is a bug or exhausted memory: this client's connection ends, the others' go on.
Task<bool> HttpConnection::handle() {
  try {
    co_await group_->handler->handle(*this);
    co_return true;
  } catch (const std::exception&) {
    co_return false;
  }
}

void HttpConnection::close_if_idle() {
  if (!busy_) stream_.cancel();
}

Task<HttpConnection::Read> HttpConnection::read_request() {
  if (buffer_.size() == 0) {
    const bool got = co_await read_more(group_->limits.idle_timeout, kHeaderRead);
    if (!got) co_return Read::closed;
  }
  std::optional<RequestParser> parser;
  parser.emplace();
  parser->eager(true);
  parser->header_limit(group_->limits.max_header_bytes);
  parser->body_limit(group_->limits.max_body_bytes);
  const auto begin = std::chrono::steady_clock::now();
  bool continued = false;
  bool checked = false;
  while (true) {
    ErrorCode error;
    buffer_.consume(parser->put(buffer_.data(), error));
    if (error && error != http::error::need_more) co_return co_await refuse(http_error(error));
    if (parser->is_done()) break;
    const bool in_body = parser->is_header_done();
    if (in_body && !checked) {
      checked = true;
      if (const auto refused = co_await refuse_head(parser->get(), ambiguous_length(*parser))) co_return *refused;
    }
    // What the parser leaves unread is one line that does not end: of a chunk's head, or of the trailers.
    if (buffer_.size() > group_->limits.max_header_bytes + kBodyRead) {
      co_return co_await refuse(http_error(http::error::header_limit));
    }
    if (in_body && !continued && beast::iequals(parser->get()[http::field::expect], "100-continue")) {
      continued = true;
      if (!co_await write_all("HTTP/1.1 100 Continue\r\n\r\n", "")) co_return Read::closed;
    }
    const auto limit = in_body ? group_->limits.body_timeout : group_->limits.header_timeout;
    const auto left =
        limit - std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    if (left.count() <= 0 || !co_await read_more(left, in_body ? kBodyRead : kHeaderRead)) {
      broken_ = true;
      co_return Read::closed;
    }
  }
  keep_alive_ = parser->get().keep_alive();
  http_1_0_ = parser->get().version() < 11;
  if (!http_1_0_ && parser->get().count(http::field::host) != 1) {
    co_return co_await refuse(ApiError::invalid("The HTTP request needs exactly one Host header."));
  }
  if (ambiguous_length(*parser)) co_return co_await refuse(ambiguous());
  auto message = parser->release();
  request_ = head_of(message);
  request_.body = std::move(message.body());
  co_return Read::request;
}

// Before a body is read: nobody fills this server's memory without a key.
Task<std::optional<HttpConnection::Read>> HttpConnection::refuse_head(const Message& message, bool ambiguous_end) {
  if (ambiguous_end) co_return co_await refuse(ambiguous());
  HttpRequest head = head_of(message);
  auto refusal = group_->handler->refuse_early(head);
  if (!refusal) co_return std::nullopt;
  request_ = std::move(head);
  refusal->close = true;
  co_await send(std::move(*refusal));
  co_return Read::refused;
}

Task<bool> HttpConnection::read_more(std::chrono::milliseconds timeout, std::size_t bytes) {
  stream_.expires_after(timeout);
  const auto [error, count] = co_await stream_.async_read_some(buffer_.prepare(bytes), use_tuple);
  if (error) co_return false;
  buffer_.commit(count);
  co_return true;
}

// The bytes that follow cannot be trusted: one answer, then the end.
Task<HttpConnection::Read> HttpConnection::refuse(ApiError error) {
  request_ = HttpRequest{};
  request_.id = random_id("req-");
  HttpResponse response{error.status, error.body(), "", "application/json", true};
  co_await send(std::move(response));
  co_return Read::refused;
}

void HttpConnection::start_response(std::string& out, int status, std::string_view content_type, bool close) {
  if (close || group_->closing->load(std::memory_order_relaxed)) keep_alive_ = false;
  out += "HTTP/1.1 ";
  append_number(out, status);
  out.append(" ").append(status_text(status)).append("\r\ncontent-type: ").append(content_type);
  out.append("\r\nx-request-id: ").append(request_.id).append("\r\n");
  if (!keep_alive_) {
    out += "connection: close\r\n";
  } else if (http_1_0_) {
    out += "connection: keep-alive\r\n";
  }
}

Task<bool> HttpConnection::send(HttpResponse response) {
  std::string head;
  head.reserve(256 + response.headers.size());
  start_response(head, response.status, response.content_type, response.close);
  head += response.headers;
  head += "content-length: ";
  append_number(head, response.body.size());
  head += "\r\n\r\n";
  if (request_.method == "HEAD") response.body.clear();
  const bool sent = co_await write_all(std::move(head), std::move(response.body));
  answered_ = sent;
  co_return sent;
}

Task<bool> HttpConnection::begin_stream(std::string headers, std::string_view content_type) {
  std::string head;
  start_response(head, 200, content_type, http_1_0_);
  head += headers;
  if (!http_1_0_) head += "transfer-encoding: chunked\r\n";
  head += "\r\n";
  co_return co_await write_all(std::move(head), "");
}

Task<bool> HttpConnection::write(std::string data) {
  if (data.empty()) co_return !broken_;
  if (http_1_0_) co_return co_await write_all(std::move(data), "");
  char size[20];
  const auto end = std::to_chars(size, size + 16, data.size(), 16).ptr;
  std::string chunk_head(size, end);
  chunk_head += "\r\n";
  data += "\r\n";
  co_return co_await write_all(std::move(chunk_head), std::move(data));
}

Task<bool> HttpConnection::end_stream() {
  if (!http_1_0_) {
    const bool sent = co_await write_all("0\r\n\r\n", "");
    if (!sent) co_return false;
  }
  answered_ = true;
  co_return true;
}

// Most answers fit into the socket's buffer: then one system call does it and nothing is suspended.
std::size_t HttpConnection::write_now(std::string_view head, std::string_view body) {
  std::array<iovec, 2> parts{
      {{const_cast<char*>(head.data()), head.size()}, {const_cast<char*>(body.data()), body.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const auto sent = ::sendmsg(stream_.socket().native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

Task<bool> HttpConnection::write_all(std::string head, std::string body) {
  if (broken_) co_return false;
  const std::size_t sent = write_now(head, body);
  if (sent == head.size() + body.size()) co_return true;
  const std::size_t of_head = std::min(sent, head.size());
  const std::array<asio::const_buffer, 2> parts{asio::buffer(head) + of_head, asio::buffer(body) + (sent - of_head)};
  stream_.expires_after(group_->limits.write_timeout);
  const auto [error, count] = co_await asio::async_write(stream_, parts, use_tuple);
  if (error) broken_ = true;
  co_return !error;
}

Task<void> HttpConnection::abort() {
  stop_watching();
  Timer timer(stream_.get_executor());
  for (int round = 0; round < 100; ++round) {
    int unsent = 0;
    if (::ioctl(stream_.socket().native_handle(), SIOCOUTQ, &unsent) != 0 || unsent == 0) break;
    timer.expires_after(std::chrono::milliseconds(5));
    co_await timer.async_wait(use_tuple);
  }
  ErrorCode ignored;
  stream_.socket().set_option(asio::socket_base::linger(true, 0), ignored);
  stream_.socket().close(ignored);
  broken_ = true;
}

// Closing with unread bytes would reset the connection and could take our last answer with it.
Task<void> HttpConnection::linger_close() {
  ErrorCode ignored;
  stream_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < end) {
    buffer_.consume(buffer_.size());
    const bool more = co_await read_more(std::chrono::milliseconds(500), kBodyRead);
    if (!more) break;
  }
}

void HttpConnection::watch(std::function<void()> hang_up) {
  hang_up_ = std::move(hang_up);
  if (buffer_.size() == 0) wait_for_hang_up();
}

void HttpConnection::stop_watching() {
  if (!hang_up_) return;
  hang_up_ = nullptr;
  stop_watch_.emit(asio::cancellation_type::terminal);
}

void HttpConnection::wait_for_hang_up() {
  auto seen = [weak = weak_from_this()](const ErrorCode& error) {
    const auto self = weak.lock();
    if (error || !self || !self->hang_up_) return;
    char byte = 0;
    const auto got = ::recv(self->stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0) return;  // the next request of a pipeline
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return self->wait_for_hang_up();
    const auto hang_up = std::exchange(self->hang_up_, nullptr);
    self->broken_ = true;
    hang_up();
  };
  stream_.socket().async_wait(Socket::wait_read, asio::bind_cancellation_slot(stop_watch_.slot(), std::move(seen)));
}

}  // namespace kvasir::gateway
