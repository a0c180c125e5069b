// The YAML of upstreams.
#include "gateway/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Config parse(std::string_view text) {
  return parse_config(text, "k.yaml", [](const std::string&) { return std::nullopt; });
}

std::vector<std::string> messages(const Config& config) {
  std::vector<std::string> texts;
  for (const ConfigError& error : config.errors) texts.push_back(error.text());
  return texts;
}

constexpr std::string_view kAll = R"(
models:
  - name: m
    routing: weighted
    upstreams:
      - {base_url: "https://a.example/v1/", api_key: sk-a, model: theirs, connect_timeout: 1s, timeout: 90s,
         idle_timeout: 20s, weight: 3, priority: 0, ca_file: ca.pem, tls_server_name: other.example,
         proxy: "http://me:secret@proxy:3128", private_networks: [10.0.0.0/8, "fd00::/8"]}
      - {base_url: "http://10.0.0.1:80/v1", priority: 1}
)";

TEST(UpstreamConfig, takes_several_upstreams_with_all_their_keys) {
  const Config config = parse(kAll);
  ASSERT_THAT(messages(config), ElementsAre());
  const ModelSettings& model = config.settings.models.at(0);
  EXPECT_EQ(model.routing, UpstreamRouting::weighted);
  ASSERT_EQ(model.upstreams.size(), 2U);
  const UpstreamSettings& first = model.upstreams[0];
  EXPECT_EQ(first.base_url, "https://a.example/v1");
  EXPECT_EQ(first.connect_timeout, std::chrono::seconds(1));
  EXPECT_EQ(first.timeout, std::chrono::seconds(90));
  EXPECT_EQ(first.idle_timeout, std::chrono::seconds(20));
  EXPECT_EQ(first.weight, 3);
  EXPECT_EQ(first.ca_file, "ca.pem");
  EXPECT_EQ(first.tls_server_name, "other.example");
  EXPECT_THAT(first.private_networks, ElementsAre("10.0.0.0/8", "fd00::/8"));
  EXPECT_EQ(model.upstreams[1].priority, 1);
  EXPECT_EQ(model.upstreams[1].connect_timeout, std::chrono::seconds(5));
}

TEST(UpstreamConfig, routes_by_affinity_unless_told_otherwise) {
  const Config config = parse("models: [{name: m, upstream: {base_url: 'http://h:1/v1'}}]\n");
  ASSERT_THAT(messages(config), ElementsAre());
  EXPECT_EQ(config.settings.models.at(0).routing, UpstreamRouting::affinity);
}

TEST(UpstreamConfig, says_what_is_wrong_and_where) {
  const Config config = parse(
      "models:\n"
      "  - name: m\n"
      "    routing: random\n"
      "    upstreams:\n"
      "      - {base_url: 'http://h/v1', weight: 0}\n"
      "      - {base_url: 'http://h/v1', proxy: 'socks5://p:1'}\n"
      "      - {base_url: 'http://h/v1', private_networks: [10.0.0.0/40]}\n"
      "      - {base_url: 'http://h/v1', private_networks: here}\n"
      "      - {weight: 1}\n"
      "  - {name: both, upstream: {base_url: 'http://h/v1'}, upstreams: [{base_url: 'http://h/v1'}]}\n"
      "  - {name: none, upstreams: []}\n");
  EXPECT_THAT(
      messages(config),
      ElementsAre(HasSubstr("k.yaml:3:14: models[0].routing is 'random'; expected affinity or weighted"),
                  HasSubstr("k.yaml:5:43: models[0].upstreams[0].weight is '0'"),
                  HasSubstr("k.yaml:6:42: proxy must be of the form"),
                  HasSubstr("k.yaml:7:53: '10.0.0.0/40' is no network"), HasSubstr("k.yaml:8:53: 'here' is no network"),
                  HasSubstr("k.yaml:9:9: upstream needs base_url"),
                  HasSubstr("model 'both' has upstream and upstreams; give one of them"),
                  HasSubstr("model 'none' needs either engine or upstream")));
}

TEST(UpstreamConfig, is_printed_without_secrets_and_reads_back) {
  const Config config = parse(kAll);
  const std::string printed = print_config(config.settings);
  EXPECT_THAT(printed, Not(HasSubstr("sk-a")));
  EXPECT_THAT(printed, Not(HasSubstr("secret")));
  const Config again = parse(printed);
  ASSERT_THAT(messages(again), ElementsAre());
  EXPECT_EQ(print_config(again.settings), printed);
  EXPECT_EQ(again.settings.models.at(0).routing, UpstreamRouting::weighted);
  EXPECT_EQ(again.settings.models.at(0).upstreams.size(), 2U);
}

TEST(UpstreamConfig, shows_no_secret_of_a_proxy_that_it_cannot_read) {
  const Config config =
      parse("models: [{name: m, upstream: {base_url: 'http://h/v1', proxy: 'https://me:secret@p:1'}}]\n");
  ASSERT_EQ(config.errors.size(), 1U);
  EXPECT_THAT(config.errors[0].message, Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace kvasir::gateway
