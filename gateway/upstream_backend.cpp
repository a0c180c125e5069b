#include "gateway/upstream_backend.hpp"

#include "gateway/http_message.hpp"
#include "gateway/json_text.hpp"
#include "gateway/openai_request.hpp"
#include "gateway/sse_parser.hpp"
#include "gateway/upstream_answer.hpp"

#include <algorithm>
#include <charconv>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace kvasir::gateway {
namespace {

namespace http = beast::http;
using ResponseParser = http::response_parser<http::string_body>;

constexpr std::uint64_t kMaxBody = 256ULL << 20;
constexpr std::size_t kMaxIdle = 64;  // connections an I/O thread keeps per upstream

bool timed_out(const ErrorCode& error) {
  return error == beast::error::timeout;
}

int seconds_of(std::string_view retry_after) {
  int seconds = 0;
  std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), seconds);
  return std::max(seconds, 0);
}

}  // namespace

struct UpstreamBackend::Call {
  BackendCall call;
  std::shared_ptr<Flight> flight;
  Executor executor;
  std::unique_ptr<UpstreamConnection> connection;
  bool cancelled = false;
};

// The head of a response, and what of its body came with it.
struct UpstreamBackend::Head {
  std::optional<ResponseParser> parser;

  int status() const { return parser->get().result_int(); }
  bool is_stream() const {
    return std::string_view(parser->get()[http::field::content_type]).starts_with("text/event-stream");
  }
  // Parses what the connection has read. need_more is not an error.
  ErrorCode put(beast::flat_buffer& buffer) {
    ErrorCode error;
    if (buffer.size() > 0) buffer.consume(parser->put(buffer.data(), error));
    return error == http::error::need_more ? ErrorCode{} : error;
  }
  // The server closed: the end of a body without length, otherwise an error.
  ErrorCode put_eof() {
    ErrorCode error;
    parser->put_eof(error);
    return error;
  }
};

std::unique_ptr<UpstreamBackend> UpstreamBackend::make(const std::string& name, const UpstreamSettings& settings,
                                                       std::string& error) {
  auto url = UpstreamUrl::parse(settings.base_url);
  if (!url) {
    error = "model " + name + ": base_url is not of the form http://HOST:PORT/v1";
    return nullptr;
  }
  auto backend = std::unique_ptr<UpstreamBackend>(new UpstreamBackend(settings, std::move(*url)));
  if (backend->settings_.model.empty()) backend->settings_.model = name;
  return backend;
}

UpstreamBackend::UpstreamBackend(UpstreamSettings settings, UpstreamUrl url)
    : settings_(std::move(settings)), url_(std::move(url)), tls_(asio::ssl::context::tls_client) {
  ErrorCode ignored;
  tls_.set_default_verify_paths(ignored);
  tls_.set_verify_mode(asio::ssl::verify_peer, ignored);
  tls_.set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, ignored);
}

// Documents are written into the messages' text; parts that are not text cannot be written anew.
std::optional<ApiError> UpstreamBackend::check(const ChatRequest& request) const {
  if (request.documents.empty() || request.text_only) return std::nullopt;
  return ApiError::invalid("'documents' cannot be combined with messages that are more than plain text.", "documents");
}

void UpstreamBackend::start(BackendCall call, std::shared_ptr<Flight> flight, Executor executor) {
  auto shared = std::make_shared<Call>(Call{std::move(call), flight, executor, nullptr, false});
  // Only the coroutine owns the call: its connection must end with the I/O thread that it lives on.
  flight->on_cancel([weak = std::weak_ptr(shared), executor, closed = closed_] {
    if (closed->load()) return;
    asio::post(executor, [weak] {
      const auto cancelled = weak.lock();
      if (!cancelled) return;
      cancelled->cancelled = true;
      if (cancelled->connection) cancelled->connection->close();
    });
  });
  asio::co_spawn(executor, run(std::move(shared)), asio::detached);
}

Task<void> UpstreamBackend::run(std::shared_ptr<Call> call) {
  Head head;
  const std::string request = request_text(*call);
  const ErrorCode error = co_await exchange(*call, request, head);
  if (call->cancelled) co_return;
  if (error) {
    const bool slow = timed_out(error);
    call->flight->fail(upstream_unreachable(slow, error.message()));
  } else if (head.status() == 200 && head.is_stream()) {
    co_await read_stream(*call, head);
  } else {
    co_await read_body(*call, head);
  }
}

// Sends the request and reads the answer's head. A kept connection that turns out to be dead before its first byte is
// replaced once.
Task<ErrorCode> UpstreamBackend::exchange(Call& call, const std::string& request, Head& head) {
  ErrorCode error;
  for (int attempt = 0; attempt < 2 && !call.cancelled; ++attempt) {
    call.connection = attempt == 0 ? take_idle(call.executor) : nullptr;
    const bool kept = call.connection != nullptr;
    if (!kept) {
      call.connection = std::make_unique<UpstreamConnection>(call.executor, url_, tls_);
      error = co_await call.connection->connect(url_, settings_.timeout);
      if (error) co_return error;
    }
    if (call.cancelled) co_return asio::error::operation_aborted;
    head.parser.emplace();
    head.parser->body_limit(kMaxBody);
    head.parser->eager(true);
    error = co_await call.connection->write(request, settings_.timeout);
    bool first_byte = false;
    while (!error && !head.parser->is_header_done()) {
      error = co_await call.connection->read(settings_.timeout);
      if (error) break;
      first_byte = true;
      error = head.put(call.connection->buffer());
    }
    if (!error || !kept || first_byte || timed_out(error)) break;
  }
  co_return error;
}

