#include "gateway/upstream_server.hpp"

#include "gateway/http_message.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace kvasir::gateway {
namespace {

namespace http = beast::http;

constexpr auto kMaxIdleTime = std::chrono::seconds(60);
constexpr auto kMaxAge = std::chrono::minutes(10);  // of a connection that is kept
// A resting upstream is tried again after this at the latest, whatever it has asked for.
constexpr auto kLongestRest = std::chrono::seconds(60);

std::uint16_t number(const std::string& port) {
  return static_cast<std::uint16_t>(std::stoul(port));
}

}  // namespace

double random_unit() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

void UpstreamCall::cancel() {
  cancelled = true;
  if (connection) connection->close();
  if (pause) pause->cancel();
}

std::unique_ptr<UpstreamServer> UpstreamServer::make(const UpstreamSettings& settings, std::string name, bool sole,
                                                     const UpstreamHooks& hooks, std::string& error) {
  auto url = UpstreamUrl::parse(settings.base_url);
  if (!url) {
    error = "base_url is not of the form http://HOST:PORT/v1";
    return nullptr;
  }
  std::optional<ProxyUrl> proxy;
  if (!settings.proxy.empty() && !(proxy = ProxyUrl::parse(settings.proxy))) {
    error = "proxy is not of the form http://HOST:PORT";
    return nullptr;
  }
  std::vector<Network> networks;
  for (const std::string& text : settings.private_networks) {
    const auto network = Network::parse(text);
    if (!network) {
      error = "private_networks holds '" + text + "', which is no network such as 10.0.0.0/8";
      return nullptr;
    }
    networks.push_back(*network);
  }
  std::unique_ptr<TlsClient> tls;
  if (url->tls) {
    const std::string& expected = settings.tls_server_name.empty() ? url->host : settings.tls_server_name;
    tls = TlsClient::make(expected, settings.ca_file, error);
    if (!tls) return nullptr;
  }
  auto server = std::unique_ptr<UpstreamServer>(new UpstreamServer(settings, std::move(name), sole, std::move(*url),
                                                                   std::move(proxy), std::move(networks), hooks));
  server->tls_ = std::move(tls);
  return server;
}

UpstreamServer::UpstreamServer(const UpstreamSettings& settings, std::string name, bool sole, UpstreamUrl url,
                               std::optional<ProxyUrl> proxy, std::vector<Network> private_networks,
                               const UpstreamHooks& hooks)
    : settings_(settings),
      name_(std::move(name)),
      sole_(sole),
      url_(std::move(url)),
      proxy_(std::move(proxy)),
      log_(hooks.log),
      addresses_(proxy_ ? proxy_->host : url_.host, std::move(private_networks), hooks),
      breaker_(random_unit) {}

UpstreamServer::~UpstreamServer() {
  for (auto& [context, idle] : idle_) {
    const Executor executor = idle->executor();
    asio::post(executor, [idle = std::move(idle)] {});
  }
}

IdleConnections& UpstreamServer::idle_on(const Executor& executor) {
  const std::lock_guard lock(mutex_);
  auto& idle = idle_[&executor.context()];
  if (!idle) idle = std::make_shared<IdleConnections>(executor, kMaxIdleTime);
  return *idle;
}

bool UpstreamServer::reuse_connection(UpstreamCall& call, Executor executor) {
  const auto now = Clock::now();
  IdleConnections& idle = idle_on(executor);
  while (auto connection = idle.take()) {
    const bool young = now - connection->opened() < kMaxAge;
    if (!young || !connection->still_idle() || !addresses_.holds(connection->address())) continue;
    call.connection = std::move(connection);
    return true;
  }
  return false;
}

Task<std::optional<UpstreamFault>> UpstreamServer::open_connection(UpstreamCall& call, Executor executor,
                                                                   Clock::time_point deadline) {
  deadline = std::min(deadline, Clock::now() + settings_.connect_timeout);
  const auto found = co_await addresses_.get(executor, deadline);
  if (call.cancelled) co_return cancelled();
  if (found.refused) co_return private_address();
  if (found.addresses.empty() && found.error == beast::error::timeout) co_return too_slow("address for its name");
  if (found.addresses.empty()) co_return unreachable(found.error.message());
  call.connection = std::make_unique<UpstreamConnection>(executor, open_connections_);
  UpstreamConnection& connection = *call.connection;
  connection.expires_at(deadline);
  ErrorCode error = co_await connection.connect(found.addresses, number(dialled_port()));
  if (call.cancelled) co_return cancelled();
  if (error) addresses_.expire();
  if (!error && tls_) {
    if (proxy_) {
      auto fault = co_await open_tunnel(connection);
      if (call.cancelled) co_return cancelled();
      if (fault) co_return fault;
    }
    error = co_await connection.start_tls(*tls_);
  }
  if (call.cancelled) co_return cancelled();
  if (!error) co_return std::nullopt;
  if (error != beast::error::timeout) co_return unreachable(error.message());
  UpstreamFault slow = too_slow("connection");
  slow.kind = FaultKind::unreachable;  // nothing was asked yet, so another one may be
  co_return slow;
}

