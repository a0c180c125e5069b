// A listener: accepts on every I/O thread (SO_REUSEPORT) and runs a connection per client, as many as its limits allow.
#pragma once

#include "gateway/asio.hpp"
#include "gateway/http_connection.hpp"
#include "gateway/io_threads.hpp"
#include "gateway/settings.hpp"
#include "gateway/tls_certificates.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvasir::gateway {

struct HttpServerOptions {
  HttpLimits limits;
  std::unique_ptr<TlsCertificates> certificates = nullptr;  // null: plain HTTP
  std::function<void(std::string_view)> log =
      nullptr;  // one sentence on what an operator should know; on an I/O thread
};

class HttpServer {
 public:
  // False, and one sentence in `error`, if another program listens on `address` already.
  static bool is_free(const ListenAddress& address, std::string& error);
  // Binds on the first `threads` I/O threads. On failure: null and one sentence in `error`. Nothing is accepted before
  // start(). `io` and `handler` must outlive the server.
  static std::unique_ptr<HttpServer> bind(IoThreads& io, std::size_t threads, const ListenAddress& address,
                                          HttpHandler& handler, HttpServerOptions options, std::string& error);

  void start();
  // No more connections, idle ones end, running requests go on. Any thread.
  void stop_accepting();
  // From now on a connection ends after its current request. Any thread.
  void close_connections();

  // After the I/O threads have stopped and before they are destroyed: gives up the sockets that live on them. The
  // server itself must outlive them, because their connections point to it.
  void release();

  const ConnectionCounters& counters() const { return counters_; }
  int requests_running() const { return requests_running_.load(std::memory_order_acquire); }
  // With the port that the system chose if 0 was asked for.
  const ListenAddress& address() const { return address_; }

 private:
  using Acceptor = asio::basic_socket_acceptor<Tcp, Executor>;
  struct Lane {
    explicit Lane(asio::io_context& context) : executor(context.get_executor()), acceptor(std::in_place, executor) {}
    Executor executor;
    std::optional<Acceptor> acceptor;
    ConnectionGroup group;
  };

  HttpServer(const ListenAddress& address, HttpServerOptions options);
  bool open_lane(IoThreads& io, std::size_t index, Tcp::endpoint& endpoint, std::string& error);
  Task<void> accept(Lane& lane);
  Task<void> wait_to_accept(Lane& lane);
  void open(Lane& lane, Socket socket);
  void refuse(Socket socket);
  Task<void> refresh_certificates(Executor executor);

  ListenAddress address_;
  HttpServerOptions options_;
  ConnectionCounters counters_;
  ConnectionLimit limit_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<int> requests_running_{0};
  std::atomic<bool> closing_{false};
};

}  // namespace kvasir::gateway
