#include "gateway/config_store.hpp"

#include "gateway/config_values.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

// Redis has the answers; spending and responses stay with the gateway. Two of them on one machine must not share that.
std::string own_folder(const ServerSettings& server) {
  return "./kvasir-data/listen-" + std::to_string(server.listen.port);
}

// The texts of url or urls, with the key that they stand under.
std::vector<std::string> read_urls(ConfigSection& section, std::string& key) {
  std::string url;
  std::vector<std::string> urls;
  section.read("url", url);
  section.read("urls", urls);
  if (!url.empty() && !urls.empty()) {
    section.error(section.mark("urls"), "cache.store has url and urls; give one of them");
  }
  key = urls.empty() ? "url" : "urls";
  if (urls.empty() && !url.empty()) urls.push_back(url);
  if (urls.empty()) {
    section.error(section.mark(),
                  "cache.store of kind redis needs url: redis://HOST:PORT, or urls: nodes of a cluster");
  }
  return urls;
}

void read_nodes(ConfigSection& section, cache::RedisSettings& redis) {
  std::string key;
  const std::vector<std::string> texts = read_urls(section, key);
  bool understood = true;
  for (const std::string& text : texts) {
    std::string problem;
    // The text may hold a password: it is not repeated.
    if (auto url = cache::RedisUrl::parse(text, problem)) {
      redis.urls.push_back(std::move(*url));
    } else {
      understood = false;
      section.error(section.mark(key), problem.insert(0, "cache.store." + key + ": "));
    }
  }
  redis.cluster = key == "urls";
  section.read("cluster", redis.cluster);
  if (!understood || redis.urls.empty()) return;
  const cache::RedisUrl& first = redis.urls.front();
  if (redis.urls.size() > 1 && !redis.cluster) {
    section.error(section.mark("cluster"), "cache.store.urls names several nodes: only a cluster has them");
  }
  if (redis.cluster && first.database != 0) {
    section.error(section.mark(key), "cache.store." + key + ": a cluster has database 0 only");
  }
  const bool alike = std::all_of(redis.urls.begin(), redis.urls.end(), [&](cache::RedisUrl url) {
    url.node = first.node;
    return url == first;
  });
  if (!alike) section.error(section.mark(key), "cache.store.urls may differ in host and port only");
}

cache::RedisSettings read_redis(ConfigSection& section) {
  cache::RedisSettings redis;
  read_nodes(section, redis);
  section.read("prefix", redis.prefix);
  if (redis.prefix.empty() || redis.prefix.find_first_of("{}") != std::string::npos) {
    section.error(section.mark("prefix"), "cache.store.prefix must be a word without braces, such as kvasir");
  }
  section.read("timeout", redis.timeout);
  section.read("connect_timeout", redis.connect_timeout);
  section.read_or_none("serve_disconnected", redis.serve_disconnected);
  section.read("ca_file", redis.ca_file);
  section.read("tls_server_name", redis.tls_server_name);
  section.read("certificate", redis.certificate);
  section.read("key", redis.key);
  if (redis.certificate.empty() != redis.key.empty()) {
    section.error(section.mark(redis.key.empty() ? "certificate" : "key"),
                  "cache.store needs both of certificate and key, or neither");
  }
  return redis;
}

void print_redis(YAML::Emitter& out, const cache::RedisSettings& redis) {
  out << YAML::Key << "urls" << YAML::Value << YAML::BeginSeq;
  for (const cache::RedisUrl& url : redis.urls) out << url.masked();
  out << YAML::EndSeq;
  out << YAML::Key << "cluster" << YAML::Value << redis.cluster;
  out << YAML::Key << "prefix" << YAML::Value << redis.prefix;
  out << YAML::Key << "timeout" << YAML::Value << print_duration(redis.timeout);
  out << YAML::Key << "connect_timeout" << YAML::Value << print_duration(redis.connect_timeout);
  out << YAML::Key << "serve_disconnected" << YAML::Value << print_duration(redis.serve_disconnected);
  const auto print = [&](const char* key, const std::string& text) {
    if (!text.empty()) out << YAML::Key << key << YAML::Value << text;
  };
  print("ca_file", redis.ca_file);
  print("tls_server_name", redis.tls_server_name);
  print("certificate", redis.certificate);
  print("key", redis.key);
}

}  // namespace

void read_store(ConfigSection section, const ServerSettings& server, cache::CacheSettings& cache) {
  const bool is_redis = section.read_word("kind", {"embedded", "redis"}, {}) == "redis";
  std::string path = is_redis ? own_folder(server) : cache.path;
  section.read("path", path);
  cache.path = path;
  if (is_redis) {
    cache.redis = read_redis(section);
  } else {
    for (const char* key : {"url", "urls", "cluster"}) section.only_if(key, "cache.store.kind is redis");
  }
  section.finish();
}

void print_store(YAML::Emitter& out, const cache::CacheSettings& cache) {
  out << YAML::Key << "store" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "kind" << YAML::Value << (cache.redis ? "redis" : "embedded");
  out << YAML::Key << "path" << YAML::Value << cache.path;
  if (cache.redis) print_redis(out, *cache.redis);
  out << YAML::EndMap;
}

}  // namespace kvasir::gateway
