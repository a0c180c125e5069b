#include "gateway/upstream_connection.hpp"

#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>

namespace kvasir::gateway {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;

}  // namespace

std::string UpstreamUrl::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + port;
}

std::optional<UpstreamUrl> UpstreamUrl::parse(std::string_view text) {
  UpstreamUrl url;
  if (text.starts_with("https://")) {
    url.tls = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  const auto slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash);
  url.path = text.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (authority.find('@') != std::string_view::npos) return std::nullopt;  // credentials belong into api_key
  url.port = url.tls ? "443" : "80";
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  if (has_port) {
    url.port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']')) authority = authority.substr(1, authority.size() - 2);
  url.host = authority;
  const bool digits = url.port.find_first_not_of("0123456789") == std::string::npos;
  if (url.host.empty() || url.port.empty() || !digits || url.port.size() > 5) return std::nullopt;
  return url;
}

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
  tcp().expires_after(timeout);
  if (!not_numeric) {
    const Tcp::endpoint endpoint(address, static_cast<std::uint16_t>(std::stoul(url.port)));
    const auto [error] = co_await tcp().async_connect(endpoint, use_tuple);
    if (error) co_return error;
  } else {
    asio::ip::basic_resolver<Tcp, Executor> resolver(tcp().get_executor());
    const auto [unknown, endpoints] = co_await resolver.async_resolve(url.host, url.port, use_tuple);
    if (unknown) co_return unknown;
    const auto [error, endpoint] = co_await tcp().async_connect(endpoints, use_tuple);
    if (error) co_return error;
  }
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
  tcp().close();
}

}  // namespace kvasir::gateway
