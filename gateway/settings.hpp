// The configuration as plain values: made once by config.hpp, read by whoever is built from it, changed by nobody.
#pragma once

#include "cache/response_cache.hpp"
#include "engine/engine.hpp"
#include "gateway/money.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kvasir::gateway {

struct ListenAddress {
  std::string host = "127.0.0.1";  // an IP address or "localhost"; no brackets around IPv6
  std::uint16_t port = 0;          // 0: any free port

  bool loopback() const;
  std::string text() const;
  bool operator==(const ListenAddress&) const = default;
  static std::optional<ListenAddress> parse(std::string_view text);
};

// Files in PEM: the certificate with its chain, and its key.
struct TlsSettings {
  std::string certificate;
  std::string key;

  bool operator==(const TlsSettings&) const = default;
};

struct ServerSettings {
  ListenAddress listen{"127.0.0.1", 8080};
  ListenAddress admin{"127.0.0.1", 9090};
  std::uint64_t max_body_bytes = 32ULL << 20;
  std::uint32_t max_header_bytes = 32U << 10;
  int threads = 2;
  std::optional<TlsSettings> tls;                      // of `listen`
  std::vector<std::string> cors_origins;               // of web pages that may use the API; "*": all
  int max_connections = 10'000;                        // of `listen`
  int max_connections_per_address = 1'000;             // 0: no limit
  std::chrono::milliseconds header_timeout{30'000};    // from a request's first byte to the end of its headers
  std::chrono::milliseconds body_timeout{60'000};      // and a second longer for every 64 KiB that have come
  std::chrono::milliseconds idle_timeout{75'000};      // between two requests of a connection
  std::chrono::milliseconds write_timeout{60'000};     // and a second longer for every 64 KiB that the client has read
  std::chrono::milliseconds stream_keepalive{15'000};  // a comment on a stream when nothing else comes for so long
  std::chrono::milliseconds drain_timeout{60'000};     // what still runs then is cut off
  bool log_requests = true;
  bool log_prompts = false;  // the log has what users wrote
};

struct KeySettings {
  std::string name;
  std::string sha256;  // of the API key, 64 lower-case hexadecimal digits
  std::string tenant = "default";
  int requests_per_minute = 0;           // 0: no limit
  int tokens_per_minute = 0;             // 0: no limit
  std::vector<std::string> models = {};  // that it may use; empty: all
  NanoUsd budget_per_day = 0;            // of UTC; 0: no limit
  int priority = 0;                      // in an engine's queue; higher first
};

struct UpstreamSettings {
  std::string base_url;  // "http://host:port/v1"
  std::string api_key;   // sent as a bearer token; empty: none
  std::string model;     // the upstream's name of the model; empty: ours
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds timeout{60'000};       // from the request to the first byte of its answer, retries included
  std::chrono::milliseconds idle_timeout{60'000};  // between two reads of an answer
  int weight = 1;                                  // share of the requests within its priority
  int priority = 0;                                // lower first; the next one serves when none of these can
  std::string proxy;                               // "http://[USER:PASSWORD@]HOST:PORT"; empty: none
  std::string ca_file;                             // PEM; empty: the system's
  std::string tls_server_name;                     // whom the certificate must name; empty: the host of base_url
  std::vector<std::string> private_networks;       // "10.0.0.0/8": where the host's name may lead, besides the public

  bool operator==(const UpstreamSettings&) const = default;
};

enum class UpstreamRouting { affinity, weighted };

// Either `engine` or at least one of `upstreams`.
struct ModelSettings {
  std::string name;
  std::optional<engine::EngineSettings> engine;
  std::vector<UpstreamSettings> upstreams;
  UpstreamRouting routing = UpstreamRouting::affinity;
  Price price = {};
  std::optional<cache::DocumentMode> documents = {};  // of its answers in the cache; none: as cache.documents says

  bool operator==(const ModelSettings&) const = default;
};

// What clients call a model with one of its adapters.
inline std::string adapted_name(const std::string& model, const std::string& adapter) {
  return model + ":" + adapter;
}

// What /v1/responses keeps.
struct ResponseStoreSettings {
  std::chrono::seconds ttl{30LL * 24 * 3600};
  std::uint64_t max_bytes = 256ULL << 20;
};

struct Settings {
  ServerSettings server;
  std::vector<KeySettings> keys;
  std::string admin_sha256;  // of the admin listener's key; empty: it has none, and listens on loopback only
  std::vector<ModelSettings> models;
  std::string default_model;    // serves requests without `model`; empty: `model` is required
  std::string embedding_model;  // folder; empty: no semantic tier
  std::string embedding_name;   // what clients of /v1/embeddings call it; empty: the folder's name
  cache::CacheSettings cache;
  std::vector<std::string> context_patterns;  // rag::ContextPattern: prompts with documents, besides the known ones
  ResponseStoreSettings responses;
};

// What clients of /v1/embeddings call the embedder; empty: there is none.
std::string embedding_name(const Settings& settings);

}  // namespace kvasir::gateway
