// One connection to an upstream server or proxy, plain or TLS. Used on its executor's thread.
#pragma once

#include "gateway/read_ahead.hpp"
#include "gateway/tls_client.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>

namespace kvasir::gateway {

class UpstreamConnection {
 public:
  using Clock = std::chrono::steady_clock;

  // `open_connections` counts this one while it lives.
  UpstreamConnection(Executor executor, std::shared_ptr<std::atomic<int>> open_connections);
  ~UpstreamConnection();
  UpstreamConnection(const UpstreamConnection&) = delete;
  UpstreamConnection& operator=(const UpstreamConnection&) = delete;

  // Holds for all that follows: then what runs ends with beast::error::timeout, and the connection is closed.
  void expires_at(Clock::time_point deadline);

  // Tries one address after the other; each gets its share of the time that is left.
  Task<ErrorCode> connect(std::span<const asio::ip::address> addresses, std::uint16_t port);
  Task<ErrorCode> start_tls(TlsClient& client);
  // Both, without copying them together.
  Task<ErrorCode> write(std::string_view head, std::string_view body);
  // Appends to buffer(). At the end of the stream: asio::error::eof.
  Task<ErrorCode> read();
  beast::flat_buffer& buffer() { return wire_->buffer; }

  const asio::ip::address& address() const { return address_; }
  Clock::time_point opened() const { return opened_; }
  // From the end of an answer to the next read(): `on_end` is called once if the server closes the connection.
  void rest(std::function<void()> on_end);
  // True if the server has neither closed nor said anything since rest().
  bool still_idle() const { return ahead_.running(); }
  // Ends what runs.
  void close();

 private:
  struct Watch;

  ErrorCode outcome(const ErrorCode& error) const;

  // What a read that was begun early needs to its end.
  struct Wire {
    explicit Wire(Executor executor) : socket(executor) {}
    Socket socket;
    std::optional<asio::ssl::stream<Socket&>> tls;
    beast::flat_buffer buffer;
  };
  std::shared_ptr<Wire> wire_;
  ReadAhead ahead_;
  std::size_t read_size_;
  asio::ip::address address_;
  Clock::time_point opened_ = Clock::now();
  bool closed_ = false;
  std::shared_ptr<Watch> watch_;
  std::shared_ptr<std::atomic<int>> open_connections_;
};

}  // namespace kvasir::gateway
