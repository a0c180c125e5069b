#include "gateway/upstream_connection.hpp"

#include "gateway/two_parts.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <sys/socket.h>

namespace kvasir::gateway {
namespace {

constexpr std::size_t kFirstRead = 16 << 10;
constexpr std::size_t kLargestRead = 64 << 10;

}  // namespace

// The deadline. A timer for every read would cost more than the read: this one stays as it was set, and looks when it
// goes off whether the deadline has moved on.
struct UpstreamConnection::Watch : std::enable_shared_from_this<Watch> {
  Watch(Executor executor, Socket& watched) : timer(executor), socket(&watched) {}

  void set(Clock::time_point moment) {
    deadline = moment;
    if (moment < armed_until) arm();
  }
  void arm() {
    armed_until = deadline;
    timer.expires_at(deadline);
    timer.async_wait([self = shared_from_this()](const ErrorCode& error) {
      if (error || self->socket == nullptr) return;
      self->armed_until = Clock::time_point::max();
      if (Clock::now() < self->deadline) return self->arm();
      self->expired = true;
      ErrorCode ignored;
      self->socket->close(ignored);
    });
  }

  Timer timer;
  Socket* socket;  // null once the connection is gone
  Clock::time_point deadline = Clock::time_point::max();
  Clock::time_point armed_until = Clock::time_point::max();
  bool expired = false;
};

UpstreamConnection::UpstreamConnection(Executor executor, std::shared_ptr<std::atomic<int>> open_connections)
    : socket_(executor),
      read_size_(kFirstRead),
      watch_(std::make_shared<Watch>(executor, socket_)),
      open_connections_(std::move(open_connections)) {
  open_connections_->fetch_add(1, std::memory_order_relaxed);
}

UpstreamConnection::~UpstreamConnection() {
  watch_->socket = nullptr;
  watch_->timer.cancel();
  // OpenSSL gives up the session of a connection that ends without this; the end of an answer is known from HTTP.
  if (tls_ && SSL_is_init_finished(tls_->native_handle())) {
    SSL_set_shutdown(tls_->native_handle(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
  open_connections_->fetch_sub(1, std::memory_order_relaxed);
}

void UpstreamConnection::expires_at(Clock::time_point deadline) {
  watch_->set(deadline);
}

ErrorCode UpstreamConnection::outcome(const ErrorCode& error) const {
  if (closed_) return asio::error::operation_aborted;
  if (error && watch_->expired) return beast::error::timeout;
  return error;
}

Task<ErrorCode> UpstreamConnection::connect(std::span<const asio::ip::address> addresses, std::uint16_t port) {
  const auto deadline = watch_->deadline;
  ErrorCode result = asio::error::host_not_found;
  for (std::size_t i = 0; i < addresses.size() && !closed_; ++i) {
    const auto now = Clock::now();
    if (now >= deadline) co_return beast::error::timeout;
    watch_->expired = false;
    const auto left = static_cast<Clock::rep>(addresses.size() - i);
    expires_at(left == 1 ? deadline : now + (deadline - now) / left);
    const auto [error] = co_await socket_.async_connect(Tcp::endpoint(addresses[i], port), use_tuple);
    result = outcome(error);
    if (!result) {
      address_ = addresses[i];
      break;
    }
    ErrorCode ignored;
    socket_.close(ignored);
  }
  if (closed_) co_return asio::error::operation_aborted;
  if (result) co_return result;
  expires_at(deadline);
  ErrorCode ignored;
  socket_.set_option(Tcp::no_delay(true), ignored);
  co_return ErrorCode{};
}

Task<ErrorCode> UpstreamConnection::start_tls(TlsClient& client) {
  tls_.emplace(socket_, client.context());
  client.prepare(tls_->native_handle());
  const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::client, use_tuple);
  co_return outcome(error);
}

Task<ErrorCode> UpstreamConnection::write(std::string_view head, std::string_view body) {
  const TwoParts both{asio::buffer(head), asio::buffer(body)};
  if (tls_) {
    const auto [error, count] = co_await asio::async_write(*tls_, both, use_tuple);
    co_return outcome(error);
  }
  // Most requests fit into the socket's buffer: then nothing is suspended.
  const std::size_t sent = send_now(socket_.native_handle(), both);
  if (sent == head.size() + body.size()) co_return ErrorCode{};
  const auto [error, count] = co_await asio::async_write(socket_, rest_of(both, sent), use_tuple);
  co_return outcome(error);
}

Task<ErrorCode> UpstreamConnection::read() {
  const auto space = buffer_.prepare(read_size_);
  ErrorCode error;
  std::size_t count = 0;
  if (tls_) {
    std::tie(error, count) = co_await tls_->async_read_some(space, use_tuple);
    // A peer that just closes its socket has said all it had to; whether it was enough shows in the message.
    if (error == asio::ssl::error::stream_truncated) error = asio::error::eof;
  } else {
    std::tie(error, count) = co_await socket_.async_read_some(space, use_tuple);
  }
  buffer_.commit(count);
  if (count == read_size_) read_size_ = std::min(2 * read_size_, kLargestRead);
  co_return outcome(error);
}

bool UpstreamConnection::still_idle() {
  if (buffer_.size() > 0 || !socket_.is_open()) return false;
  char byte = 0;
  const auto got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  // TLS 1.3 servers send session tickets on an idle connection; those bytes are no reason to reconnect.
  return tls_ ? got != 0 : got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void UpstreamConnection::close() {
  closed_ = true;
  ErrorCode ignored;
  socket_.close(ignored);
}

}  // namespace kvasir::gateway
