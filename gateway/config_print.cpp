#include "gateway/config.hpp"
#include "gateway/config_store.hpp"
#include "gateway/config_values.hpp"
#include "gateway/json_text.hpp"
#include "gateway/upstream_url.hpp"

#include <yaml-cpp/yaml.h>

namespace kvasir::gateway {
namespace {

constexpr const char* kMasked = "********";

std::string decimal(double number) {
  std::string text;
  append_number(text, number);
  return text;
}

void print_server(YAML::Emitter& out, const ServerSettings& server) {
  out << YAML::Key << "server" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "listen" << YAML::Value << server.listen.text();
  out << YAML::Key << "admin" << YAML::Value << server.admin.text();
  out << YAML::Key << "threads" << YAML::Value << server.threads;
  out << YAML::Key << "max_body_bytes" << YAML::Value << print_bytes(server.max_body_bytes);
  out << YAML::Key << "max_header_bytes" << YAML::Value << print_bytes(server.max_header_bytes);
  out << YAML::Key << "max_connections" << YAML::Value << server.max_connections;
  out << YAML::Key << "max_connections_per_address" << YAML::Value << server.max_connections_per_address;
  out << YAML::Key << "cors_origins" << YAML::Value << YAML::Flow << server.cors_origins;
  if (server.tls) {
    out << YAML::Key << "tls" << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "certificate" << YAML::Value << server.tls->certificate;
    out << YAML::Key << "key" << YAML::Value << server.tls->key << YAML::EndMap;
  }
  out << YAML::Key << "header_timeout" << YAML::Value << print_duration(server.header_timeout);
  out << YAML::Key << "body_timeout" << YAML::Value << print_duration(server.body_timeout);
  out << YAML::Key << "idle_timeout" << YAML::Value << print_duration(server.idle_timeout);
  out << YAML::Key << "write_timeout" << YAML::Value << print_duration(server.write_timeout);
  out << YAML::Key << "stream_keepalive" << YAML::Value << print_duration(server.stream_keepalive);
  out << YAML::Key << "drain_timeout" << YAML::Value << print_duration(server.drain_timeout);
  out << YAML::Key << "log_requests" << YAML::Value << server.log_requests;
  out << YAML::Key << "log_prompts" << YAML::Value << server.log_prompts;
  out << YAML::EndMap;
}

void print_auth(YAML::Emitter& out, const Settings& settings) {
  out << YAML::Key << "auth" << YAML::Value << YAML::BeginMap << YAML::Key << "keys" << YAML::Value << YAML::BeginSeq;
  for (const KeySettings& key : settings.keys) {
    out << YAML::BeginMap;
    out << YAML::Key << "name" << YAML::Value << key.name;
    out << YAML::Key << "sha256" << YAML::Value << kMasked;
    out << YAML::Key << "tenant" << YAML::Value << key.tenant;
    out << YAML::Key << "requests_per_minute" << YAML::Value << key.requests_per_minute;
    out << YAML::Key << "tokens_per_minute" << YAML::Value << key.tokens_per_minute;
    if (!key.models.empty()) out << YAML::Key << "models" << YAML::Value << YAML::Flow << key.models;
    out << YAML::Key << "priority" << YAML::Value << key.priority;
    out << YAML::Key << "budget_usd_per_day" << YAML::Value << decimal(in_usd(key.budget_per_day));
    out << YAML::EndMap;
  }
  out << YAML::EndSeq;
  if (!settings.admin_sha256.empty()) {
    out << YAML::Key << "admin" << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "sha256" << YAML::Value << kMasked << YAML::EndMap;
  }
  out << YAML::EndMap;
}

void print_engine(YAML::Emitter& out, const engine::EngineSettings& engine) {
  out << YAML::Key << "engine" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "gguf" << YAML::Value << engine.gguf;
  if (!engine.chat_template.empty()) out << YAML::Key << "chat_template" << YAML::Value << engine.chat_template;
  out << YAML::Key << "device" << YAML::Value << "auto";
  out << YAML::Key << "kv_type" << YAML::Value
      << std::string(kernels::kKvTypeNames.at(static_cast<std::size_t>(engine.kv_type)));
  out << YAML::Key << "kv_memory" << YAML::Value << print_bytes(engine.kv_memory);
  out << YAML::Key << "max_sequences" << YAML::Value << engine.max_sequences;
  out << YAML::Key << "max_queue" << YAML::Value << engine.max_queue;
  out << YAML::Key << "max_context" << YAML::Value << engine.max_context;
  out << YAML::Key << "step_tokens" << YAML::Value << engine.step_tokens;
  out << YAML::Key << "prefill_slowdown" << YAML::Value << engine.prefill_slowdown;
  out << YAML::Key << "threads" << YAML::Value << engine.threads;
  const bool lru = engine.kv_eviction == engine::EvictionKind::lru;
  out << YAML::Key << "kv_eviction" << YAML::Value << (lru ? "lru" : "pgdsf");
  if (!engine.kv_disk.empty()) {
    out << YAML::Key << "kv_disk" << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "path" << YAML::Value << engine.kv_disk;
    out << YAML::Key << "size" << YAML::Value << print_bytes(engine.kv_disk_size);
    out << YAML::EndMap;
  }
  out << YAML::Key << "speculation" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "prompt_lookup" << YAML::Value << engine.speculation.prompt_lookup;
  out << YAML::Key << "max_tokens" << YAML::Value << engine.speculation.max_tokens;
  out << YAML::EndMap;
  if (!engine.draft.empty()) out << YAML::Key << "draft" << YAML::Value << engine.draft;
  if (!engine.lora.empty()) out << YAML::Key << "lora" << YAML::Value << YAML::BeginSeq;
  for (const engine::LoraSettings& adapter : engine.lora) {
    out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << adapter.name;
    out << YAML::Key << "path" << YAML::Value << adapter.path;
    out << YAML::Key << "scale" << YAML::Value << adapter.scale << YAML::EndMap;
  }
  if (!engine.lora.empty()) out << YAML::EndSeq;
  out << YAML::EndMap;
}

void print_upstream(YAML::Emitter& out, const UpstreamSettings& upstream) {
  out << YAML::BeginMap;
  out << YAML::Key << "base_url" << YAML::Value << upstream.base_url;
  if (!upstream.api_key.empty()) out << YAML::Key << "api_key" << YAML::Value << kMasked;
  out << YAML::Key << "model" << YAML::Value << upstream.model;
  out << YAML::Key << "connect_timeout" << YAML::Value << print_duration(upstream.connect_timeout);
  out << YAML::Key << "timeout" << YAML::Value << print_duration(upstream.timeout);
  out << YAML::Key << "idle_timeout" << YAML::Value << print_duration(upstream.idle_timeout);
  out << YAML::Key << "weight" << YAML::Value << upstream.weight;
  out << YAML::Key << "priority" << YAML::Value << upstream.priority;
  if (!upstream.proxy.empty()) out << YAML::Key << "proxy" << YAML::Value << without_credentials(upstream.proxy);
  if (!upstream.ca_file.empty()) out << YAML::Key << "ca_file" << YAML::Value << upstream.ca_file;
  if (!upstream.tls_server_name.empty()) {
    out << YAML::Key << "tls_server_name" << YAML::Value << upstream.tls_server_name;
  }
  out << YAML::Key << "private_networks" << YAML::Value << YAML::Flow << upstream.private_networks;
  out << YAML::EndMap;
}

void print_price(YAML::Emitter& out, const Price& price) {
  const auto per_million = [](Price::PicoUsd per_token) { return decimal(static_cast<double>(per_token) * 1e-6); };
  out << YAML::Key << "price" << YAML::Value << YAML::Flow << YAML::BeginMap;
  out << YAML::Key << "input" << YAML::Value << per_million(price.input);
  out << YAML::Key << "cached_input" << YAML::Value << per_million(price.cached_input);
  out << YAML::Key << "output" << YAML::Value << per_million(price.output);
  out << YAML::EndMap;
}

std::string word_of(cache::DocumentMode mode) {
  return std::string(cache::kDocumentModes[static_cast<std::size_t>(mode)]);
}

void print_models(YAML::Emitter& out, const std::vector<ModelSettings>& models) {
  out << YAML::Key << "models" << YAML::Value << YAML::BeginSeq;
  for (const ModelSettings& model : models) {
    out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << model.name;
    if (model.engine) print_engine(out, *model.engine);
    if (!model.upstreams.empty()) {
      const bool weighted = model.routing == UpstreamRouting::weighted;
      out << YAML::Key << "routing" << YAML::Value << (weighted ? "weighted" : "affinity");
      out << YAML::Key << "upstreams" << YAML::Value << YAML::BeginSeq;
      for (const UpstreamSettings& upstream : model.upstreams) print_upstream(out, upstream);
      out << YAML::EndSeq;
    }
    if (!model.price.free()) print_price(out, model.price);
    if (model.documents) {
      out << YAML::Key << "cache" << YAML::Value << YAML::Flow << YAML::BeginMap;
      out << YAML::Key << "documents" << YAML::Value << word_of(*model.documents) << YAML::EndMap;
    }
    out << YAML::EndMap;
  }
  out << YAML::EndSeq;
}

void print_cache(YAML::Emitter& out, const cache::CacheSettings& cache) {
  out << YAML::Key << "cache" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "exact" << YAML::Value << YAML::Flow << YAML::BeginMap;
  out << YAML::Key << "enabled" << YAML::Value << cache.exact << YAML::EndMap;
  out << YAML::Key << "semantic" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "enabled" << YAML::Value << cache.semantic;
  out << YAML::Key << "policy" << YAML::Value << (cache.guards ? "guarded" : "threshold");
  out << YAML::Key << "threshold" << YAML::Value << cache.threshold;
  out << YAML::EndMap;
  out << YAML::Key << "documents" << YAML::Value << word_of(cache.documents);
  out << YAML::Key << "rules" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "personal" << YAML::Value << YAML::Flow << cache.rules.personal;
  out << YAML::Key << "realtime" << YAML::Value << YAML::Flow << cache.rules.realtime;
  if (cache.rules.realtime_ttl) {
    out << YAML::Key << "realtime_ttl" << YAML::Value << print_duration(*cache.rules.realtime_ttl);
  }
  out << YAML::EndMap;
  out << YAML::Key << "ttl" << YAML::Value << print_duration(cache.ttl);
  out << YAML::Key << "log_questions" << YAML::Value << cache.log_questions;
  print_store(out, cache);
  out << YAML::Key << "max_entries" << YAML::Value << cache.max_entries;
  out << YAML::Key << "max_bytes" << YAML::Value << print_bytes(cache.max_bytes);
  out << YAML::EndMap;
}

}  // namespace

std::string print_config(const Settings& settings) {
  YAML::Emitter out;
  out.SetFloatPrecision(6);
  out << YAML::BeginMap;
  print_server(out, settings.server);
  print_auth(out, settings);
  print_models(out, settings.models);
  out << YAML::Key << "default_model" << YAML::Value << settings.default_model;
  out << YAML::Key << "embedding" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "model" << YAML::Value << settings.embedding_model;
  if (!settings.embedding_name.empty()) out << YAML::Key << "name" << YAML::Value << settings.embedding_name;
  out << YAML::EndMap;
  print_cache(out, settings.cache);
  if (!settings.context_patterns.empty()) {
    out << YAML::Key << "rag" << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "context_patterns" << YAML::Value << settings.context_patterns << YAML::EndMap;
  }
  out << YAML::Key << "responses" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "ttl" << YAML::Value << print_duration(settings.responses.ttl);
  out << YAML::Key << "max_bytes" << YAML::Value << print_bytes(settings.responses.max_bytes) << YAML::EndMap;
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace kvasir::gateway
