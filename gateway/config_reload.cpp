#include "gateway/config_reload.hpp"

#include <algorithm>

#include <sys/stat.h>

namespace kvasir::gateway {
namespace {

class Waiting {
 public:
  // Puts `wanted` back to what runs.
  template <typename Value>
  void keep(const char* name, const Value& running, Value& wanted) {
    if (running == wanted) return;
    names_.emplace_back(name);
    wanted = running;
  }
  void note(std::string name) { names_.push_back(std::move(name)); }
  std::vector<std::string> take() { return std::move(names_); }

 private:
  std::vector<std::string> names_;
};

void keep_server(const ServerSettings& running, ServerSettings& wanted, Waiting& waiting) {
  waiting.keep("server.listen", running.listen, wanted.listen);
  waiting.keep("server.admin", running.admin, wanted.admin);
  waiting.keep("server.threads", running.threads, wanted.threads);
  waiting.keep("server.max_body_bytes", running.max_body_bytes, wanted.max_body_bytes);
  waiting.keep("server.max_header_bytes", running.max_header_bytes, wanted.max_header_bytes);
  waiting.keep("server.header_timeout", running.header_timeout, wanted.header_timeout);
  waiting.keep("server.body_timeout", running.body_timeout, wanted.body_timeout);
  waiting.keep("server.idle_timeout", running.idle_timeout, wanted.idle_timeout);
  waiting.keep("server.write_timeout", running.write_timeout, wanted.write_timeout);
  waiting.keep("server.stream_keepalive", running.stream_keepalive, wanted.stream_keepalive);
  waiting.keep("server.max_connections", running.max_connections, wanted.max_connections);
  waiting.keep("server.max_connections_per_address", running.max_connections_per_address,
               wanted.max_connections_per_address);
  waiting.keep("server.cors_origins", running.cors_origins, wanted.cors_origins);
  waiting.keep("server.tls", running.tls, wanted.tls);
}

void keep_cache(const Settings& running, Settings& wanted, Waiting& waiting) {
  waiting.keep("embedding.model", running.embedding_model, wanted.embedding_model);
  waiting.keep("embedding.name", running.embedding_name, wanted.embedding_name);
  if (wanted.embedding_model.empty()) wanted.cache.semantic = false;
  waiting.keep("cache.exact.enabled", running.cache.exact, wanted.cache.exact);
  waiting.keep("cache.semantic.enabled", running.cache.semantic, wanted.cache.semantic);
  waiting.keep("cache.log_questions", running.cache.log_questions, wanted.cache.log_questions);
  waiting.keep("cache.store", running.cache.redis, wanted.cache.redis);
  waiting.keep("cache.store.path", running.cache.path, wanted.cache.path);
  waiting.keep("cache.max_entries", running.cache.max_entries, wanted.cache.max_entries);
  waiting.keep("cache.max_bytes", running.cache.max_bytes, wanted.cache.max_bytes);
  waiting.keep("responses.ttl", running.responses.ttl, wanted.responses.ttl);
  waiting.keep("responses.max_bytes", running.responses.max_bytes, wanted.responses.max_bytes);
}

const ModelSettings* find_model(const std::vector<ModelSettings>& models, const std::string& name) {
  const auto found = std::find_if(models.begin(), models.end(), [&](const auto& model) { return model.name == name; });
  return found == models.end() ? nullptr : &*found;
}

// A model in process stays as it was loaded, prices aside.
void keep_engines(const Settings& running, Settings& wanted, Waiting& waiting) {
  std::vector<ModelSettings> models;
  for (ModelSettings& model : wanted.models) {
    const ModelSettings* known = find_model(running.models, model.name);
    const bool runs = known != nullptr && known->engine;
    const bool same = runs && known->engine == model.engine;
    if (same || (!runs && !model.engine)) {
      models.push_back(std::move(model));
      continue;
    }
    waiting.note("models[" + model.name + "]");
    if (!runs) continue;
    models.push_back(*known);
    models.back().price = model.price;
  }
  for (const ModelSettings& known : running.models) {
    if (!known.engine || find_model(models, known.name) != nullptr) continue;
    waiting.note("models[" + known.name + "]");
    models.push_back(known);
  }
  wanted.models = std::move(models);
  if (!wanted.default_model.empty() && find_model(wanted.models, wanted.default_model) == nullptr) {
    waiting.note("default_model");
    const bool there = find_model(wanted.models, running.default_model) != nullptr;
    wanted.default_model = there ? running.default_model : "";
  }
}

}  // namespace

LiveChange live_part(const Settings& running, Settings wanted) {
  Waiting waiting;
  keep_server(running.server, wanted.server, waiting);
  keep_cache(running, wanted, waiting);
  keep_engines(running, wanted, waiting);
  return {std::move(wanted), waiting.take()};
}

ConfigReload::ConfigReload(std::string path, LiveSnapshot& live, UpstreamHooks hooks, SpendLedger* ledger,
                           Metrics& metrics, RequestLog& log)
    : path_(std::move(path)),
      live_(&live),
      hooks_(std::move(hooks)),
      ledger_(ledger),
      metrics_(&metrics),
      log_(&log),
      taken_(stamp()),
      seen_(taken_) {
  metrics_->config_loaded(true);
}

ConfigReload::Stamp ConfigReload::stamp() const {
  struct stat file {};
  if (path_.empty() || ::stat(path_.c_str(), &file) != 0) return {};
  const auto nanoseconds = static_cast<std::uint64_t>(file.st_mtim.tv_sec) * 1'000'000'000 +
                           static_cast<std::uint64_t>(file.st_mtim.tv_nsec);
  return {static_cast<std::uint64_t>(file.st_dev), static_cast<std::uint64_t>(file.st_ino),
          static_cast<std::uint64_t>(file.st_size), nanoseconds};
}

bool ConfigReload::changed() {
  const Stamp now = stamp();
  const bool rested = now == std::exchange(seen_, now);
  return rested && now != taken_ && now != Stamp{};  // an editor may remove the file for a moment
}

bool ConfigReload::refuse(const std::vector<std::string>& errors) {
  metrics_->config_loaded(false);
  for (const std::string& error : errors) log_->event("the configuration was not reloaded: " + error);
  return false;
}

bool ConfigReload::reload() {
  if (path_.empty()) return refuse({"it was not read from a file"});
  taken_ = seen_ = stamp();
  Config config = load_config(path_, process_environment());
  if (!config.errors.empty()) {
    std::vector<std::string> errors;
    for (const ConfigError& error : config.errors) errors.push_back(error.text());
    return refuse(errors);
  }
  const SnapshotPtr before = live_->get();
  LiveChange change = live_part(before->settings, std::move(config.settings));
  if (const std::string open = open_to_all(change.settings); !open.empty()) return refuse({open});
  std::string error;
  SnapshotPtr next = make_snapshot(std::move(change.settings), hooks_, ledger_, before.get(), error);
  if (!next) return refuse({error});
  log_->set_requests(next->settings.server.log_requests);
  live_->set(std::move(next));
  metrics_->config_loaded(true);
  log_->event("the configuration was reloaded");
  for (const std::string& name : change.waiting) log_->event(name + " changes with the next start only");
  return true;
}

}  // namespace kvasir::gateway
