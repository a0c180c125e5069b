#include "gateway/upstream_connection.hpp"

#include <utility>

#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <sys/socket.h>

namespace kvasir::gateway {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;

}  // namespace

// The system's resolver cannot be interrupted: what it finds too late is left to itself.
struct UpstreamConnection::NameLookup {
  explicit NameLookup(Executor executor) : resolver(executor), done(executor) {}
  asio::ip::basic_resolver<Tcp, Executor> resolver;
  Timer done;
  bool found = false;
  ErrorCode error;
  asio::ip::basic_resolver_results<Tcp> endpoints;
};

UpstreamConnection::UpstreamConnection(Executor executor, const UpstreamUrl& url, asio::ssl::context& tls) {
  if (url.tls) {
    tls_.emplace(TcpStream(executor), tls);
  } else {
    plain_.emplace(executor);
  }
}

Task<ErrorCode> UpstreamConnection::connect(const UpstreamUrl& url, std::chrono::milliseconds timeout) {
  ErrorCode not_numeric;
  const auto address = asio::ip::make_address(url.host, not_numeric);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  tcp().expires_at(deadline);
  if (!not_numeric) {
    const Tcp::endpoint endpoint(address, static_cast<std::uint16_t>(std::stoul(url.port)));
    const auto [error] = co_await tcp().async_connect(endpoint, use_tuple);
    if (error) co_return error;
  } else {
    lookup_ = std::make_shared<NameLookup>(tcp().get_executor());
    lookup_->done.expires_at(deadline);
    lookup_->resolver.async_resolve(url.host, url.port, [lookup = lookup_](ErrorCode error, auto endpoints) {
      lookup->found = true;
      lookup->error = error;
      lookup->endpoints = std::move(endpoints);
      lookup->done.cancel();
    });
    co_await lookup_->done.async_wait(use_tuple);
    const auto lookup = std::exchange(lookup_, nullptr);
    if (closed_) co_return asio::error::operation_aborted;
    if (!lookup->found) co_return beast::error::timeout;
    if (lookup->error) co_return lookup->error;
    const auto& endpoints = lookup->endpoints;
    const auto [error, endpoint] = co_await tcp().async_connect(endpoints, use_tuple);
    if (error) co_return error;
  }
  if (closed_) co_return asio::error::operation_aborted;
  ErrorCode ignored;
  tcp().socket().set_option(Tcp::no_delay(true), ignored);
  if (!tls_) co_return ErrorCode{};
  if (not_numeric) SSL_set_tlsext_host_name(tls_->native_handle(), url.host.c_str());
  tls_->set_verify_callback(asio::ssl::host_name_verification(url.host), ignored);
  const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::client, use_tuple);
  co_return error;
}

Task<ErrorCode> UpstreamConnection::write(std::string_view data, std::chrono::milliseconds timeout) {
  tcp().expires_after(timeout);
  if (tls_) {
    const auto [error, count] = co_await asio::async_write(*tls_, asio::buffer(data), use_tuple);
    co_return error;
  }
  const auto [error, count] = co_await asio::async_write(*plain_, asio::buffer(data), use_tuple);
  co_return error;
}

Task<ErrorCode> UpstreamConnection::read(std::chrono::milliseconds timeout) {
  tcp().expires_after(timeout);
  const auto space = buffer_.prepare(kReadBytes);
  if (tls_) {
    const auto [error, count] = co_await tls_->async_read_some(space, use_tuple);
    buffer_.commit(count);
    co_return error;
  }
  const auto [error, count] = co_await plain_->async_read_some(space, use_tuple);
  buffer_.commit(count);
  co_return error;
}

bool UpstreamConnection::still_idle() {
  if (buffer_.size() > 0 || !tcp().socket().is_open()) return false;
  char byte = 0;
  const auto got = ::recv(tcp().socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  // TLS 1.3 servers send session tickets on an idle connection; those bytes are no reason to reconnect.
  return tls_ ? got != 0 : got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void UpstreamConnection::close() {
  closed_ = true;
  if (lookup_) lookup_->done.cancel();
  tcp().close();
}

}  // namespace kvasir::gateway
