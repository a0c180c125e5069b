#include "gateway/config.hpp"

#include "engine/chat_defaults.hpp"
#include "gateway/config_section.hpp"
#include "gateway/config_store.hpp"
#include "gateway/cors.hpp"
#include "gateway/network.hpp"
#include "gateway/upstream_url.hpp"
#include "rag/context_pattern.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <tuple>

#include <fmt/format.h>

namespace kvasir::gateway {
namespace {

std::optional<TlsSettings> read_tls(ConfigSection section) {
  TlsSettings tls;
  section.read("certificate", tls.certificate);
  section.read("key", tls.key);
  section.finish();
  if (tls.certificate.empty() && tls.key.empty() && !section.present()) return std::nullopt;
  if (tls.certificate.empty() || tls.key.empty()) {
    section.error(section.mark(), "server.tls needs certificate and key: the paths of two PEM files");
  }
  return tls;
}

void read_server(ConfigSection section, ServerSettings& server) {
  section.read("listen", server.listen);
  section.read("admin", server.admin);
  section.read("threads", server.threads, 1, 256);
  section.read_bytes("max_body_bytes", server.max_body_bytes, 1024, 1ULL << 32);
  std::uint64_t header_bytes = server.max_header_bytes;
  section.read_bytes("max_header_bytes", header_bytes, 1024, 1ULL << 20);
  server.max_header_bytes = static_cast<std::uint32_t>(header_bytes);
  section.read("header_timeout", server.header_timeout);
  section.read("body_timeout", server.body_timeout);
  section.read("idle_timeout", server.idle_timeout);
  section.read("write_timeout", server.write_timeout);
  section.read("drain_timeout", server.drain_timeout);
  section.read("log_requests", server.log_requests);
  section.read("log_prompts", server.log_prompts);
  section.read("max_connections", server.max_connections, 1, 1'000'000);
  section.read("max_connections_per_address", server.max_connections_per_address, 0, 1'000'000);
  section.read("stream_keepalive", server.stream_keepalive);
  section.read("cors_origins", server.cors_origins);
  for (const std::string& origin : server.cors_origins) {
    if (is_cors_origin(origin)) continue;
    section.error(section.mark("cors_origins"),
                  "server.cors_origins: '" + origin + "' is neither * nor an origin such as https://app.example.com");
  }
  server.tls = read_tls(section.section("tls"));
  section.finish();
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

constexpr const char* kBadDigest = "sha256 must be 64 lower-case hexadecimal digits: printf %s KEY | sha256sum";

void read_keys(ConfigSection& auth, std::vector<KeySettings>& keys) {
  for (ConfigSection& item : auth.list("keys")) {
    KeySettings key;
    item.read("name", key.name);
    item.read("sha256", key.sha256);
    item.read("tenant", key.tenant);
    item.read("requests_per_minute", key.requests_per_minute, 0, 1'000'000'000);
    item.read("tokens_per_minute", key.tokens_per_minute, 0, 1'000'000'000);
    item.read("models", key.models);
    item.read("priority", key.priority, -100, 100);
    double usd_per_day = 0;
    item.read("budget_usd_per_day", usd_per_day, 0.0, 1e9);
    key.budget_per_day = std::llround(usd_per_day * static_cast<double>(kNanoPerUsd));
    item.finish();
    if (!is_sha256(key.sha256)) item.error(item.mark("sha256"), kBadDigest);
    const bool twice =
        std::any_of(keys.begin(), keys.end(), [&](const KeySettings& other) { return other.sha256 == key.sha256; });
    if (twice) item.error(item.mark("sha256"), "this key is given twice");
    keys.push_back(std::move(key));
  }
}

void read_auth(ConfigSection auth, Settings& settings) {
  read_keys(auth, settings.keys);
  ConfigSection admin = auth.section("admin");
  admin.read("sha256", settings.admin_sha256);
  if (!settings.admin_sha256.empty() && !is_sha256(settings.admin_sha256)) {
    admin.error(admin.mark("sha256"), kBadDigest);
  }
  admin.finish();
  auth.finish();
}

Price read_price(ConfigSection section) {
  double input = 0;
  double output = 0;
  section.read("input", input, 0.0, Price::kMaxPerMillion);
  double cached_input = input;
  section.read("cached_input", cached_input, 0.0, Price::kMaxPerMillion);
  section.read("output", output, 0.0, Price::kMaxPerMillion);
  section.finish();
  return {Price::per_token(input), Price::per_token(cached_input), Price::per_token(output)};
}

void read_adapters(ConfigSection& engine, std::vector<engine::LoraSettings>& adapters) {
  for (ConfigSection& item : engine.list("lora")) {
    engine::LoraSettings adapter;
    item.read("name", adapter.name);
    item.read("path", adapter.path);
    item.read("scale", adapter.scale, -100.0F, 100.0F);
    item.finish();
    if (adapter.name.empty() || adapter.path.empty())
      item.error(item.mark(), "an adapter needs a name and the path of a GGUF file or of a folder that PEFT saved");
    const bool twice = std::any_of(adapters.begin(), adapters.end(),
                                   [&](const engine::LoraSettings& other) { return other.name == adapter.name; });
    if (twice) item.error(item.mark("name"), "adapter '" + adapter.name + "' is given twice");
    adapters.push_back(std::move(adapter));
  }
}

engine::EngineSettings read_engine(ConfigSection section) {
  engine::EngineSettings engine;
  section.read("gguf", engine.gguf);
  engine.chat_template =
      section.read_word("chat_template", {engine::kChatTemplateNames.begin(), engine::kChatTemplateNames.end()}, {});
  section.read_word("device", {"auto", "cpu"}, {"cuda"});
  const auto& types = kernels::kKvTypeNames;
  const std::string type = section.read_word("kv_type", {types.begin(), types.end()}, {});
  if (!type.empty())
    engine.kv_type = static_cast<kernels::KvType>(std::find(types.begin(), types.end(), type) - types.begin());
  section.read_bytes("kv_memory", engine.kv_memory, 1ULL << 20, 1ULL << 44);
  section.read("max_sequences", engine.max_sequences, 1, 4096);
  section.read("max_queue", engine.max_queue, 0, 1'000'000);
  section.read("max_context", engine.max_context, 0, 1 << 24);
  section.read("step_tokens", engine.step_tokens, 16, 1 << 16);
  section.read("prefill_slowdown", engine.prefill_slowdown, 0.0, 1000.0);
  if (engine.prefill_slowdown > 0 && engine.prefill_slowdown <= 1)
    section.error(section.mark("prefill_slowdown"), "prefill_slowdown must be above 1, or 0 for no limit");
  section.read("threads", engine.threads, 0, 1024);
  if (section.read_word("kv_eviction", {"pgdsf", "lru"}, {}) == "lru") engine.kv_eviction = engine::EvictionKind::lru;
  ConfigSection disk = section.section("kv_disk");
  disk.read("path", engine.kv_disk);
  disk.read_bytes("size", engine.kv_disk_size, 1ULL << 20, 1ULL << 50);
  disk.finish();
  if (disk.present() && engine.kv_disk.empty()) disk.error(disk.mark(), "kv_disk needs path: a folder of its own");
  ConfigSection speculation = section.section("speculation");
  speculation.read("prompt_lookup", engine.speculation.prompt_lookup);
  speculation.read("max_tokens", engine.speculation.max_tokens, 0, engine::SpeculationSettings::kMostTokens);
  speculation.finish();
  section.read("draft", engine.draft);
  read_adapters(section, engine.lora);
  section.finish();
  if (engine.gguf.empty()) section.error(section.mark(), "engine needs gguf: the path of a model file");
  return engine;
}

UpstreamSettings read_upstream(ConfigSection section) {
  UpstreamSettings upstream;
  section.read("base_url", upstream.base_url);
  section.read("api_key", upstream.api_key);
  section.read("model", upstream.model);
  section.read("connect_timeout", upstream.connect_timeout);
  section.read("timeout", upstream.timeout);
  section.read("idle_timeout", upstream.idle_timeout);
  section.read("weight", upstream.weight, 1, 1000);
  section.read("priority", upstream.priority, 0, 1000);
  section.read("proxy", upstream.proxy);
  section.read("ca_file", upstream.ca_file);
  section.read("tls_server_name", upstream.tls_server_name);
  section.read("private_networks", upstream.private_networks);
  section.finish();
  while (upstream.base_url.ends_with('/')) upstream.base_url.pop_back();
  if (!UpstreamUrl::parse(upstream.base_url)) {
    section.error(section.mark("base_url"),
                  "upstream needs base_url: http://HOST:PORT/v1 or https://HOST/v1, without user or query; a key goes "
                  "into api_key");
  }
  if (!upstream.proxy.empty() && !ProxyUrl::parse(upstream.proxy)) {
    section.error(section.mark("proxy"), "proxy must be of the form http://[USER:PASSWORD@]HOST:PORT");
  }
  for (const std::string& network : upstream.private_networks) {
    if (Network::parse(network)) continue;
    section.error(section.mark("private_networks"), "'" + network + "' is no network such as 10.0.0.0/8");
  }
  return upstream;
}

constexpr std::size_t kMaxUpstreams = 64;  // of a model

void read_upstreams(ConfigSection& item, ConfigSection& single, std::vector<ConfigSection>& list,
                    ModelSettings& model) {
  if (single.present() && !list.empty()) {
    item.error(item.mark("upstreams"), "model '" + model.name + "' has upstream and upstreams; give one of them");
  } else if (list.size() > kMaxUpstreams) {
    item.error(item.mark("upstreams"), "a model has at most " + std::to_string(kMaxUpstreams) + " upstreams");
  }
  if (single.present()) model.upstreams.push_back(read_upstream(single));
  for (ConfigSection& section : list) model.upstreams.push_back(read_upstream(section));
}

// What clients may name: the model, and it with each of its adapters.
std::vector<std::string> names_of(const ModelSettings& model) {
  std::vector<std::string> names{model.name};
  if (!model.engine) return names;
  for (const engine::LoraSettings& adapter : model.engine->lora)
    names.push_back(adapted_name(model.name, adapter.name));
  return names;
}

bool known_model(const std::vector<ModelSettings>& models, const std::string& name) {
  return std::any_of(models.begin(), models.end(), [&](const ModelSettings& model) {
    const auto names = names_of(model);
    return std::find(names.begin(), names.end(), name) != names.end();
  });
}

std::optional<cache::DocumentMode> read_documents(ConfigSection& section) {
  const auto& modes = cache::kDocumentModes;
  const std::string mode = section.read_word("documents", {modes.begin(), modes.end()}, {});
  if (mode.empty()) return std::nullopt;
  return static_cast<cache::DocumentMode>(std::find(modes.begin(), modes.end(), mode) - modes.begin());
}

void read_models(ConfigSection& root, std::vector<ModelSettings>& models) {
  for (ConfigSection& item : root.list("models")) {
    ModelSettings model;
    item.read("name", model.name);
    ConfigSection engine = item.section("engine");
    ConfigSection upstream = item.section("upstream");
    std::vector<ConfigSection> upstreams = item.list("upstreams");
    if (item.read_word("routing", {"affinity", "weighted"}, {}) == "weighted") {
      model.routing = UpstreamRouting::weighted;
    }
    model.price = read_price(item.section("price"));
    ConfigSection cache = item.section("cache");
    model.documents = read_documents(cache);
    cache.finish();
    item.finish();
    if (model.name.empty()) item.error(item.mark(), "a model needs a name");
    const bool elsewhere = upstream.present() || !upstreams.empty();
    if (engine.present() == elsewhere) {
      item.error(item.mark(), "model '" + model.name + "' needs either engine or upstream");
    } else if (engine.present()) {
      model.engine = read_engine(engine);
    } else {
      read_upstreams(item, upstream, upstreams, model);
    }
    for (const std::string& name : names_of(model))
      if (known_model(models, name)) item.error(item.mark("name"), "model '" + name + "' is given twice");
    models.push_back(std::move(model));
  }
}

void read_cache(ConfigSection section, const ServerSettings& server, cache::CacheSettings& cache) {
  ConfigSection exact = section.section("exact");
  exact.read("enabled", cache.exact);
  exact.finish();
  ConfigSection semantic = section.section("semantic");
  semantic.read("enabled", cache.semantic);
  const std::string policy = semantic.read_word("policy", {"guarded", "threshold"}, {"bounded"});
  if (!policy.empty()) cache.guards = policy == "guarded";
  if (!cache.guards) cache.threshold = cache::bare_threshold;
  semantic.read("threshold", cache.threshold, -1.0F, 1.0F);
  float max_error_rate = 0.01F;  // speaks to the policy `bounded` only
  semantic.read("max_error_rate", max_error_rate, 0.0F, 1.0F);
  semantic.finish();
  ConfigSection rules = section.section("rules");
  rules.read("personal", cache.rules.personal);
  rules.read("realtime", cache.rules.realtime);
  std::chrono::seconds realtime_ttl{0};
  rules.read("realtime_ttl", realtime_ttl);
  if (realtime_ttl.count() > 0) cache.rules.realtime_ttl = realtime_ttl;
  rules.finish();
  section.read("ttl", cache.ttl);
  section.read("log_questions", cache.log_questions);
  cache.documents = read_documents(section).value_or(cache.documents);
  read_store(section.section("store"), server, cache);
  int entries = static_cast<int>(cache.max_entries);
  section.read("max_entries", entries, 1, 1'000'000'000);
  cache.max_entries = static_cast<std::size_t>(entries);
  section.read_bytes("max_bytes", cache.max_bytes, 1ULL << 20, 1ULL << 50);
  section.finish();
}

void read_rag(ConfigSection section, std::vector<std::string>& patterns) {
  section.read("context_patterns", patterns);
  for (const std::string& pattern : patterns) {
    const std::string wrong = rag::ContextPattern::complaint(pattern);
    if (!wrong.empty())
      section.error(section.mark("context_patterns"), fmt::format("'{}' is no pattern: {}", pattern, wrong));
  }
  section.finish();
}

void read_responses(ConfigSection section, ResponseStoreSettings& responses) {
  section.read("ttl", responses.ttl);
  section.read_bytes("max_bytes", responses.max_bytes, 1ULL << 20, 1ULL << 40);
  section.finish();
}

void check_whole(const ConfigSection& root, const Settings& settings) {
  if (settings.models.empty()) {
    root.error(root.mark("models"), "no model is configured; give at least one under models");
  }
  if (!settings.default_model.empty() && !known_model(settings.models, settings.default_model)) {
    root.error(root.mark("default_model"), "default_model '" + settings.default_model + "' is none of the models");
  }
  if (known_model(settings.models, settings.embedding_name)) {
    root.error(root.mark("embedding"), "embedding.name '" + settings.embedding_name + "' is that of a model already");
  }
  if (const auto open = open_to_all(settings); !open.empty()) root.error(root.mark("server"), open);
  for (const KeySettings& key : settings.keys) {
    for (const std::string& name : key.models) {
      if (known_model(settings.models, name) || name == embedding_name(settings)) continue;
      root.error(root.mark("auth"), "key '" + key.name + "' names the model '" + name + "', which is none");
    }
  }
}

void read_root(ConfigSection& root, Settings& settings) {
  read_server(root.section("server"), settings.server);
  read_auth(root.section("auth"), settings);
  read_models(root, settings.models);
  root.read("default_model", settings.default_model);
  read_cache(root.section("cache"), settings.server, settings.cache);
  // One that was only found is there for the semantic tier; /v1/embeddings comes along.
  if (!settings.cache.semantic) settings.embedding_model.clear();
  ConfigSection embedding = root.section("embedding");
  embedding.read("model", settings.embedding_model);
  embedding.read("name", settings.embedding_name);
  embedding.not_available("upstream");
  embedding.finish();
  read_rag(root.section("rag"), settings.context_patterns);
  read_responses(root.section("responses"), settings.responses);
  root.finish();
  check_whole(root, settings);
}

// The embedder that deploy/run.sh has fetched; empty if it is not there.
std::string find_embedder(const std::string& folder) {
  std::error_code ignored;
  const auto embedder = std::filesystem::path(folder) / "all-minilm-l6-v2";
  return std::filesystem::exists(embedder / "model.safetensors", ignored) ? embedder.string() : "";
}

// Models that deploy/run.sh has fetched: the default of whoever has no file.
void add_found_models(const std::string& folder, Settings& settings) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    engine::EngineSettings engine;
    engine.gguf = file.string();
    settings.models.push_back({file.stem().string(), std::move(engine), {}, {}, {}});
  }
  if (!settings.models.empty()) settings.default_model = settings.models.front().name;
  settings.embedding_model = find_embedder(folder);
}

}  // namespace

std::string open_to_all(const Settings& settings) {
  if (settings.keys.empty() && !settings.server.listen.loopback()) {
    return "without keys under auth the gateway listens on loopback only, not on " + settings.server.listen.text() +
           "; add a key or listen on 127.0.0.1";
  }
  if (settings.admin_sha256.empty() && !settings.server.admin.loopback()) {
    return "without auth.admin.sha256 the admin API listens on loopback only, not on " + settings.server.admin.text() +
           "; add its key or listen on 127.0.0.1";
  }
  return "";
}

std::string ConfigError::text() const {
  if (line == 0) return file.empty() ? message : file + ": " + message;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + message;
}

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

Config parse_config(std::string_view text, const std::string& file, const Environment& environment) {
  Config config;
  const ConfigSource source{file, &environment, &config.errors};
  try {
    const YAML::Node node = YAML::Load(std::string(text));
    ConfigSection root(source, node, "");
    config.settings.embedding_model = find_embedder(model_folder(environment));
    read_root(root, config.settings);
  } catch (const YAML::Exception& problem) {
    source.error(problem.mark, problem.msg);
  }
  std::stable_sort(config.errors.begin(), config.errors.end(), [](const ConfigError& a, const ConfigError& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  return config;
}

Config load_config(const std::string& path, const Environment& environment) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    Config config;
    config.errors.push_back({path, 0, 0, "cannot be read"});
    return config;
  }
  return parse_config(text.str(), path, environment);
}

Config default_config(const Environment& environment) {
  Config config;
  const ConfigSource source{"", &environment, &config.errors};
  const std::string folder = model_folder(environment);
  add_found_models(folder, config.settings);
  if (config.settings.models.empty()) {
    config.errors.push_back(
        {"", 0, 0, "no kvasir.yaml here and no model in " + folder + "; run deploy/run.sh once or give --config FILE"});
    return config;
  }
  ConfigSection root(source, YAML::Node(YAML::NodeType::Undefined), "");
  // Models were found, not read; everything else takes its environment variables as usual.
  Settings found = config.settings;
  read_server(root.section("server"), found.server);
  root.read("default_model", found.default_model);
  root.section("embedding").read("model", found.embedding_model);
  root.section("embedding").read("name", found.embedding_name);
  read_cache(root.section("cache"), found.server, found.cache);
  read_responses(root.section("responses"), found.responses);
  check_whole(root, found);
  config.settings = std::move(found);
  return config;
}

std::string model_folder(const Environment& environment) {
  const auto set = [&](const char* name) { return environment(name).value_or(""); };
  if (const auto models = set("KVASIR_MODELS"); !models.empty()) return models;
  if (const auto cache = set("XDG_CACHE_HOME"); !cache.empty()) return cache + "/kvasir/models";
  return set("HOME") + "/.cache/kvasir/models";
}

}  // namespace kvasir::gateway
