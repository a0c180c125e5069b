// One client's bytes: TCP, or TLS over TCP, with deadlines. Everything here runs on the connection's I/O thread; at
// most one read or write is under way at a time.
#pragma once

#include "gateway/read_ahead.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>

namespace kvasir::gateway {

using SteadyTime = std::chrono::steady_clock::time_point;

// When a transfer must be over: after `patience`, and later only as far as it makes progress, a second for every 64
// KiB. So a slow line is served, and who sends or reads a byte now and then is not.
SteadyTime transfer_deadline(SteadyTime begin, std::chrono::milliseconds patience, std::uint64_t bytes_so_far);

class Transport {
 public:
  enum class Arrival { bytes, closed, expired };

  // `tls` null: plain TCP.
  Transport(Socket socket, const std::shared_ptr<asio::ssl::context>& tls);

  Executor executor() { return stream_.get_executor(); }

  // Before anything else; true at once without TLS.
  Task<bool> handshake(SteadyTime deadline);
  // Appends at most `most` bytes to `buffer`, or what watch() has begun to read.
  Task<Arrival> read(beast::flat_buffer& buffer, std::size_t most, SteadyTime deadline);
  // At most `size` bytes, which is not 0, to `into`; says in `count` how many.
  Task<Arrival> read(char* into, std::size_t size, std::size_t& count, SteadyTime deadline);
  // All of both, or false: the client is gone, or too slow (transfer_deadline()).
  Task<bool> write(std::string head, std::string body, std::chrono::milliseconds patience);
  // Breaks the connection (RST) once the client's kernel has what was written.
  Task<void> reset();
  // Ends the connection so that the client still gets what was written, though it may have sent more than was read.
  Task<void> linger();
  // Ends it at once.
  void close();

  // Calls `hang_up` once if the client goes away before stop_watching(); nothing is seen once it has sent more bytes.
  // They are read into `buffer`, at most `most` of them, and nobody else may touch it until the next read().
  // `owner` keeps this object and the buffer alive meanwhile.
  void watch(beast::flat_buffer& buffer, std::size_t most, std::shared_ptr<void> owner, std::function<void()> hang_up);
  void stop_watching() { ahead_.on_end(nullptr); }

  // The client has sent what nobody has read yet.
  bool readable();
  // Ends what is under way; a read sees Arrival::closed.
  void cancel();

 private:
  using TlsStream = asio::ssl::stream<TcpStream&>;

  TcpStream stream_;
  std::unique_ptr<TlsStream> tls_;
  ReadAhead ahead_;
};

}  // namespace kvasir::gateway
