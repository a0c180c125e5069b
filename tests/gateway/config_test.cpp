#include "gateway/config.hpp"

#include "gateway/config_values.hpp"

#include <filesystem>
#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

Environment variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

Config parse(std::string_view text, std::map<std::string, std::string> values = {}) {
  return parse_config(text, "k.yaml", variables(std::move(values)));
}

std::vector<std::string> messages(const Config& config) {
  std::vector<std::string> texts;
  for (const ConfigError& error : config.errors) texts.push_back(error.text());
  return texts;
}

constexpr std::string_view kModel = "models: [{name: m, upstream: {base_url: 'http://h:1/v1'}}]\n";

TEST(Config, takes_every_key_of_the_contract) {
  const Config config = parse(R"(
server: {listen: 127.0.0.1:8081, admin: "[::1]:9091", max_body_bytes: 33554432, threads: 3}
auth:
  keys:
    - {name: team-a, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", tenant: a,
       requests_per_minute: 600, tokens_per_minute: 200000, models: [mock], budget_usd_per_day: 2.5,
       priority: 5}
  admin: {sha256: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"}
models:
  - name: smollm2
    engine: {gguf: path/to/model.gguf, device: auto, kv_memory: 2GiB, kv_type: int8, max_sequences: 32, prefill_slowdown: 4,
             kv_disk: {path: kv, size: 2GiB},
             kv_eviction: lru, chat_template: gemma, speculation: {prompt_lookup: false, max_tokens: 5},
             lora: [{name: style, path: style.gguf, scale: 0.5}]}
  - name: mock
    upstream: {base_url: "http://127.0.0.1:9101/v1/", api_key: "${MOCK_KEY:-none}", model: mock, timeout: 90s}
    price: {input: 0.15, output: 0.60}
default_model: smollm2
embedding: {model: path/to/embedder, name: minilm}
responses: {ttl: 168h, max_bytes: 64MiB}
cache:
  exact: {enabled: false}
  semantic: {enabled: true, threshold: 0.9, policy: threshold, max_error_rate: 0.01}
  rules: {personal: [our canteen], realtime: [queue length, "hàng chờ"], realtime_ttl: 60s}
  ttl: 12h
  store: {kind: embedded, path: ./data}
  max_entries: 1000
)");
  ASSERT_THAT(messages(config), ElementsAre());
  const Settings& settings = config.settings;
  EXPECT_EQ(settings.server.listen.text(), "127.0.0.1:8081");
  EXPECT_EQ(settings.server.admin.text(), "[::1]:9091");
  EXPECT_EQ(settings.server.threads, 3);
  EXPECT_EQ(settings.keys.at(0).tokens_per_minute, 200000);
  EXPECT_THAT(settings.keys.at(0).models, ElementsAre("mock"));
  EXPECT_EQ(settings.keys.at(0).budget_per_day, 2'500'000'000);
  EXPECT_EQ(settings.keys.at(0).priority, 5);
  EXPECT_EQ(settings.admin_sha256.substr(0, 4), "cb00");
  EXPECT_EQ(settings.models.at(1).price, (Price{150'000, 150'000, 600'000}));
  EXPECT_EQ(settings.models.at(0).engine->kv_memory, 2ULL << 30);
  EXPECT_EQ(settings.models.at(0).engine->chat_template, "gemma");
  EXPECT_THAT(settings.models.at(0).engine->lora, ElementsAre(engine::LoraSettings{"style", "style.gguf", 0.5F}));
  EXPECT_EQ(settings.models.at(0).engine->kv_eviction, engine::EvictionKind::lru);
  EXPECT_EQ(settings.models.at(0).engine->prefill_slowdown, 4);
  EXPECT_EQ(settings.models.at(0).engine->kv_disk, "kv");
  EXPECT_EQ(settings.models.at(0).engine->kv_disk_size, 2ULL << 30);
  EXPECT_EQ(settings.models.at(0).engine->kv_type, kernels::KvType::int8);
  EXPECT_FALSE(settings.models.at(0).engine->speculation.prompt_lookup);
  EXPECT_EQ(settings.models.at(0).engine->speculation.max_tokens, 5);
  EXPECT_EQ(settings.models.at(1).upstreams.at(0).base_url, "http://127.0.0.1:9101/v1");
  EXPECT_EQ(settings.models.at(1).upstreams.at(0).api_key, "none");
  EXPECT_EQ(settings.models.at(1).upstreams.at(0).timeout, std::chrono::seconds(90));
  EXPECT_EQ(settings.embedding_name, "minilm");
  EXPECT_EQ(settings.responses.ttl, std::chrono::hours(7 * 24));
  EXPECT_EQ(settings.responses.max_bytes, 64ULL << 20);
  EXPECT_FALSE(settings.cache.exact);
  EXPECT_FALSE(settings.cache.guards);
  EXPECT_FLOAT_EQ(settings.cache.threshold, 0.9F);
  EXPECT_EQ(settings.cache.ttl, std::chrono::hours(12));
  EXPECT_THAT(settings.cache.rules.personal, ElementsAre("our canteen"));
  EXPECT_THAT(settings.cache.rules.realtime, ElementsAre("queue length", "hàng chờ"));
  EXPECT_EQ(settings.cache.rules.realtime_ttl, std::chrono::seconds(60));
  EXPECT_EQ(settings.cache.max_entries, 1000U);
}

TEST(Config, asks_for_nearer_neighbours_where_no_guard_judges_them) {
  const std::string policy = "cache: {semantic: {policy: ";
  EXPECT_FLOAT_EQ(parse(std::string(kModel) + policy + "guarded}}\n").settings.cache.threshold,
                  cache::guarded_threshold);
  EXPECT_FLOAT_EQ(parse(std::string(kModel) + policy + "threshold}}\n").settings.cache.threshold,
                  cache::bare_threshold);
}

TEST(Config, needs_no_key_but_a_model) {
  const Config config = parse(kModel);
  ASSERT_THAT(messages(config), ElementsAre());
  EXPECT_EQ(config.settings.server.listen.text(), "127.0.0.1:8080");
  EXPECT_EQ(config.settings.server.max_body_bytes, 32ULL << 20);
  EXPECT_EQ(config.settings.cache.ttl, std::chrono::hours(24));
}

TEST(Config, reports_all_errors_with_their_places) {
  const Config config = parse(
      "server: {listen: nowhere, thread: 2}\n"
      "models:\n"
      "  - {name: a, engine: {gguf: x, device: cuda}}\n"
      "  - {name: b}\n"
      "  - {name: c, engine: {gguf: x, kv_eviction: fifo}}\n"
      "cache:\n"
      "  ttl: soon\n");
  EXPECT_THAT(messages(config),
              ElementsAre(HasSubstr("k.yaml:1:18: server.listen is 'nowhere'"),
                          HasSubstr("k.yaml:1:27: unknown key 'server.thread'"),
                          HasSubstr("k.yaml:3:41: models[0].engine.device: 'cuda' is not available in this version"),
                          HasSubstr("k.yaml:4:5: model 'b' needs either engine or upstream"),
                          HasSubstr("k.yaml:5:46: models[2].engine.kv_eviction is 'fifo'"),
                          HasSubstr("k.yaml:7:8: cache.ttl is 'soon'")));
}

TEST(Config, wants_a_folder_for_kv_on_disk) {
  EXPECT_THAT(messages(parse("models: [{name: a, engine: {gguf: x, kv_disk: {size: 1GiB}}}]\n")),
              ElementsAre(HasSubstr("k.yaml:1:47: kv_disk needs path: a folder of its own")));
}

TEST(Config, refuses_a_slowdown_that_leaves_no_time) {
  EXPECT_THAT(messages(parse("models: [{name: a, engine: {gguf: x, prefill_slowdown: 0.5}}]\n")),
              ElementsAre(HasSubstr("k.yaml:1:56: prefill_slowdown must be above 1, or 0 for no limit")));
}

TEST(Config, knows_the_chat_templates_by_name) {
  EXPECT_THAT(
      messages(parse("models: [{name: a, engine: {gguf: x, chat_template: vicuna}}]\n")),
      ElementsAre(HasSubstr("k.yaml:1:53: models[0].engine.chat_template is 'vicuna'; expected chatml or gemma or "
                            "llama2 or llama3 or phi3 or mistral or plain")));
}

TEST(Config, says_where_the_yaml_itself_is_broken) {
  const Config config = parse("server: {listen: [1\n");
  ASSERT_EQ(config.errors.size(), 1U);
  EXPECT_GT(config.errors[0].line, 0);
}

TEST(Config, refuses_a_key_given_twice) {
  EXPECT_THAT(messages(parse("default_model: m\ndefault_model: m\n" + std::string(kModel))),
              ElementsAre(HasSubstr("k.yaml:2:1: key 'default_model' is given twice")));
}

TEST(Config, names_what_this_version_does_not_serve) {
  const Config config = parse(std::string(kModel) +
                              "embedding: {upstream: {base_url: x}}\n"
                              "cache: {semantic: {policy: bounded}}\n");
  ASSERT_EQ(config.errors.size(), 2U);
  for (const ConfigError& error : config.errors) EXPECT_THAT(error.message, HasSubstr("not available in this version"));
}

TEST(Config, loads_an_embedder_that_was_only_found_for_the_semantic_tier_alone) {
  const auto models = std::filesystem::path(testing::TempDir()) / "found-embedder";
  std::filesystem::create_directories(models / "all-minilm-l6-v2");
  std::ofstream(models / "all-minilm-l6-v2" / "model.safetensors") << "weights";
  const std::map<std::string, std::string> where{{"KVASIR_MODELS", models.string()}};
  const std::string off = std::string(kModel) + "cache: {semantic: {enabled: false}}\n";
  EXPECT_THAT(parse(kModel, where).settings.embedding_model, HasSubstr("all-minilm-l6-v2"));
  EXPECT_EQ(parse(off, where).settings.embedding_model, "");
  EXPECT_EQ(parse(off + "embedding: {model: other}\n", where).settings.embedding_model, "other");
}

TEST(Config, lets_the_environment_win_over_the_file) {
  const Config config = parse("server: {threads: 2}\n" + std::string(kModel),
                              {{"KVASIR_SERVER_THREADS", "5"}, {"KVASIR_CACHE_STORE_PATH", "/data"}});
  ASSERT_THAT(messages(config), ElementsAre());
  EXPECT_EQ(config.settings.server.threads, 5);
  EXPECT_EQ(config.settings.cache.path, "/data");
}

TEST(Config, names_the_variable_that_holds_a_bad_value) {
  EXPECT_THAT(messages(parse(kModel, {{"KVASIR_SERVER_THREADS", "many"}})),
              ElementsAre(HasSubstr("server.threads is 'many' (from KVASIR_SERVER_THREADS)")));
}

TEST(Config, expands_variables_and_names_missing_ones) {
  const std::string text = "models: [{name: m, upstream: {base_url: 'http://${HOST}:${PORT:-80}/v1'}}]";
  EXPECT_EQ(parse(text, {{"HOST", "up"}}).settings.models.at(0).upstreams.at(0).base_url, "http://up:80/v1");
  EXPECT_THAT(messages(parse(text)), testing::Contains(HasSubstr("environment variable HOST is not set")));
}

TEST(Config, keeps_the_names_of_models_and_embedder_apart) {
  EXPECT_THAT(messages(parse(std::string(kModel) + "embedding: {name: m}\n")),
              ElementsAre(HasSubstr("embedding.name 'm' is that of a model already")));
  EXPECT_THAT(messages(parse(std::string(kModel) + "responses: {max_bytes: 1KiB}\n")), SizeIs(1));
}

TEST(Config, keeps_the_names_of_models_and_adapters_apart) {
  const std::string adapted = "  - {name: a, engine: {gguf: m.gguf, lora: [{name: b, path: b.gguf}]}}\n";
  const std::string plain = "  - {name: 'a:b', engine: {gguf: m.gguf}}\n";
  EXPECT_THAT(messages(parse("models:\n" + adapted + plain)),
              ElementsAre(HasSubstr("k.yaml:3:12: model 'a:b' is given twice")));
  EXPECT_THAT(messages(parse("models:\n" + plain + adapted)),
              ElementsAre(HasSubstr("k.yaml:3:12: model 'a:b' is given twice")));
}

TEST(Config, lets_keys_and_the_default_name_an_adapter) {
  const std::string text =
      "models: [{name: a, engine: {gguf: m.gguf, lora: [{name: b, path: b.gguf}]}}]\n"
      "auth:\n"
      "  keys:\n"
      "    - name: k\n"
      "      sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
  EXPECT_THAT(messages(parse("default_model: 'a:b'\n" + text + "      models: [a, 'a:b']\n")), ElementsAre());
  EXPECT_THAT(messages(parse(text + "      models: [a, 'a:c']\n")), ElementsAre(HasSubstr("'a:c', which is none")));
}

TEST(Config, listens_beyond_loopback_only_with_keys) {
  const std::string open = "server: {listen: 0.0.0.0:80}\n" + std::string(kModel);
  EXPECT_THAT(messages(parse(open)), ElementsAre(HasSubstr("listens on loopback only")));
  const std::string key =
      "auth: {keys: [{name: k, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}]}\n";
  EXPECT_THAT(messages(parse(open + key)), ElementsAre());
}

TEST(Config, takes_what_an_open_network_needs) {
  const Config config = parse(
      "server:\n"
      "  cors_origins: ['https://a.example', 'http://localhost:3000']\n"
      "  tls: {certificate: c.pem, key: k.pem}\n"
      "  max_connections: 5\n"
      "  max_connections_per_address: 0\n"
      "  stream_keepalive: 5s\n" +
      std::string(kModel));
  ASSERT_THAT(messages(config), ElementsAre());
  const ServerSettings& server = config.settings.server;
  EXPECT_THAT(server.cors_origins, ElementsAre("https://a.example", "http://localhost:3000"));
  EXPECT_EQ(server.tls->certificate, "c.pem");
  EXPECT_EQ(server.tls->key, "k.pem");
  EXPECT_EQ(server.max_connections, 5);
  EXPECT_EQ(server.max_connections_per_address, 0);
  EXPECT_EQ(server.stream_keepalive, std::chrono::seconds(5));
  EXPECT_THAT(messages(parse(print_config(config.settings))), ElementsAre());
  EXPECT_FALSE(parse(kModel).settings.server.tls);
}

TEST(Config, names_half_a_certificate_and_an_origin_that_is_none) {
  EXPECT_THAT(
      messages(parse("server:\n  tls: {key: k.pem}\n  cors_origins: [https://a.example/]\n" + std::string(kModel))),
      ElementsAre(HasSubstr("k.yaml:2:8: server.tls needs certificate and key"),
                  HasSubstr("k.yaml:3:17: server.cors_origins: 'https://a.example/' is neither")));
}

TEST(Config, listens_for_the_admin_beyond_loopback_only_with_its_key) {
  const std::string open = "server: {admin: 0.0.0.0:9090}\n" + std::string(kModel);
  EXPECT_THAT(messages(parse(open)),
              ElementsAre(HasSubstr("without auth.admin.sha256 the admin API listens on loopback")));
  EXPECT_THAT(messages(parse("auth: {admin: {sha256: "
                             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}}\n" +
                             open)),
              ElementsAre());
}

TEST(Config, refuses_keys_that_fit_no_model_or_are_given_twice) {
  const std::string key = "{name: k, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_THAT(messages(parse("auth: {keys: [" + key + ", models: [x]}]}\n" + std::string(kModel))),
              ElementsAre(HasSubstr("names the model 'x', which is none")));
  EXPECT_THAT(messages(parse("auth: {keys: [" + key + "}, " + key + "}]}\n" + std::string(kModel))),
              ElementsAre(HasSubstr("this key is given twice")));
  EXPECT_THAT(messages(parse("auth: {keys: [" + key + ", budget_usd_per_day: -1}]}\n" + std::string(kModel))),
              ElementsAre(HasSubstr("budget_usd_per_day is '-1'; expected a number from 0")));
}

TEST(Config, refuses_an_upstream_that_could_not_be_served) {
  for (const std::string url : {"ftp://h/v1", "http://me:secret@h/v1", "http://:80/v1", "http://h:65536/v1",
                                "http://h:0/v1", "http://h/v1?key=secret", "http://h x/v1"}) {
    const auto errors = messages(parse("models: [{name: m, upstream: {base_url: '" + url + "'}}]\n"));
    ASSERT_EQ(errors.size(), 1U) << url;
    EXPECT_THAT(errors[0], testing::AllOf(HasSubstr("upstream needs base_url"), testing::Not(HasSubstr("secret"))));
  }
}

TEST(Config, prints_itself_without_secrets_and_reads_that_back) {
  const Config config = parse(
      "auth: {keys: [{name: k, sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, models: [m], "
      "budget_usd_per_day: 0.75}]}\n"
      "models: [{name: m, upstream: {base_url: 'http://h:1/v1', api_key: sk-secret}, price: {input: 0.15, output: "
      "0.6}}]\n");
  ASSERT_THAT(messages(config), ElementsAre());
  const std::string printed = print_config(config.settings);
  EXPECT_THAT(printed, testing::Not(HasSubstr("sk-secret")));
  EXPECT_THAT(printed, testing::Not(HasSubstr("ba7816bf")));
  EXPECT_EQ(parse(printed).settings.models.at(0).price, config.settings.models.at(0).price);
  EXPECT_EQ(parse(printed).settings.keys.at(0).budget_per_day, 750'000'000);
  // Only the masked digest is not a value any more.
  EXPECT_THAT(messages(parse(printed)), ElementsAre(HasSubstr("sha256 must be 64")));
}

TEST(ConfigValues, read_sizes_and_durations_with_units) {
  EXPECT_EQ(parse_bytes("2GiB"), 2ULL << 30);
  EXPECT_EQ(parse_bytes("1.5 KiB"), 1536U);
  EXPECT_EQ(parse_bytes("10MB"), 10'000'000U);
  EXPECT_EQ(parse_bytes("12 bananas"), std::nullopt);
  EXPECT_EQ(parse_bytes("-1"), std::nullopt);
  EXPECT_EQ(parse_duration("250ms"), std::chrono::milliseconds(250));
  EXPECT_EQ(parse_duration("24h"), std::chrono::hours(24));
  EXPECT_EQ(parse_duration("60"), std::chrono::seconds(60));
  EXPECT_EQ(parse_duration("h"), std::nullopt);
}

}  // namespace
}  // namespace kvasir::gateway
