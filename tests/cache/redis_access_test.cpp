// TLS with a certificate that is verified, and a user who may do what the store does and no more.
#include "tests/cache/redis_server.hpp"

#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

// What README.md tells an operator to grant.
constexpr const char* granted =
    "+ping +select +evalsha +eval +script|load +hset +hmget +del +pexpireat +zadd +zrem +zscan +zrange +zrangebyscore "
    "+zremrangebyscore +zscore +get +set +xadd +xread +xrange +xrevrange +time +cluster|slots";

class Access : public testing::Test {
 protected:
  void SetUp() override {
    if (!redis_is_installed()) GTEST_SKIP() << "redis-server is not installed";
  }

  // A certificate for 127.0.0.1, signed by its own key.
  std::string certificate(const std::string& name) const {
    const std::string base = (folder_.path() / name).string();
    EXPECT_EQ(
        run_program({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                     "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", base + ".key", "-out", base + ".pem"}),
        0);
    return base;
  }
  static std::string refusal(const RedisSettings& settings) {
    std::string error;
    EXPECT_FALSE(RedisConnection::open(settings.urls.front().node, settings, error));
    return error;
  }
  static bool served(ResponseCache& cache, const Asked& asked) { return !!cache.find_exact(asked.key(), {}).entry; }

  TemporaryFolder folder_;
};

TEST_F(Access, OverTlsEverythingIsTheSame) {
  const std::string own = certificate("redis");
  RedisServer server({"--tls-cert-file", own + ".pem", "--tls-key-file", own + ".key", "--tls-auth-clients", "no",
                      "--tls-ca-cert-file", own + ".pem"},
                     true);
  ASSERT_TRUE(server.start());
  CacheSettings settings = server.cache_settings();
  settings.redis->urls.front().tls = true;
  settings.redis->ca_file = own + ".pem";
  std::string error;
  ASSERT_TRUE(eventually([&] {
    return RedisConnection::open(settings.redis->urls.front().node, *settings.redis, error) != nullptr;
  })) << error;
  const auto a = open_cache(settings);
  const auto b = open_cache(settings);
  // Larger than what TLS sends in one record.
  const std::string text(200'000, 'x');
  ASSERT_TRUE(store(*a, Asked().key(), answer(text), {.vector = at_angle(0)}));
  ASSERT_TRUE(eventually([&] { return served(*b, Asked()); }));
  EXPECT_EQ(text_of(b->find_exact(Asked().key(), {})), text);
  EXPECT_EQ(b->invalidate({.all = true}), 1U);
  EXPECT_TRUE(eventually([&] { return !served(*a, Asked()); }));

  RedisSettings stranger = *settings.redis;
  stranger.ca_file = certificate("stranger") + ".pem";
  EXPECT_NE(refusal(stranger).find("certificate verify failed"), std::string::npos) << refusal(stranger);
  RedisSettings other_name = *settings.redis;
  other_name.tls_server_name = "redis.example";
  EXPECT_NE(refusal(other_name).find("ostname mismatch"), std::string::npos) << refusal(other_name);
  RedisSettings plain = *settings.redis;
  for (RedisUrl& url : plain.urls) url.tls = false;
  EXPECT_NE(refusal(plain), "");
}

TEST_F(Access, AServerThatWantsACertificateGetsOne) {
  const std::string own = certificate("redis");
  RedisServer server(
      {"--tls-cert-file", own + ".pem", "--tls-key-file", own + ".key", "--tls-ca-cert-file", own + ".pem"}, true);
  ASSERT_TRUE(server.start());
  RedisSettings settings = server.settings();
  settings.urls.front().tls = true;
  settings.ca_file = own + ".pem";
  EXPECT_NE(refusal(settings), "");
  settings.certificate = own + ".pem";
  settings.key = own + ".key";
  std::string error;
  EXPECT_TRUE(eventually([&] { return RedisConnection::open(settings.urls.front().node, settings, error) != nullptr; }))
      << error;
}

TEST_F(Access, AUserWhoMayDoNoMoreThanIsNeededIsEnough) {
  RedisServer server;
  ASSERT_TRUE(server.start());
  std::vector<std::string> rule{"ACL", "SETUSER", "kvasir", "on", ">pass word", "~kvasir:*"};
  std::istringstream commands{std::string(granted)};
  for (std::string command; commands >> command;) rule.push_back(command);
  EXPECT_FALSE(server.command({rule.begin(), rule.end()}).is_error());
  EXPECT_FALSE(server.command({"ACL", "SETUSER", "default", "off"}).is_error());

  CacheSettings settings = server.cache_settings();
  settings.redis->urls.front().user = "kvasir";
  settings.redis->urls.front().password = "pass word";
  const auto a = open_cache(settings);
  const auto b = open_cache(settings);
  Asked asked;
  asked.documents = {{"d1", "text", "", "", ""}};
  ASSERT_TRUE(store(*a, asked.key(), answer("a"), {.tags = {"t"}, .id = "kve-1"}));
  ASSERT_TRUE(eventually([&] { return served(*b, asked); }));
  EXPECT_EQ(open_cache(settings)->stats().entries, 1U);
  EXPECT_EQ(b->invalidate({.documents = {"d1"}}), 1U);
  EXPECT_TRUE(eventually([&] { return !served(*a, asked); }));

  RedisSettings wrong = *settings.redis;
  wrong.urls.front().password = "guess";
  EXPECT_NE(refusal(wrong).find("WRONGPASS"), std::string::npos);
  EXPECT_EQ(refusal(wrong).find("guess"), std::string::npos) << "passwords stay out of logs";
}

TEST_F(Access, ThePasswordOfTheDefaultUserAndADatabaseAreUsed) {
  RedisServer server({"--requirepass", "secret"});
  CacheSettings settings = server.cache_settings();
  settings.redis->urls.front().password = "secret";
  settings.redis->urls.front().database = 3;
  ASSERT_TRUE(server.start());
  const auto a = open_cache(settings);
  ASSERT_TRUE(store(*a, Asked().key(), answer("a")));
  EXPECT_EQ(open_cache(settings)->stats().entries, 1U);
  settings.redis->urls.front().database = 4;
  EXPECT_EQ(open_cache(settings)->stats().entries, 0U);
  EXPECT_NE(refusal(server.settings()).find("NOAUTH"), std::string::npos);
}

}  // namespace
}  // namespace kvasir::cache::test
