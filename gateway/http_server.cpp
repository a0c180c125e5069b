#include "gateway/http_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

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

// The frame owns the connection for as long as it runs.
Task<void> serve(std::shared_ptr<HttpConnection> connection) {
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

std::unique_ptr<HttpServer> HttpServer::bind(IoThreads& io, std::size_t threads, const ListenAddress& address,
                                             HttpHandler& handler, const HttpLimits& limits, std::string& error) {
  std::unique_ptr<HttpServer> server(new HttpServer);
  server->address_ = address;
  ErrorCode failure;
  Tcp::endpoint endpoint = endpoint_of(address, failure);
  if (!is_free(address, error)) return nullptr;
  for (std::size_t i = 0; i < threads && i < io.size(); ++i) {
    if (!server->open_lane(io, i, endpoint, error)) return nullptr;
    ConnectionGroup& group = server->lanes_.back()->group;
    group.handler = &handler;
    group.limits = limits;
    group.requests_running = &server->requests_running_;
    group.closing = &server->closing_;
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
    asio::post(lane->executor, [&lane = *lane] {
      for (HttpConnection* connection : lane.group.open) connection->close_if_idle();
    });
  }
}

void HttpServer::release() {
  for (auto& lane : lanes_) lane->acceptor.reset();
}

Task<void> HttpServer::accept(Lane& lane) {
  while (lane.acceptor->is_open()) {
    auto [error, socket] = co_await lane.acceptor->async_accept(use_tuple);
    if (error) {
      if (!lane.acceptor->is_open()) break;
      // Out of file descriptors, most likely: the backlog waits until some are free.
      Timer timer(lane.executor, std::chrono::milliseconds(50));
      co_await timer.async_wait(use_tuple);
      continue;
    }
    ErrorCode ignored;
    socket.set_option(Tcp::no_delay(true), ignored);
    auto connection = std::make_shared<HttpConnection>(std::move(socket), lane.group);
    asio::co_spawn(lane.executor, serve(std::move(connection)), asio::detached);
  }
}

}  // namespace kvasir::gateway
