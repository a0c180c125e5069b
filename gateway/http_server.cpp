#include "gateway/http_server.hpp"

#include <array>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <sys/socket.h>

namespace kvasir::gateway {
namespace {

using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

std::string cannot_listen(const ListenAddress& address, const ErrorCode& error) {
  if (error == asio::error::address_in_use) {
    return "cannot listen on " + address.text() + ": another program uses this port; stop it or choose another port";
  }
  return "cannot listen on " + address.text() + ": " + error.message();
}

Tcp::endpoint endpoint_of(const ListenAddress& address, ErrorCode& error) {
  return {asio::ip::make_address(address.host == "localhost" ? "127.0.0.1" : address.host, error), address.port};
}

constexpr auto kCertificatePeriod = std::chrono::seconds(2);

std::string too_many_connections() {
  const std::string body =
      ApiError{503, "There are too many connections.", "server_error", "", "too_many_connections", 0}.body();
  std::string answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n";
  append_date(answer);
  append_header(answer, "x-request-id", random_id("req-"));
  append_header(answer, "retry-after", "1");
  append_header(answer, "content-length", std::to_string(body.size()));
  return answer + "\r\n" + body;
}

// The frame owns the connection, and its place, for as long as it runs.
Task<void> serve(std::shared_ptr<HttpConnection> connection, ConnectionLimit::Place /*place*/) {
  co_await connection->run();
}

}  // namespace

// SO_REUSEPORT would let two gateways share a port unnoticed; a plain bind finds out.
bool HttpServer::is_free(const ListenAddress& address, std::string& error) {
  ErrorCode failure;
  const Tcp::endpoint endpoint = endpoint_of(address, failure);
  asio::io_context context;
  Tcp::acceptor plain(context);
  if (!failure) plain.open(endpoint.protocol(), failure);
  if (!failure) plain.set_option(asio::socket_base::reuse_address(true), failure);
  if (!failure) plain.bind(endpoint, failure);
  if (!failure) plain.listen(1, failure);
  if (failure) error = cannot_listen(address, failure);
  return !failure;
}

HttpServer::HttpServer(const ListenAddress& address, HttpServerOptions options)
    : address_(address),
      options_(std::move(options)),
      limit_(options_.limits.max_connections, options_.limits.max_connections_per_address, counters_) {}

std::unique_ptr<HttpServer> HttpServer::bind(IoThreads& io, std::size_t threads, const ListenAddress& address,
                                             HttpHandler& handler, HttpServerOptions options, std::string& error) {
  std::unique_ptr<HttpServer> server(new HttpServer(address, std::move(options)));
  ErrorCode failure;
  Tcp::endpoint endpoint = endpoint_of(address, failure);
  if (!is_free(address, error)) return nullptr;
  for (std::size_t i = 0; i < threads && i < io.size(); ++i) {
    if (!server->open_lane(io, i, endpoint, error)) return nullptr;
    ConnectionGroup& group = server->lanes_.back()->group;
    group.handler = &handler;
    group.limits = server->options_.limits;
    group.requests_running = &server->requests_running_;
    group.closing = &server->closing_;
    group.counters = &server->counters_;
  }
  server->address_.port = endpoint.port();
  return server;
}

bool HttpServer::open_lane(IoThreads& io, std::size_t index, Tcp::endpoint& endpoint, std::string& error) {
  auto lane = std::make_unique<Lane>(io.context(index));
  ErrorCode failure;
  lane->acceptor->open(endpoint.protocol(), failure);
  if (!failure) lane->acceptor->set_option(asio::socket_base::reuse_address(true), failure);
  if (!failure) lane->acceptor->set_option(ReusePort(true), failure);
  if (!failure) lane->acceptor->bind(endpoint, failure);
  if (!failure) lane->acceptor->listen(1024, failure);
  if (failure) {
    error = cannot_listen(address_, failure);
    return false;
  }
  endpoint.port(lane->acceptor->local_endpoint().port());
  lanes_.push_back(std::move(lane));
  return true;
}

void HttpServer::start() {
  for (auto& lane : lanes_) asio::co_spawn(lane->executor, accept(*lane), asio::detached);
  if (!options_.certificates) return;
  const Executor first = lanes_.front()->executor;
  asio::co_spawn(first, refresh_certificates(first), asio::detached);
}

void HttpServer::stop_accepting() {
  for (auto& lane : lanes_) {
    asio::post(lane->executor, [&lane = *lane] {
      ErrorCode ignored;
      lane.acceptor->close(ignored);
    });
  }
}

void HttpServer::close_connections() {
  closing_.store(true, std::memory_order_relaxed);
  for (auto& lane : lanes_) {
    ++requests_running_;  // nobody takes the server for idle before all have looked
    asio::post(lane->executor, [this, &lane = *lane] {
      for (HttpConnection* connection : lane.group.open) connection->close_if_idle();
      --requests_running_;
    });
  }
}

void HttpServer::release() {
  for (auto& lane : lanes_) lane->acceptor.reset();
}

Task<void> HttpServer::accept(Lane& lane) {
  bool failed = false;
  while (lane.acceptor->is_open()) {
    try {
      if (std::exchange(failed, false)) co_await wait_to_accept(lane);
      auto [error, socket] = co_await lane.acceptor->async_accept(use_tuple);
      if (!error) open(lane, std::move(socket));
      failed = error && error != asio::error::connection_aborted && lane.acceptor->is_open();
    } catch (const std::exception&) {  // exhausted memory
      failed = true;
    }
    if (failed) ++counters_.accept_failures;
  }
}

// Out of file descriptors, most likely: the backlog waits until some are free.
Task<void> HttpServer::wait_to_accept(Lane& lane) {
  Timer timer(lane.executor, std::chrono::milliseconds(50));
  co_await timer.async_wait(use_tuple);
}

void HttpServer::open(Lane& lane, Socket socket) {
  ErrorCode error;
  const Tcp::endpoint client = socket.remote_endpoint(error);
  if (error) return;  // gone again
  auto place = limit_.enter(client.address());
  if (!place) return refuse(std::move(socket));
  socket.set_option(Tcp::no_delay(true), error);
  const auto tls = options_.certificates ? options_.certificates->current() : nullptr;
  auto connection = std::make_shared<HttpConnection>(std::move(socket), tls, lane.group);
  asio::co_spawn(lane.executor, serve(std::move(connection), std::move(place)), asio::detached);
}

// What the socket takes at once is all that such a client gets; nobody waits for it.
void HttpServer::refuse(Socket socket) {
  if (options_.certificates) return;
  const int descriptor = socket.native_handle();
  const std::string answer = too_many_connections();
  std::array<char, 4096> unread;
  (void)!::recv(descriptor, unread.data(), unread.size(), MSG_DONTWAIT);
  (void)!::send(descriptor, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ErrorCode ignored;
  socket.shutdown(Tcp::socket::shutdown_send, ignored);
}

Task<void> HttpServer::refresh_certificates(Executor executor) {
  Timer timer(executor);
  while (true) {
    timer.expires_after(kCertificatePeriod);
    co_await timer.async_wait(use_tuple);
    try {
      const std::string news = options_.certificates->refresh();
      if (!news.empty() && options_.log) options_.log(news);
    } catch (const std::exception&) {  // exhausted memory: the old ones serve on, and the next look may succeed
    }
  }
}

}  // namespace kvasir::gateway
