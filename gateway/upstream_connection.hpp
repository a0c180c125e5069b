// One connection to an upstream server or proxy, plain or TLS. Used on its executor's thread.
#pragma once

#include "gateway/asio.hpp"
#include "gateway/tls_client.hpp"

#include <atomic>
#include <chrono>
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
  beast::flat_buffer& buffer() { return buffer_; }

  const asio::ip::address& address() const { return address_; }
  Clock::time_point opened() const { return opened_; }
  // True if the server has neither closed nor said anything since the last answer.
  bool still_idle();
  // Ends what runs.
  void close();

 private:
  struct Watch;

  ErrorCode outcome(const ErrorCode& error) const;

  Socket socket_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
  beast::flat_buffer buffer_;
  std::size_t read_size_;
  asio::ip::address address_;
  Clock::time_point opened_ = Clock::now();
  bool closed_ = false;
  std::shared_ptr<Watch> watch_;
  std::shared_ptr<std::atomic<int>> open_connections_;
};

}  // namespace kvasir::gateway