Task<std::optional<UpstreamFault>> UpstreamServer::open_tunnel(UpstreamConnection& connection) const {
  std::string request = "CONNECT " + url_.authority() + " HTTP/1.1\r\n";
  append_header(request, "host", url_.authority());
  if (!proxy_->authorization.empty()) append_header(request, "proxy-authorization", proxy_->authorization);
  ErrorCode error = co_await connection.write(request, "\r\n");
  http::response_parser<http::empty_body> parser;
  parser.skip(true);
  while (!error && !parser.is_header_done()) {
    error = co_await connection.read();
    if (error) break;
    connection.buffer().consume(parser.put(connection.buffer().data(), error));
    if (error == http::error::need_more) error = {};
  }
  if (error == beast::error::timeout) co_return too_slow("tunnel through the proxy");
  if (error) co_return unreachable("the proxy said: " + error.message());
  const int status = parser.get().result_int();
  if (status / 100 != 2) co_return unreachable("the proxy answered with status " + std::to_string(status));
  co_return std::nullopt;
}

void UpstreamServer::give_back(Executor executor, std::unique_ptr<UpstreamConnection> connection) {
  const bool young = Clock::now() - connection->opened() < kMaxAge;
  if (young && connection->buffer().size() == 0) idle_on(executor).keep(std::move(connection));
}

std::string UpstreamServer::head(std::string_view path) const {
  std::string text = "POST ";
  text.reserve(512);
  const bool through_proxy = proxy_ && !tls_;
  if (through_proxy) text.append("http://").append(url_.authority());
  text.append(url_.path).append(path).append(" HTTP/1.1\r\n");
  append_header(text, "host", url_.authority());
  append_header(text, "user-agent", "kvasir/" KVASIR_VERSION);
  if (!settings_.api_key.empty()) append_header(text, "authorization", "Bearer " + settings_.api_key);
  if (through_proxy && !proxy_->authorization.empty()) {
    append_header(text, "proxy-authorization", proxy_->authorization);
  }
  return text;
}

bool UpstreamServer::allows(Clock::time_point now) const {
  return sole_ || breaker_.allows(now);
}

bool UpstreamServer::rests(Clock::time_point now) const {
  return now.time_since_epoch().count() < rests_until_.load(std::memory_order_relaxed);
}

UpstreamServer::Turn::Turn(UpstreamServer& server, bool retry) : server_(&server) {
  server.running_.fetch_add(1, std::memory_order_relaxed);
  server.requests_.fetch_add(1, std::memory_order_relaxed);
  if (retry) server.retries_.fetch_add(1, std::memory_order_relaxed);
  if (!server.sole_) ticket_ = server.breaker_.start(Clock::now());
}

UpstreamServer::Turn::~Turn() {
  if (server_ == nullptr) return;
  server_->running_.fetch_sub(1, std::memory_order_relaxed);
  if (!server_->sole_) server_->breaker_.abandoned(ticket_);
}

void UpstreamServer::Turn::end(const UpstreamFault* fault) {
  UpstreamServer& server = *std::exchange(server_, nullptr);
  server.running_.fetch_sub(1, std::memory_order_relaxed);
  const auto now = Clock::now();
  if (fault != nullptr) server.count_fault(*fault, now);
  if (!server.sole_) server.tell_breaker(ticket_, fault, now);
}

void UpstreamServer::count_fault(const UpstreamFault& fault, Clock::time_point now) {
  faults_[static_cast<std::size_t>(fault.kind)].fetch_add(1, std::memory_order_relaxed);
  if (fault.error.retry_after_seconds <= 0) return;
  const auto rest = std::min<Clock::duration>(std::chrono::seconds(fault.error.retry_after_seconds), kLongestRest);
  rests_until_.store((now + rest).time_since_epoch().count(), std::memory_order_relaxed);
}

void UpstreamServer::tell_breaker(CircuitBreaker::Ticket ticket, const UpstreamFault* fault, Clock::time_point now) {
  if (fault != nullptr && fault->kind == FaultKind::cancelled) {
    breaker_.abandoned(ticket);
  } else if (fault != nullptr && is_failure(fault->kind)) {
    if (breaker_.failed(ticket, now))
      log_("upstream " + name_ + " fails and gets no requests for a while: " + std::string(to_string(fault->kind)));
  } else if (breaker_.succeeded(ticket, now)) {
    log_("upstream " + name_ + " is back");
  }
}

UpstreamStats UpstreamServer::stats() const {
  UpstreamStats stats;
  stats.upstream = name_;
  if (!sole_) stats.breaker = breaker_.state(Clock::now());
  stats.requests = requests_.load(std::memory_order_relaxed);
  stats.retries = retries_.load(std::memory_order_relaxed);
  for (std::size_t kind = 0; kind < kFaultKinds; ++kind) {
    stats.faults[kind] = faults_[kind].load(std::memory_order_relaxed);
  }
  stats.running = running();
  stats.open_connections = open_connections_->load(std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  for (const auto& [context, idle] : idle_) stats.idle_connections += idle->size();
  return stats;
}

void UpstreamServer::close() {
  addresses_.close();
  const std::lock_guard lock(mutex_);
  idle_.clear();
}

}  // namespace kvasir::gateway
