// One connection to an upstream server, plain or TLS. Used on its executor's thread.
#pragma once

#include "gateway/asio.hpp"
#include "gateway/upstream_url.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>

namespace kvasir::gateway {

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
  // Ends what runs, a look-up of the name included.
  void close();

 private:
  struct NameLookup;
  TcpStream& tcp() { return tls_ ? tls_->next_layer() : *plain_; }

  std::optional<TcpStream> plain_;
  std::optional<asio::ssl::stream<TcpStream>> tls_;
  beast::flat_buffer buffer_;
  std::shared_ptr<NameLookup> lookup_;
  bool closed_ = false;
};

}  // namespace kvasir::gateway
