// One upstream server: its settings, how it fares, and the connections to it.
#pragma once

#include "gateway/circuit_breaker.hpp"
#include "gateway/host_addresses.hpp"
#include "gateway/idle_connections.hpp"
#include "gateway/settings.hpp"
#include "gateway/tls_client.hpp"
#include "gateway/upstream_connection.hpp"
#include "gateway/upstream_fault.hpp"
#include "gateway/upstream_metrics.hpp"
#include "gateway/upstream_url.hpp"

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace kvasir::gateway {

// A request on its way, as far as it can be ended early. Used on its executor's thread.
struct UpstreamCall {
  bool cancelled = false;
  std::string server;  // that was asked last: its name
  std::unique_ptr<UpstreamConnection> connection;
  std::optional<Timer> pause;  // before a retry

  void cancel();
};

// Uniform in [0, 1). Any thread.
double random_unit();

// Any thread, but for connections, which stay on their executor's.
class UpstreamServer {
 public:
  using Clock = std::chrono::steady_clock;

  // `sole`: there is no other one for the model, so that nothing can eject it. Null if a URL, a network or a file is
  // not what it should be; one sentence in `error`.
  static std::unique_ptr<UpstreamServer> make(const UpstreamSettings& settings, std::string name, bool sole,
                                              const UpstreamHooks& hooks, std::string& error);
  // Idle connections end on their own threads, soon.
  ~UpstreamServer();

  const UpstreamSettings& settings() const { return settings_; }
  const std::string& name() const { return name_; }

  // A kept connection for `call`; false if there is none.
  bool reuse_connection(UpstreamCall& call, Executor executor);
  // A new connection for `call`, tunnel and TLS included.
  Task<std::optional<UpstreamFault>> open_connection(UpstreamCall& call, Executor executor, Clock::time_point deadline);
  // For the next request. Connections that are too many or too old end here.
  void give_back(Executor executor, std::unique_ptr<UpstreamConnection> connection);
  // A request's line and the headers that are the server's own; the empty line is missing.
  std::string head(std::string_view path) const;

  // Whether a request should go there, if there is another choice.
  bool allows(Clock::time_point now) const;
  // It has asked to be left alone until later (Retry-After).
  bool rests(Clock::time_point now) const;

  // Around every request. One that never comes to end() is one that nobody waits for any more.
  class Turn {
   public:
    Turn(UpstreamServer& server, bool retry);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    void end(const UpstreamFault* fault);

   private:
    UpstreamServer* server_;  // null: it is over
    CircuitBreaker::Ticket ticket_;
  };

  int running() const { return running_.load(std::memory_order_relaxed); }
  UpstreamStats stats() const;
  // Once the I/O threads have stopped: gives up what lives on them.
  void close();

 private:
  UpstreamServer(const UpstreamSettings& settings, std::string name, bool sole, UpstreamUrl url,
                 std::optional<ProxyUrl> proxy, std::vector<Network> private_networks, const UpstreamHooks& hooks);
  void count_fault(const UpstreamFault& fault, Clock::time_point now);
  void tell_breaker(CircuitBreaker::Ticket ticket, const UpstreamFault* fault, Clock::time_point now);
  IdleConnections& idle_on(const Executor& executor);
  const std::string& dialled_port() const { return proxy_ ? proxy_->port : url_.port; }
  Task<std::optional<UpstreamFault>> open_tunnel(UpstreamConnection& connection) const;

  const UpstreamSettings settings_;
  const std::string name_;
  const bool sole_;
  const UpstreamUrl url_;
  const std::optional<ProxyUrl> proxy_;
  const LogEvent log_;
  HostAddresses addresses_;  // of the proxy if there is one
  std::unique_ptr<TlsClient> tls_;
  CircuitBreaker breaker_;

  std::atomic<int> running_{0};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> retries_{0};
  std::array<std::atomic<std::uint64_t>, kFaultKinds> faults_{};
  std::atomic<Clock::rep> rests_until_{0};  // Retry-After
  std::shared_ptr<std::atomic<int>> open_connections_ = std::make_shared<std::atomic<int>>(0);

  mutable std::mutex mutex_;
  std::map<asio::execution_context*, std::shared_ptr<IdleConnections>> idle_;
};

}  // namespace kvasir::gateway
