// cache.store: what is understood, what is refused and where, what is shown.
#include "gateway/config.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Config parse(std::string_view store, std::map<std::string, std::string> values = {}) {
  const std::string text =
      "models: [{name: m, upstream: {base_url: 'http://h:1/v1'}}]\ncache:\n  store:\n" + std::string(store);
  return parse_config(text, "k.yaml", [values = std::move(values)](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  });
}

std::vector<std::string> messages(const Config& config) {
  std::vector<std::string> texts;
  for (const ConfigError& error : config.errors) texts.push_back(error.text());
  return texts;
}

TEST(StoreConfig, IsEmbeddedUnlessItIsSaid) {
  const Config config = parse("    {path: /data}\n");
  ASSERT_THAT(messages(config), ElementsAre());
  EXPECT_FALSE(config.settings.cache.redis);
  EXPECT_EQ(config.settings.cache.path, "/data");
}

TEST(StoreConfig, TakesTheUrlOfOneServer) {
  const Config config = parse("    {kind: redis, url: 'redis://127.0.0.1:6379'}\n");
  ASSERT_THAT(messages(config), ElementsAre());
  ASSERT_TRUE(config.settings.cache.redis);
  const cache::RedisSettings& redis = *config.settings.cache.redis;
  ASSERT_EQ(redis.urls.size(), 1U);
  EXPECT_EQ(redis.urls[0].node.text(), "127.0.0.1:6379");
  EXPECT_FALSE(redis.urls[0].tls);
  EXPECT_FALSE(redis.cluster);
  EXPECT_EQ(redis.serve_disconnected.count(), 0);
  EXPECT_EQ(config.settings.cache.path, "./kvasir-data/listen-8080") << "two gateways in one folder need two";
}

TEST(StoreConfig, TakesUserPasswordDatabaseAndTls) {
  const Config config = parse(
      "    {kind: redis, url: 'rediss://ann:${SECRET}@[::1]:7000/3', ca_file: ca.pem, tls_server_name: redis.example,\n"
      "     certificate: c.pem, key: k.pem, timeout: 50ms, connect_timeout: 2s, serve_disconnected: 5s, prefix: "
      "shop}\n",
      {{"SECRET", "p%40ss"}});
  ASSERT_THAT(messages(config), ElementsAre());
  const cache::RedisSettings& redis = *config.settings.cache.redis;
  EXPECT_EQ(redis.urls[0].node.text(), "[::1]:7000");
  EXPECT_EQ(redis.urls[0].user, "ann");
  EXPECT_EQ(redis.urls[0].password, "p@ss");
  EXPECT_EQ(redis.urls[0].database, 3);
  EXPECT_TRUE(redis.urls[0].tls);
  EXPECT_EQ(redis.ca_file, "ca.pem");
  EXPECT_EQ(redis.tls_server_name, "redis.example");
  EXPECT_EQ(redis.certificate, "c.pem");
  EXPECT_EQ(redis.timeout.count(), 50);
  EXPECT_EQ(redis.serve_disconnected.count(), 5000);
  EXPECT_EQ(redis.prefix, "shop");
}

TEST(StoreConfig, SeveralNodesAreACluster) {
  const Config config = parse("    kind: redis\n    urls: [redis://a, 'redis://b:7001']\n");
  ASSERT_THAT(messages(config), ElementsAre());
  EXPECT_TRUE(config.settings.cache.redis->cluster);
  EXPECT_EQ(config.settings.cache.redis->urls[1].node.text(), "b:7001");
  EXPECT_TRUE(parse("    {kind: redis, url: redis://a, cluster: true}\n").settings.cache.redis->cluster);
}

TEST(StoreConfig, SaysWhereAMistakeIs) {
  EXPECT_THAT(messages(parse("    kind: redis\n")),
              ElementsAre(HasSubstr("k.yaml:4:5: cache.store of kind redis needs url")));
  EXPECT_THAT(messages(parse("    kind: redis\n    url: http://a\n")),
              ElementsAre(HasSubstr("k.yaml:5:10: cache.store.url: expected redis://")));
  EXPECT_THAT(messages(parse("    kind: redis\n    url: redis://a\n    urls: [redis://b]\n")),
              ElementsAre(HasSubstr("k.yaml:6:11: cache.store has url and urls")));
  EXPECT_THAT(messages(parse("    kind: redis\n    urls: [redis://a/1]\n")),
              ElementsAre(HasSubstr("k.yaml:5:11: cache.store.urls: a cluster has database 0 only")));
  EXPECT_THAT(messages(parse("    kind: redis\n    urls: [redis://a, rediss://b]\n")),
              ElementsAre(HasSubstr("may differ in host and port only")));
  EXPECT_THAT(messages(parse("    kind: redis\n    cluster: false\n    urls: [redis://a, redis://b]\n")),
              ElementsAre(HasSubstr("k.yaml:5:14: cache.store.urls names several nodes")));
  EXPECT_THAT(messages(parse("    kind: redis\n    url: redis://a\n    prefix: 'a{b}'\n")),
              ElementsAre(HasSubstr("k.yaml:6:13: cache.store.prefix")));
  EXPECT_THAT(messages(parse("    kind: redis\n    url: redis://a\n    serve_disconnected: ever\n")),
              ElementsAre(HasSubstr("k.yaml:6:25: cache.store.serve_disconnected is 'ever'")));
  EXPECT_THAT(messages(parse("    kind: redis\n    url: redis://a\n    key: k.pem\n")),
              ElementsAre(HasSubstr("k.yaml:6:10: cache.store needs both of certificate and key")));
  EXPECT_THAT(messages(parse("    kind: embedded\n    url: redis://a\n")),
              ElementsAre(HasSubstr("k.yaml:5:10: cache.store.url has a meaning only if cache.store.kind is redis")));
}

TEST(StoreConfig, RefusesUrlsThatNobodyCanMean) {
  for (const char* url : {"redis://", "redis://:6379", "redis://a:0", "redis://a:70000", "redis://a:x", "redis://a/x",
                          "redis://a/-1", "redis://user@a", "redis://user:@a", "redis://u:%zz@a", "redis://a?db=1",
                          "redis://a b", "redis://::1", "a:6379", ""}) {
    std::string error;
    EXPECT_FALSE(cache::RedisUrl::parse(url, error)) << url;
    EXPECT_NE(error, "");
  }
}

TEST(StoreConfig, ComesFromTheEnvironmentToo) {
  const Config config =
      parse("    {path: /data}\n", {{"KVASIR_CACHE_STORE_KIND", "redis"}, {"KVASIR_CACHE_STORE_URL", "redis://a:1"}});
  ASSERT_THAT(messages(config), ElementsAre());
  EXPECT_EQ(config.settings.cache.redis->urls[0].node.text(), "a:1");
  EXPECT_EQ(config.settings.cache.path, "/data");
}

TEST(StoreConfig, ShowsEverythingButThePassword) {
  const std::string store =
      "    {kind: redis, url: 'rediss://ann:secret@a:7000/3', serve_disconnected: 5s, ca_file: c}\n";
  const Config config = parse(store);
  const std::string shown = print_config(config.settings);
  EXPECT_THAT(shown, Not(HasSubstr("secret")));
  const Config again = parse_config(shown, "shown.yaml", [](const std::string&) { return std::nullopt; });
  ASSERT_THAT(messages(again), ElementsAre());
  cache::RedisSettings expected = *config.settings.cache.redis;
  expected.urls[0].password = "*****";
  EXPECT_EQ(*again.settings.cache.redis, expected);
}

}  // namespace
}  // namespace kvasir::gateway
