// One client connection: requests are read, handed to the handler one after the other, and answered in order
// (RFC 9112). Everything here runs on the connection's I/O thread.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/asio.hpp"
#include "gateway/http_message.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

namespace kvasir::gateway {

struct HttpLimits {
  std::uint64_t max_body_bytes = 32ULL << 20;
  std::uint32_t max_header_bytes = 32U << 10;
  std::chrono::milliseconds header_timeout{30'000};
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds write_timeout{60'000};
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
};

// What the connections of one listener on one thread share.
struct ConnectionGroup {
  HttpHandler* handler = nullptr;
  HttpLimits limits;
  std::set<HttpConnection*> open;
  std::atomic<int>* requests_running = nullptr;
  const std::atomic<bool>* closing = nullptr;  // true: no request after the current one
};

class HttpConnection final : public HttpExchange, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(Socket socket, ConnectionGroup& group);
  ~HttpConnection() override;

  // Serves until the client or the server ends the connection. The caller keeps this object alive meanwhile.
  Task<void> run();
  // Ends the connection if no request is being answered.
  void close_if_idle();

  HttpRequest& request() override { return request_; }
  Executor executor() override { return stream_.get_executor(); }
  Task<bool> send(HttpResponse response) override;
  Task<bool> begin_stream(std::string headers, std::string_view content_type) override;
  Task<bool> write(std::string data) override;
  Task<bool> end_stream() override;
  Task<void> abort() override;
  void watch(std::function<void()> hang_up) override;
  void stop_watching() override;

 private:
  enum class Read { request, closed, refused };
  using Message = beast::http::request<beast::http::string_body>;

  Task<bool> handle();
  Task<Read> read_request();
  Task<bool> read_more(std::chrono::milliseconds timeout, std::size_t bytes);
  Task<Read> refuse(ApiError error);
  Task<std::optional<Read>> refuse_head(const Message& message, bool ambiguous_end);
  std::size_t write_now(std::string_view head, std::string_view body);
  Task<bool> write_all(std::string head, std::string body);
  Task<void> linger_close();
  void start_response(std::string& out, int status, std::string_view content_type, bool close);
  void wait_for_hang_up();

  TcpStream stream_;
  ConnectionGroup* group_;
  beast::flat_buffer buffer_;
  HttpRequest request_;
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool busy_ = false;
  bool broken_ = false;
  bool answered_ = false;
  std::function<void()> hang_up_;
  asio::cancellation_signal stop_watch_;
};

}  // namespace kvasir::gateway
