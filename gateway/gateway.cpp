#include "gateway/gateway.hpp"

#include "cache/file_lock.hpp"
#include "embed/local_embedder.hpp"
#include "gateway/admin_handler.hpp"
#include "gateway/api_handler.hpp"
#include "gateway/budget.hpp"
#include "gateway/config_reload.hpp"
#include "gateway/http_server.hpp"
#include "gateway/io_threads.hpp"
#include "gateway/service_manager.hpp"
#include "gateway/snapshot.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <sys/resource.h>
#include <unistd.h>

namespace kvasir::gateway {
namespace {

HttpLimits limits_of(const ServerSettings& server) {
  return {server.max_body_bytes,
          server.max_header_bytes,
          server.header_timeout,
          server.body_timeout,
          server.idle_timeout,
          server.write_timeout,
          static_cast<std::size_t>(server.max_connections),
          static_cast<std::size_t>(server.max_connections_per_address)};
}

// Beside the answers; a store in memory has nowhere to keep what was spent.
std::string ledger_path(const cache::CacheSettings& cache) {
  return cache.path == ":memory:" ? "" : cache.path + "/spent";
}

// How many connections this process has descriptors for, once it has asked for as many as it may have: a connection may
// need a second one, to an upstream, and files and models some more.
std::size_t connections_with_descriptors() {
  constexpr rlim_t kOthers = 64;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur > kOthers + 2 ? static_cast<std::size_t>((limit.rlim_cur - kOthers) / 2) : 1;
}

}  // namespace

// In the order of their making; what comes later uses what stands before it.
struct Gateway::Parts {
  Settings settings;  // as of the start
  std::string config_path;
  ServiceManager service_manager;
  ServerState state;
  Metrics metrics;
  std::unique_ptr<RequestLog> log;
  std::optional<cache::FileLock> folder_lock;  // of what stays here when the answers are in Redis
  std::unique_ptr<SpendLedger> ledger;
  std::unique_ptr<embed::Embedder> embedder;
  std::unique_ptr<cache::ResponseCache> cache;
  std::unique_ptr<LiveSnapshot> live;
  std::unique_ptr<QuestionEmbedder> questions;
  std::unique_ptr<ResponseStore> responses;
  std::unique_ptr<ChatService> chat;
  std::unique_ptr<ApiHandler> api;
  std::unique_ptr<AdminHandler> admin;
  std::unique_ptr<IoThreads> io;
  std::unique_ptr<HttpServer> api_server;
  std::unique_ptr<HttpServer> admin_server;
  std::unique_ptr<ConfigReload> reload;
  asio::io_context signals_context;
  asio::signal_set signals{signals_context};
  asio::steady_timer config_timer{signals_context};
  asio::steady_timer watchdog_timer{signals_context};
  std::atomic<std::size_t> answering_io_threads{0};
  bool told_to_end = false;  // by a signal