Task<void> UpstreamBackend::read_body(Call& call, Head& head) {
  ErrorCode error;
  while (!error && !head.parser->is_done()) {
    error = co_await call.connection->read(settings_.timeout);
    if (error == asio::error::eof) error = head.put_eof();
    if (!error) error = head.put(call.connection->buffer());
  }
  if (call.cancelled) co_return;
  if (error) {
    const bool slow = timed_out(error);
    call.flight->fail(slow ? upstream_unreachable(true, "") : bad_upstream_answer("half an answer"));
    co_return;
  }
  const int status = head.status();
  const int retry_after = seconds_of(head.parser->get()[http::field::retry_after]);
  const bool keep_alive = head.parser->keep_alive();
  std::string body = std::move(head.parser->get().body());
  if (keep_alive) give_back(call.executor, std::move(call.connection));
  if (status != 200) {
    call.flight->fail(upstream_error(status, body, retry_after));
    co_return;
  }
  auto result = read_completion(std::move(body));
  if (!result) {
    call.flight->fail(std::move(result.error()));
  } else {
    call.flight->finish(std::move(*result));
  }
}

Task<void> UpstreamBackend::read_stream(Call& call, Head& head) {
  SseParser events;
  StreamAssembler assembler;
  ErrorCode error;
  while (true) {
    std::string& body = head.parser->get().body();
    events.push(body);
    body.clear();
    while (auto data = events.next()) {
      if (*data == "[DONE]") {
        if (assembler.finished()) {
          call.flight->finish(assembler.take());
          co_await finish_stream(call, head);
        } else {
          call.flight->fail(bad_upstream_answer("a stream without a finish reason"));
        }
        co_return;
      }
      auto delta = assembler.push(std::move(*data));
      if (!delta) {
        call.flight->fail(std::move(delta.error()));
        co_return;
      }
      call.flight->push(std::move(*delta));
    }
    if (head.parser->is_done() || error || events.overflowed()) break;
    error = co_await call.connection->read(settings_.timeout);
    if (call.cancelled) co_return;
    if (error == asio::error::eof) error = head.put_eof();
    if (!error) error = head.put(call.connection->buffer());
  }
  if (!error && head.parser->is_done() && assembler.finished()) {
    call.flight->finish(assembler.take());
    co_return;
  }
  const bool slow = timed_out(error);
  call.flight->fail(slow ? upstream_unreachable(true, "") : bad_upstream_answer("a stream that broke off"));
}

// After [DONE] the body's end is all that is missing before the connection can serve again.
Task<void> UpstreamBackend::finish_stream(Call& call, Head& head) {
  ErrorCode error;
  while (!error && !head.parser->is_done()) {
    error = co_await call.connection->read(std::chrono::milliseconds(1000));
    if (!error) error = head.put(call.connection->buffer());
  }
  if (!error && head.parser->keep_alive()) give_back(call.executor, std::move(call.connection));
}

std::string UpstreamBackend::request_text(const Call& call) const {
  const std::string body = upstream_body(*call.call.request, call.call.prompt, settings_.model);
  std::string text = "POST " + url_.path + "/chat/completions HTTP/1.1\r\n";
  text.reserve(body.size() + 512);
  append_header(text, "host", url_.authority());
  append_header(text, "content-type", "application/json");
  append_header(text, "accept", call.call.request->stream ? "text/event-stream" : "application/json");
  append_header(text, "user-agent", "kvasir/" KVASIR_VERSION);
  append_header(text, "x-request-id", call.call.request_id);
  if (!call.call.traceparent.empty()) append_header(text, "traceparent", call.call.traceparent);
  if (!settings_.api_key.empty()) append_header(text, "authorization", "Bearer " + settings_.api_key);
  text += "content-length: ";
  append_number(text, body.size());
  text += "\r\n\r\n";
  return text += body;
}

std::unique_ptr<UpstreamConnection> UpstreamBackend::take_idle(Executor executor) {
  const std::lock_guard lock(mutex_);
  auto& idle = idle_[&executor.context()];
  while (!idle.empty()) {
    auto connection = std::move(idle.back());
    idle.pop_back();
    if (connection->still_idle()) return connection;
  }
  return nullptr;
}

void UpstreamBackend::give_back(Executor executor, std::unique_ptr<UpstreamConnection> connection) {
  const std::lock_guard lock(mutex_);
  auto& idle = idle_[&executor.context()];
  if (!closed_->load() && idle.size() < kMaxIdle) idle.push_back(std::move(connection));
}

void UpstreamBackend::close() {
  const std::lock_guard lock(mutex_);
  closed_->store(true);
  idle_.clear();
}

}  // namespace kvasir::gateway
