// One connection to an upstream server, plain or TLS. Used on its executor's thread.
#pragma once

#include "gateway/asio.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>

namespace kvasir::gateway {

struct UpstreamUrl {
  bool tls = false;
  std::string host;
  std::string port;
  std::string path;  // "/v1", or empty

  std::string authority() const;  // for the Host header
  static std::optional<UpstreamUrl> parse(std::string_view text);
};

class UpstreamConnection {
 public:
  // `tls` must outlive the connection; used only if the URL says https.
  UpstreamConnection(Executor executor, const UpstreamUrl& url, asio::ssl::context& tls);

  Task<ErrorCode> connect(const UpstreamUrl& url, std::chrono::milliseconds timeout);
  Task<ErrorCode> write(std::string_view data, std::chrono::milliseconds timeout);
  // Appends to buffer(). At the end of the stream: asio::error::eof.
  Task<ErrorCode> read(std::chrono::milliseconds timeout);
  beast::flat_buffer& buffer() { return buffer_; }

  // True if the server has neither closed nor said anything since the last answer.
  bool still_idle();
  void close();

 private:
  TcpStream& tcp() { return tls_ ? tls_->next_layer() : *plain_; }

  std::optional<TcpStream> plain_;
  std::optional<asio::ssl::stream<TcpStream>> tls_;
  beast::flat_buffer buffer_;
};

}  // namespace kvasir::gateway
