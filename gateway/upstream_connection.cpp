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
    : wire_(std::make_shared<Wire>(executor)),
      read_size_(kFirstRead),
      watch_(std::make_shared<Watch>(executor, wire_->socket)),
      open_connections_(std::move(open_connections)) {
  open_connections_->fetch_add(1, std::memory_order_relaxed);
}

UpstreamConnection::~UpstreamConnection() {
  watch_->socket = nullptr;
  watch_->timer.cancel();
  ahead_.on_end(nullptr);
  // OpenSSL gives up the session of a connection that ends without this; the end of an answer is known from HTTP.
  if (wire_->tls && SSL_is_init_finished(wire_->tls->native_handle())) {
    SSL_set_shutdown(wire_->tls->native_handle(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
  ErrorCode ignored;
  wire_->socket.close(ignored);
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
    const auto [error] = co_await wire_->socket.async_connect(Tcp::endpoint(addresses[i], port), use_tuple);
    result = outcome(error);
    if (!result) {
      address_ = addresses[i];
      break;
    }
    ErrorCode ignored;
    wire_->socket.close(ignored);
  }
  if (closed_) co_return asio::error::operation_aborted;
  if (result) co_return result;
  expires_at(deadline);
  ErrorCode ignored;
  wire_->socket.set_option(Tcp::no_delay(true), ignored);
  co_return ErrorCode{};
}

Task<ErrorCode> UpstreamConnection::start_tls(TlsClient& client) {
  wire_->tls.emplace(wire_->socket, client.context());
  client.prepare(wire_->tls->native_handle());
  const auto [error] = co_await wire_->tls->async_handshake(asio::ssl::stream_base::client, use_tuple);
  co_return outcome(error);
}

Task<ErrorCode> UpstreamConnection::write(std::string_view head, std::string_view body) {
  const TwoParts both{asio::buffer(head), asio::buffer(body)};
  if (wire_->tls) {
    const auto [error, count] = co_await asio::async_write(*wire_->tls, both, use_tuple);
    co_return outcome(error);
  }
  // Most requests fit into the socket's buffer: then nothing is suspended.
  const std::size_t sent = send_now(wire_->socket.native_handle(), both);
  if (sent == head.size() + body.size()) co_return ErrorCode{};
  const auto [error, count] = co_await asio::async_write(wire_->socket, rest_of(both, sent), use_tuple);
  co_return outcome(error);
}

Task<ErrorCode> UpstreamConnection::read() {
  const std::size_t before = buffer().size();
  ErrorCode error;
  if (ahead_.running()) {
    error = co_await ahead_.wait();
  } else {
    const auto space = buffer().prepare(read_size_);
    std::size_t count = 0;
    if (wire_->tls) {
      std::tie(error, count) = co_await wire_->tls->async_read_some(space, use_tuple);
    } else {
      std::tie(error, count) = co_await wire_->socket.async_read_some(space, use_tuple);
    }
    buffer().commit(count);
  }
  // A peer that just closes its socket has said all it had to; whether it was enough shows in the message.
  if (error == asio::ssl::error::stream_truncated) error = asio::error::eof;
  if (buffer().size() - before == read_size_) read_size_ = std::min(2 * read_size_, kLargestRead);
  co_return outcome(error);
}

void UpstreamConnection::rest(std::function<void()> on_end) {
  expires_at(Clock::time_point::max());
  ahead_.on_end(std::move(on_end));
  if (wire_->tls) {
    ahead_.start(*wire_->tls, buffer(), read_size_, wire_);
  } else {
    ahead_.start(wire_->socket, buffer(), read_size_, wire_);
  }
}

void UpstreamConnection::close() {
  closed_ = true;
  ErrorCode ignored;
  wire_->socket.close(ignored);
}

}  // namespace kvasir::gateway
