#include "gateway/http_connection.hpp"

#include "gateway/chunked_body.hpp"
#include "gateway/content_coding.hpp"
#include "gateway/http_errors.hpp"
#include "gateway/json_text.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::gateway {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kHeaderRead = 8 << 10;
constexpr std::size_t kBodyRead = 128 << 10;
// A body's string is not made larger than this before the bytes are there.
constexpr std::uint64_t kBodyReserve = 1 << 20;
// JSON is parsed where it lies, by readers that look this far beyond its end.
constexpr std::size_t kBodyPadding = 64;
constexpr std::size_t kIdleBuffer = 16 << 10;

HttpRequest request_of(HttpHead& head) {
  HttpRequest request;
  request.method = std::move(head.method);
  request.path = std::move(head.path);
  request.query = std::move(head.query);
  request.host = std::move(head.host);
  request.authorization = head.fields.first("authorization");
  request.origin = head.fields.first("origin");
  request.traceparent = head.fields.first("traceparent");
  request.cache_control = head.fields.joined("cache-control");
  const std::string_view id = head.fields.first("x-request-id");
  request.id = sane_request_id(id) ? std::string(id) : random_id("req-");
  request.has_body = head.has_body();
  request.fields = std::move(head.fields);
  return request;
}

HttpResponse response_of(const ApiError& error) {
  return {error.status, error.body(), "", "application/json", true};
}

}  // namespace

HttpConnection::HttpConnection(Socket socket, const std::shared_ptr<asio::ssl::context>& tls, ConnectionGroup& group)
    : transport_(std::move(socket), tls), group_(&group), first_read_(kHeaderRead) {
  group_->open.insert(this);
}

HttpConnection::~HttpConnection() {
  set_busy(false);
  group_->open.erase(this);
}

Task<void> HttpConnection::run() {
  const bool secure = co_await transport_.handshake(SteadyClock::now() + group_->limits.header_timeout);
  if (secure) {
    co_await serve();
  } else {
    ++group_->counters->failed_handshakes;
  }
  transport_.close();
}

Task<void> HttpConnection::serve() {
  while (keep_alive_ && !broken_) {
    set_busy(buffer_.size() > 0);
    const Read read = co_await read_request();
    if (read != Read::request) break;
    // Who waits for the next request holds no large buffer.
    if (buffer_.size() == 0 && buffer_.capacity() > kIdleBuffer) buffer_ = beast::flat_buffer{};
    begun_ = answered_ = false;
    const bool handled = co_await handle();
    if (!handled && !answered_) broken_ = true;
    if (!answered_ || group_->closing->load(std::memory_order_relaxed)) keep_alive_ = false;
    request_ = HttpRequest{};
  }
  set_busy(false);
  if (!broken_) co_await transport_.linger();
}

// An exception here is a bug or exhausted memory: this client's connection ends, the others' go on.
Task<bool> HttpConnection::handle() {
  bool failed = false;
  try {
    co_await group_->handler->handle(*this);
  } catch (const std::exception&) {
    failed = true;
  }
  transport_.stop_watching();
  if (!failed) co_return true;
  if (begun_) co_return false;
  HttpResponse apology = response_of(ApiError::internal());
  co_return co_await send(std::move(apology));
}

void HttpConnection::close_if_idle() {
  if (transport_.readable()) set_busy(true);  // a request's first bytes, on their way up
  if (!busy_) transport_.cancel();
}

void HttpConnection::set_busy(bool busy) {
  if (busy == std::exchange(busy_, busy)) return;
  group_->requests_running->fetch_add(busy ? 1 : -1, std::memory_order_release);
}

Task<HttpConnection::Read> HttpConnection::read_request() {
  if (buffer_.size() == 0) {
    const auto arrival =
        co_await transport_.read(buffer_, first_read_, SteadyClock::now() + group_->limits.idle_timeout);
    if (arrival != Transport::Arrival::bytes) co_return Read::closed;
    set_busy(true);
    // Who sends more than that is likely to do so again; another read costs more than the room.
    if (buffer_.size() == first_read_) first_read_ = kIdleBuffer;
  }
  common_headers_.clear();
  HttpHead head;
  const Read head_read = co_await read_head(head);
  if (head_read != Read::request) co_return head_read;
  keep_alive_ = head.keep_alive;
  http_1_0_ = head.http_1_0;
  request_ = request_of(head);
  common_headers_ = group_->handler->common_headers(request_);
  if (auto refusal = refuse_head(head)) co_return co_await refuse(std::move(*refusal));
  co_return co_await read_body(head);
}

Task<HttpConnection::Read> HttpConnection::read_head(HttpHead& head) {
  HttpHeadParser parser(group_->limits.max_header_bytes);
  const SteadyTime deadline = SteadyClock::now() + group_->limits.header_timeout;
  while (true) {
    buffer_.consume(parser.put(buffered()));
    if (parser.state() == HttpHeadParser::State::done) break;
    if (parser.state() == HttpHeadParser::State::failed) co_return co_await refuse(parser.error());
    const Read more = co_await read_more(kHeaderRead, deadline);
    if (more != Read::request) co_return more;
  }
  head = parser.release();
  co_return Read::request;
}

// Before a body is read: nobody fills this server's memory without a key.
std::optional<HttpResponse> HttpConnection::refuse_head(const HttpHead& head) {
  if (auto refusal = group_->handler->refuse_early(request_)) return refusal;
  if (head.content_length > group_->limits.max_body_bytes) {
    ++group_->counters->bad_requests;
    return response_of(http_errors::body_too_large());
  }
  const auto coding = parse_content_coding(request_.fields.joined("content-encoding"));
  if (coding) return std::nullopt;
  ++group_->counters->bad_requests;
  HttpResponse response = response_of(coding.error());
  append_header(response.headers, "accept-encoding", "gzip");
  return response;
}

