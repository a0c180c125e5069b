#include "gateway/gateway.hpp"

#include "embed/local_embedder.hpp"
#include "gateway/admin_handler.hpp"
#include "gateway/api_handler.hpp"
#include "gateway/config.hpp"
#include "gateway/engine_backend.hpp"
#include "gateway/http_server.hpp"
#include "gateway/io_threads.hpp"
#include "gateway/upstream_backend.hpp"

#include <algorithm>
#include <csignal>
#include <thread>

#include <boost/asio/signal_set.hpp>
#include <unistd.h>

namespace kvasir::gateway {
namespace {

HttpLimits limits_of(const ServerSettings& server) {
  return {server.max_body_bytes, server.max_header_bytes, server.header_timeout,
          server.body_timeout,   server.idle_timeout,     server.write_timeout};
}

std::unique_ptr<Backend> open_backend(const ModelSettings& model, const UpstreamHooks& hooks, std::string& error) {
  if (!model.engine) return UpstreamBackend::make(model, hooks, error);
  auto engine = engine::Engine::load(*model.engine);
  if (!engine) {
    error = "model " + model.name + ": " + engine.error().message;
    return nullptr;
  }
  return std::make_unique<EngineBackend>(model.name, std::move(*engine));
}

bool open_models(const Settings& settings, RequestLog& log, std::vector<ModelTable::Model>& models,
                 std::string& error) {
  UpstreamHooks hooks;
  hooks.log = [&log](std::string_view message) { log.event(message); };
  for (const ModelSettings& model : settings.models) {
    auto backend = open_backend(model, hooks, error);
    if (!backend) return false;
    models.push_back({model.name, std::move(backend)});
  }
  return true;
}

}  // namespace

// In the order of their making; what comes later uses what stands before it.
struct Gateway::Parts {
  Settings settings;
  ServerState state;
  Metrics metrics;
  KeyRing keys;
  std::unique_ptr<RequestLog> log;
  std::unique_ptr<embed::Embedder> embedder;
  std::unique_ptr<cache::ResponseCache> cache;
  std::unique_ptr<ModelTable> models;
  std::unique_ptr<QuestionEmbedder> questions;
  std::unique_ptr<ChatService> chat;
  std::unique_ptr<ApiHandler> api;
  std::unique_ptr<AdminHandler> admin;
  std::unique_ptr<IoThreads> io;
  std::unique_ptr<HttpServer> api_server;
  std::unique_ptr<HttpServer> admin_server;
  asio::io_context signals_context;
  asio::signal_set signals{signals_context};

  explicit Parts(const Settings& given) : settings(given), keys(given.keys) {}
  ~Parts() { stop(); }
  bool open(std::string& error);
  bool open_cache(std::string& error);
  bool bind(std::string& error);
  void wait_for_signal();
  void stop();
};

bool Gateway::Parts::open(std::string& error) {
  // A port in use is found out before a model is loaded.
  if (!HttpServer::is_free(settings.server.listen, error) || !HttpServer::is_free(settings.server.admin, error)) {
    return false;
  }
  log = std::make_unique<RequestLog>(STDOUT_FILENO, settings.server.log_requests, metrics);
  if (!open_cache(error)) return false;
  std::vector<ModelTable::Model> opened;
  if (!open_models(settings, *log, opened, error)) return false;
  models = std::make_unique<ModelTable>(std::move(opened), settings.default_model);
  questions = std::make_unique<QuestionEmbedder>(embedder.get());
  chat = std::make_unique<ChatService>(settings.cache, *models, *cache, *questions);
  return bind(error);
}

bool Gateway::Parts::open_cache(std::string& error) {
  if (settings.cache.semantic && !settings.embedding_model.empty()) {
    const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    embedder = embed::LocalEmbedder::open(settings.embedding_model, threads, error);
    if (!embedder) return false;
  }
  settings.cache.semantic = embedder != nullptr;
  cache = cache::ResponseCache::open(settings.cache, embedder ? embedder->identity() : "",
                                     embedder ? embedder->dimension() : 0, error);
  return cache != nullptr;
}

bool Gateway::Parts::bind(std::string& error) {
  const Services services{&state, &keys, models.get(), chat.get(), cache.get(), &metrics, log.get()};
  api = std::make_unique<ApiHandler>(services);
  admin = std::make_unique<AdminHandler>(services, print_config(settings), [this] { signals_context.stop(); });
  io = std::make_unique<IoThreads>(settings.server.threads);
  const HttpLimits limits = limits_of(settings.server);
  api_server = HttpServer::bind(*io, io->size(), settings.server.listen, *api, limits, error);
  if (!api_server) return false;
  admin_server = HttpServer::bind(*io, 1, settings.server.admin, *admin, limits, error);
  return admin_server != nullptr;
}

void Gateway::Parts::wait_for_signal() {
  signals.async_wait([this](const ErrorCode& error, int signal) {
    if (error) return;
    if (signal != SIGHUP) return signals_context.stop();
    log->event("SIGHUP: reloading the configuration is not in this version; nothing has changed");
    wait_for_signal();
  });
}

// First the threads that run coroutines, then the threads that wake coroutines (engines before the cache, which takes
// their answers), then the coroutines themselves, while the sockets, flights and logs that they point to are still
// there.
void Gateway::Parts::stop() {
  if (io) io->stop();
  if (admin) admin->stop();
  if (questions) questions->stop();
  if (models) models->close();
  models.reset();
  cache.reset();
  if (api_server) api_server->release();
  if (admin_server) admin_server->release();
  io.reset();
}

Gateway::Gateway(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Gateway::~Gateway() = default;

std::unique_ptr<Gateway> Gateway::open(const Settings& settings, std::string& error) {
  auto parts = std::make_unique<Parts>(settings);
  if (!parts->open(error)) return nullptr;
  return std::unique_ptr<Gateway>(new Gateway(std::move(parts)));
}

void Gateway::start() {
  std::signal(SIGPIPE, SIG_IGN);  // a log that nobody reads is an error of write(2), not the end
  parts_->api_server->start();
  parts_->admin_server->start();
  parts_->io->start();
  parts_->state.ready = true;
  parts_->log->event("listening on http://" + listen_address().text() + ", admin on http://" + admin_address().text());
}

void Gateway::wait() {
  parts_->signals.add(SIGTERM);
  parts_->signals.add(SIGINT);
  parts_->signals.add(SIGHUP);
  parts_->wait_for_signal();
  const auto guard = asio::make_work_guard(parts_->signals_context);
  parts_->signals_context.run();
}

void Gateway::drain() {
  parts_->state.draining = true;
  parts_->log->event("draining");
  parts_->api_server->close_connections();
  const auto deadline = std::chrono::steady_clock::now() + parts_->settings.server.drain_timeout;
  while (parts_->api_server->requests_running() > 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
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