  Parts(const Settings& given, std::string path) : settings(given), config_path(std::move(path)) {}
  ~Parts() { stop(); }
  bool open(std::string& error);
  bool open_cache(std::string& error);
  bool take_own_folder(std::string& error);
  bool bind(std::string& error);
  void wait_for_signal();
  void reload_now();
  void watch_config();
  void feed_watchdog();
  void wait_until_answered();
  void stop();
};

bool Gateway::Parts::open(std::string& error) {
  // A port in use is found out before a model is loaded.
  if (!HttpServer::is_free(settings.server.listen, error) || !HttpServer::is_free(settings.server.admin, error)) {
    return false;
  }
  log = std::make_unique<RequestLog>(STDOUT_FILENO, settings.server.log_requests, metrics);
  if (!open_cache(error)) return false;
  ledger = std::make_unique<SpendLedger>(ledger_path(settings.cache),
                                         [this](const std::string& problem) { log->event(problem); });
  UpstreamHooks hooks;
  hooks.log = [this](std::string_view message) { log->event(message); };
  auto snapshot = make_snapshot(settings, hooks, ledger.get(), nullptr, error);
  if (!snapshot) return false;
  live = std::make_unique<LiveSnapshot>(std::move(snapshot));
  reload = std::make_unique<ConfigReload>(config_path, *live, hooks, ledger.get(), metrics, *log);
  questions = std::make_unique<QuestionEmbedder>(embedder.get());
  chat = std::make_unique<ChatService>(*cache, *questions);
  return bind(error);
}

bool Gateway::Parts::open_cache(std::string& error) {
  if (!settings.embedding_model.empty()) {
    const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    embedder = embed::LocalEmbedder::open(settings.embedding_model, threads, error);
    if (!embedder) return false;
  }
  settings.cache.semantic = settings.cache.semantic && embedder != nullptr;
  cache = cache::ResponseCache::open(settings.cache, embedder ? embedder->identity() : "",
                                     embedder ? embedder->dimension() : 0, error,
                                     [this](std::string_view message) { log->event(message); });
  if (!cache) return false;
  if (settings.cache.redis && !take_own_folder(error)) return false;
  responses = ResponseStore::open(settings.cache.path, settings.responses, error);
  return responses != nullptr;
}

// The embedded store does this by itself.
bool Gateway::Parts::take_own_folder(std::string& error) {
  std::string wrong;
  folder_lock = cache::FileLock::take_folder(settings.cache.path, wrong);
  if (!folder_lock) error = "the folder " + settings.cache.path + " (cache.store.path) cannot be used: " + wrong;
  return folder_lock.has_value();
}

bool Gateway::Parts::bind(std::string& error) {
  Services services{&state, live.get(), chat.get(), cache.get(), &metrics, log.get()};
  services.stream_keepalive = settings.server.stream_keepalive;
  services.cors_origins = settings.server.cors_origins;
  services.embedder = questions.get();
  services.embedding_name = embedding_name(settings);
  services.responses = responses.get();
  api = std::make_unique<ApiHandler>(services);
  io = std::make_unique<IoThreads>(settings.server.threads);
  HttpLimits limits = limits_of(settings.server);
  limits.max_connections = std::min(limits.max_connections, connections_with_descriptors());
  HttpServerOptions options{limits};
  options.log = [this](std::string_view message) { log->event(message); };
  if (settings.server.tls) {
    options.certificates = TlsCertificates::open(*settings.server.tls, error);
    if (!options.certificates) return false;
  }
  api_server = HttpServer::bind(*io, io->size(), settings.server.listen, *api, std::move(options), error);
  if (!api_server) return false;
  services.connections = &api_server->counters();
  admin = std::make_unique<AdminHandler>(services, [this] { signals_context.stop(); });
  admin_server = HttpServer::bind(*io, 1, settings.server.admin, *admin, HttpServerOptions{limits}, error);
  return admin_server != nullptr;
}

void Gateway::Parts::wait_for_signal() {
  signals.async_wait([this](const ErrorCode& error, int signal) {
    if (error) return;
    if (signal != SIGHUP) {
      told_to_end = true;
      return signals_context.stop();
    }
    reload_now();
    wait_for_signal();
  });
}

void Gateway::Parts::reload_now() {
  service_manager.reloading();
  reload->reload();
  service_manager.ready();
}

void Gateway::Parts::watch_config() {
  config_timer.expires_after(std::chrono::seconds(1));
  config_timer.async_wait([this](const ErrorCode& error) {
    if (error) return;
    if (reload->changed()) reload_now();
    watch_config();
  });
}

// A round in which an I/O thread did not answer is one in which the gateway did not say that it lives.
void Gateway::Parts::feed_watchdog() {
  const auto interval = service_manager.watchdog();
  if (!interval) return;
  if (answering_io_threads.exchange(0) == io->size()) service_manager.alive();
  for (std::size_t i = 0; i < io->size(); ++i) {
    asio::post(io->context(i), [this] { ++answering_io_threads; });
  }
  watchdog_timer.expires_after(*interval / 2);
  watchdog_timer.async_wait([this](const ErrorCode& error) {
    if (!error) feed_watchdog();
  });
}

// Until the deadline, or a second signal: the first one may come only now, if the admin has begun this. The
// configuration is not read any more.
void Gateway::Parts::wait_until_answered() {
  bool again = false;
  signals.cancel();
  config_timer.cancel();
  signals_context.restart();
  signals_context.poll();
  signals_context.restart();  // it has run out of work
  std::function<void()> listen = [&] {
    signals.async_wait([&](const ErrorCode& error, int signal) {
      if (error) return;
      if (signal != SIGHUP) again = std::exchange(told_to_end, true);
      listen();
    });
  };
  listen();
  const auto deadline = std::chrono::steady_clock::now() + live->get()->settings.server.drain_timeout;
  while (!again && api_server->requests_running() > 0 && std::chrono::steady_clock::now() < deadline) {
    signals_context.run_for(std::chrono::milliseconds(5));
  }
  signals.cancel();
  signals_context.poll();
}

// First the threads that run coroutines, then the threads that wake coroutines (engines before the cache, which takes
// their answers), then the coroutines themselves, while the sockets, flights and logs that they point to are still
// there.
void Gateway::Parts::stop() {
  if (io) io->stop();
  if (admin) admin->stop();
  if (questions) questions->stop();
  if (responses) responses->stop();
  if (live) live->close_backends();
  cache.reset();
  if (ledger) ledger->save();
  if (api_server) api_server->release();
  if (admin_server) admin_server->release();
  io.reset();
}

Gateway::Gateway(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Gateway::~Gateway() = default;

std::unique_ptr<Gateway> Gateway::open(const Settings& settings, std::string& error, const std::string& config_path) {
  auto parts = std::make_unique<Parts>(settings, config_path);
  if (!parts->open(error)) return nullptr;
  return std::unique_ptr<Gateway>(new Gateway(std::move(parts)));
}

void Gateway::start() {
  std::signal(SIGPIPE, SIG_IGN);  // a log that nobody reads is an error of write(2), not the end
  parts_->api_server->start();
  parts_->admin_server->start();
  parts_->io->start();
  parts_->state.ready = true;
  const std::string scheme = parts_->settings.server.tls ? "https://" : "http://";
  parts_->log->event("listening on " + scheme + listen_address().text() + ", admin on http://" +
                     admin_address().text());
}

void Gateway::wait() {
  parts_->signals.add(SIGTERM);
  parts_->signals.add(SIGINT);
  parts_->signals.add(SIGHUP);
  parts_->wait_for_signal();
  parts_->watch_config();
  parts_->feed_watchdog();
  parts_->service_manager.ready();
  const auto guard = asio::make_work_guard(parts_->signals_context);
  parts_->signals_context.run();
}

void Gateway::drain() {
  parts_->state.draining = true;
  parts_->service_manager.stopping();
  parts_->log->event("draining");
  parts_->api_server->close_connections();
  parts_->wait_until_answered();
  parts_->api_server->stop_accepting();
  parts_->stop();
  parts_->log->event("stopped");
}

const ListenAddress& Gateway::listen_address() const {
  return parts_->api_server->address();
}
const ListenAddress& Gateway::admin_address() const {
  return parts_->admin_server->address();
}

}  // namespace kvasir::gateway
