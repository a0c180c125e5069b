#include "gateway/transport.hpp"

#include "gateway/two_parts.hpp"

#include <algorithm>
#include <tuple>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/error.hpp>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace kvasir::gateway {
namespace {

constexpr std::uint64_t kSlowestBytesPerSecond = 64 << 10;
constexpr std::size_t kLingerRead = 8 << 10;
constexpr auto kLingerTime = std::chrono::seconds(2);

Transport::Arrival arrival_of(const ErrorCode& error) {
  if (!error) return Transport::Arrival::bytes;
  return error == beast::error::timeout ? Transport::Arrival::expired : Transport::Arrival::closed;
}

}  // namespace

SteadyTime transfer_deadline(SteadyTime begin, std::chrono::milliseconds patience, std::uint64_t bytes_so_far) {
  return begin + patience + std::chrono::milliseconds(bytes_so_far * 1000 / kSlowestBytesPerSecond);
}

Transport::Transport(Socket socket, const std::shared_ptr<asio::ssl::context>& tls) : stream_(std::move(socket)) {
  if (!tls) return;
  tls_ = std::make_unique<TlsStream>(stream_, *tls);
}

bool Transport::readable() {
  ErrorCode ignored;
  return stream_.socket().available(ignored) > 0;
}

void Transport::cancel() {
  stream_.cancel();
}

void Transport::close() {
  stop_watching();
  stream_.close();
}

Task<bool> Transport::handshake(SteadyTime deadline) {
  if (!tls_) co_return true;
  stream_.expires_at(deadline);
  const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::server, use_tuple);
  stream_.expires_at(SteadyTime::max());
  co_return !error;
}

Task<Transport::Arrival> Transport::read(beast::flat_buffer& buffer, std::size_t most, SteadyTime deadline) {
  if (ahead_.running()) {
    stream_.expires_at(deadline);
    const ErrorCode error = co_await ahead_.wait();
    stream_.expires_at(SteadyTime::max());
    co_return arrival_of(error);
  }
  std::size_t count = 0;
  const Arrival arrival = co_await read(static_cast<char*>(buffer.prepare(most).data()), most, count, deadline);
  buffer.commit(count);
  co_return arrival;
}

Task<Transport::Arrival> Transport::read(char* into, std::size_t size, std::size_t& count, SteadyTime deadline) {
  stream_.expires_at(deadline);
  std::tuple<ErrorCode, std::size_t> result;
  if (tls_) {
    result = co_await tls_->async_read_some(asio::buffer(into, size), use_tuple);
  } else {
    result = co_await stream_.async_read_some(asio::buffer(into, size), use_tuple);
  }
  stream_.expires_at(SteadyTime::max());
  count = std::get<1>(result);
  co_return arrival_of(std::get<0>(result));
}

Task<bool> Transport::write(std::string head, std::string body, std::chrono::milliseconds patience) {
  const TwoParts parts{asio::buffer(head), asio::buffer(body)};
  const std::size_t size = head.size() + body.size();
  // Most answers fit into the socket's buffer: then one system call does it and nothing is suspended.
  std::size_t sent = tls_ ? 0 : send_now(stream_.socket().native_handle(), parts);
  if (sent == size) co_return true;
  const auto start = std::chrono::steady_clock::now();
  while (sent < size) {
    stream_.expires_at(transfer_deadline(start, patience, sent));
    std::tuple<ErrorCode, std::size_t> result;
    if (tls_) {
      result = co_await tls_->async_write_some(rest_of(parts, sent), use_tuple);
    } else {
      result = co_await stream_.async_write_some(rest_of(parts, sent), use_tuple);
    }
    stream_.expires_at(SteadyTime::max());
    const auto [error, count] = result;
    if (error) co_return false;
    sent += count;
  }
  co_return true;
}

Task<void> Transport::reset() {
  stop_watching();
  Timer timer(stream_.get_executor());
  for (int round = 0; round < 100; ++round) {
    int unsent = 0;
    if (::ioctl(stream_.socket().native_handle(), SIOCOUTQ, &unsent) != 0 || unsent == 0) break;
    timer.expires_after(std::chrono::milliseconds(5));
    co_await timer.async_wait(use_tuple);
  }
  ErrorCode ignored;
  stream_.socket().set_option(asio::socket_base::linger(true, 0), ignored);
  stream_.socket().close(ignored);
}

// Closing with unread bytes would reset the connection and could take our last answer with it.
Task<void> Transport::linger() {
  const auto deadline = std::chrono::steady_clock::now() + kLingerTime;
  ErrorCode ignored;
  if (ahead_.running()) {
    stream_.cancel();
    co_await ahead_.wait();
  }
  if (tls_) {
    stream_.expires_at(deadline);
    co_await tls_->async_shutdown(use_tuple);
    stream_.expires_at(SteadyTime::max());
  }
  stream_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
  std::string unread(kLingerRead, '\0');
  while (std::chrono::steady_clock::now() < deadline) {
    stream_.expires_at(deadline);
    const auto [error, count] = co_await stream_.async_read_some(asio::buffer(unread), use_tuple);
    stream_.expires_at(SteadyTime::max());
    if (error) break;
  }
}

void Transport::watch(beast::flat_buffer& buffer, std::size_t most, std::shared_ptr<void> owner,
                      std::function<void()> hang_up) {
  ahead_.on_end(std::move(hang_up));
  if (ahead_.running()) return;
  if (tls_) {
    ahead_.start(*tls_, buffer, most, std::move(owner));
  } else {
    ahead_.start(stream_, buffer, most, std::move(owner));
  }
}

}  // namespace kvasir::gateway
