// One client connection: requests are read, handed to the handler one after the other, and answered in order
// (RFC 9112). Everything here runs on the connection's I/O thread.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/asio.hpp"
#include "gateway/connection_limit.hpp"
#include "gateway/http_head.hpp"
#include "gateway/http_message.hpp"
#include "gateway/transport.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <boost/beast/core/flat_buffer.hpp>

namespace kvasir::gateway {

struct HttpLimits {
  std::uint64_t max_body_bytes = 32ULL << 20;  // also of a compressed body's content
  std::uint32_t max_header_bytes = 32U << 10;
  std::chrono::milliseconds header_timeout{30'000};
  std::chrono::milliseconds body_timeout{60'000};  // and longer while it arrives: transfer_deadline()
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds write_timeout{60'000};  // likewise
  std::size_t max_connections = 10'000;
  std::size_t max_connections_per_address = 1'000;  // 0: no limit
};

class HttpConnection;

// Answers one request: exactly one of send() and begin_stream() … end_stream() or abort().
// What returns false says that the client is gone; there is nobody left to answer then.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual HttpRequest& request() = 0;
  virtual Executor executor() = 0;

  virtual Task<bool> send(HttpResponse response) = 0;
  // 200 with a body of unknown length; `headers` as in HttpResponse.
  virtual Task<bool> begin_stream(std::string headers, std::string_view content_type) = 0;
  virtual Task<bool> write(std::string data) = 0;
  virtual Task<bool> end_stream() = 0;
  // Breaks the connection (RST) once the client's kernel has what was written, so that nobody takes a broken stream for
  // a whole one.
  virtual Task<void> abort() = 0;

  // Calls `hang_up` once if the client goes away before stop_watching(). Not seen while pipelined requests wait.
  virtual void watch(std::function<void()> hang_up) = 0;
  virtual void stop_watching() = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual Task<void> handle(HttpExchange& exchange) = 0;
  // Asked before a body is read: what to answer without it. `head` has no body.
  virtual std::optional<HttpResponse> refuse_early(const HttpRequest& /*head*/) { return std::nullopt; }
  // Header lines for every answer to this request, whatever it is.
  virtual std::string common_headers(const HttpRequest& /*head*/) { return {}; }
};

// What the connections of one listener on one thread share.
struct ConnectionGroup {
  HttpHandler* handler = nullptr;
  HttpLimits limits;
  std::set<HttpConnection*> open;
  std::atomic<int>* requests_running = nullptr;  // from their first bytes on
  const std::atomic<bool>* closing = nullptr;    // true: no request after the current one
  ConnectionCounters* counters = nullptr;
};

class HttpConnection final : public HttpExchange, public std::enable_shared_from_this<HttpConnection> {
 public:
  // `tls` null: plain.
  HttpConnection(Socket socket, const std::shared_ptr<asio::ssl::context>& tls, ConnectionGroup& group);
  ~HttpConnection() override;

  // Serves until the client or the server ends the connection. The caller keeps this object alive meanwhile.
  Task<void> run();
  // Ends the connection, unless a request is being read or answered.
  void close_if_idle();

  HttpRequest& request() override { return request_; }
  Executor executor() override { return transport_.executor(); }
  Task<bool> send(HttpResponse response) override;
  Task<bool> begin_stream(std::string headers, std::string_view content_type) override;
  Task<bool> write(std::string data) override;
  Task<bool> end_stream() override;
  Task<void> abort() override;
  void watch(std::function<void()> hang_up) override;
  void stop_watching() override { transport_.stop_watching(); }

 private:
  enum class Read { request, closed, refused };

  Task<void> serve();
  Task<bool> handle();
  Task<Read> read_request();
  Task<Read> read_head(HttpHead& head);
  Task<Read> read_body(const HttpHead& head);
  Task<Read> read_chunks();
  Task<Read> read_length(std::uint64_t length);
  // More bytes of a request into buffer_, or its end.
  Task<Read> read_more(std::size_t most, SteadyTime deadline);
  Task<Read> read_on(Transport::Arrival arrival);
  std::optional<HttpResponse> refuse_head(const HttpHead& head);
  Task<Read> refuse(const ApiError& error);
  Task<Read> refuse(HttpResponse response);
  void start_response(std::string& out, int status, std::string_view content_type, bool close);
  Task<bool> write_all(std::string head, std::string body);
  std::string_view buffered() const;
  void set_busy(bool busy);

  Transport transport_;
  ConnectionGroup* group_;
  beast::flat_buffer buffer_;
  std::size_t first_read_;  // of a request, in bytes
  HttpRequest request_;
  std::string common_headers_;
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool busy_ = false;  // from a request's first bytes to the end of its answer
  bool broken_ = false;
  bool begun_ = false;  // something of the answer was written
  bool answered_ = false;
};

}  // namespace kvasir::gateway