Task<HttpConnection::Read> HttpConnection::read_body(const HttpHead& head) {
  if (!head.has_body()) co_return Read::request;
  if (head.expects_continue && buffer_.size() == 0) {
    const bool sent = co_await write_all("HTTP/1.1 100 Continue\r\n\r\n", "");
    if (!sent) co_return Read::closed;
  }
  Read read = Read::closed;
  if (head.chunked) {
    read = co_await read_chunks();
  } else {
    read = co_await read_length(head.content_length);
  }
  if (read != Read::request) co_return read;
  const auto coding = parse_content_coding(request_.fields.joined("content-encoding"));
  if (!coding || *coding == ContentCoding::identity) co_return read;
  auto plain = gunzip(request_.body, group_->limits.max_body_bytes);
  if (!plain) co_return co_await refuse(plain.error());
  request_.body = std::move(*plain);
  co_return read;
}

Task<HttpConnection::Read> HttpConnection::read_length(std::uint64_t length) {
  const SteadyTime begin = SteadyClock::now();
  std::string& body = request_.body;
  body.reserve(static_cast<std::size_t>(std::min(length, kBodyReserve)) + kBodyPadding);
  const auto known = static_cast<std::size_t>(std::min<std::uint64_t>(length, buffer_.size()));
  body = buffered().substr(0, known);
  buffer_.consume(known);
  std::size_t filled = known;
  while (filled < length) {
    // Made larger seldom, or a client that sends byte by byte would have us clear memory all the time.
    if (body.size() - filled < kBodyRead / 2) body.resize(std::min<std::size_t>(length, filled + kBodyRead));
    std::size_t count = 0;
    const SteadyTime deadline = transfer_deadline(begin, group_->limits.body_timeout, filled);
    const auto arrival = co_await transport_.read(body.data() + filled, body.size() - filled, count, deadline);
    const Read more = co_await read_on(arrival);
    if (more != Read::request) co_return more;
    filled += count;
  }
  co_return Read::request;
}

Task<HttpConnection::Read> HttpConnection::read_chunks() {
  const SteadyTime begin = SteadyClock::now();
  ChunkedBody chunks(group_->limits.max_body_bytes, group_->limits.max_header_bytes);
  while (true) {
    buffer_.consume(chunks.put(buffered(), request_.body));
    if (chunks.state() == ChunkedBody::State::done) co_return Read::request;
    if (!chunks.reading()) co_return co_await refuse(chunks.error());
    const Read more =
        co_await read_more(kBodyRead, transfer_deadline(begin, group_->limits.body_timeout, request_.body.size()));
    if (more != Read::request) co_return more;
  }
}

Task<HttpConnection::Read> HttpConnection::read_more(std::size_t most, SteadyTime deadline) {
  const auto arrival = co_await transport_.read(buffer_, most, deadline);
  co_return co_await read_on(arrival);
}

Task<HttpConnection::Read> HttpConnection::read_on(Transport::Arrival arrival) {
  if (arrival == Transport::Arrival::bytes) co_return Read::request;
  if (arrival == Transport::Arrival::expired) co_return co_await refuse(http_errors::timed_out());
  broken_ = true;
  co_return Read::closed;
}

std::string_view HttpConnection::buffered() const {
  const auto bytes = buffer_.data();
  return {static_cast<const char*>(bytes.data()), bytes.size()};
}

// The bytes that follow cannot be trusted: one answer, then the end.
Task<HttpConnection::Read> HttpConnection::refuse(const ApiError& error) {
  ++group_->counters->bad_requests;
  return refuse(response_of(error));
}

Task<HttpConnection::Read> HttpConnection::refuse(HttpResponse response) {
  if (request_.id.empty()) request_.id = random_id("req-");
  response.close = true;
  co_await send(std::move(response));
  co_return Read::refused;
}

void HttpConnection::start_response(std::string& out, int status, std::string_view content_type, bool close) {
  if (close || group_->closing->load(std::memory_order_relaxed)) keep_alive_ = false;
  out += "HTTP/1.1 ";
  append_number(out, status);
  out.append(" ").append(status_text(status)).append("\r\n");
  append_date(out);
  if (status != 204) out.append("content-type: ").append(content_type).append("\r\n");
  out.append("x-request-id: ").append(request_.id).append("\r\n").append(common_headers_);
  if (!keep_alive_) {
    out += "connection: close\r\n";
  } else if (http_1_0_) {
    out += "connection: keep-alive\r\n";
  }
}

Task<bool> HttpConnection::send(HttpResponse response) {
  std::string head;
  head.reserve(320 + response.headers.size());
  start_response(head, response.status, response.content_type, response.close);
  head += response.headers;
  if (response.status != 204) {
    head += "content-length: ";
    append_number(head, response.body.size());
    head += "\r\n";
  }
  head += "\r\n";
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

Task<bool> HttpConnection::write_all(std::string head, std::string body) {
  if (broken_) co_return false;
  begun_ = true;
  const bool sent = co_await transport_.write(std::move(head), std::move(body), group_->limits.write_timeout);
  if (!sent) broken_ = true;
  co_return sent;
}

Task<void> HttpConnection::abort() {
  co_await transport_.reset();
  broken_ = true;
}

void HttpConnection::watch(std::function<void()> hang_up) {
  if (buffer_.size() > 0) return;
  transport_.watch(buffer_, first_read_, shared_from_this(), [this, hang_up = std::move(hang_up)] {
    broken_ = true;
    hang_up();
  });
}

}  // namespace kvasir::gateway
