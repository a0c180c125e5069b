// What holds for every endpoint of the API, over real sockets.
#include "tests/gateway/test_gateway.hpp"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kKey = "Authorization: Bearer abc\r\n";

TestResponse head_of(const TestGateway& gateway, const std::string& method, const std::string& path) {
  TestClient client(gateway.port());
  client.send(method + " " + path + " HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
  return client.head();
}

TEST(Endpoints, know_their_methods) {
  TestGateway gateway;
  const std::map<std::string, std::string> methods{{"/v1/chat/completions", "POST, OPTIONS"},
                                                   {"/v1/completions", "POST, OPTIONS"},
                                                   {"/v1/embeddings", "POST, OPTIONS"},
                                                   {"/v1/responses", "POST, OPTIONS"},
                                                   {"/v1/responses/resp_1", "GET, HEAD, DELETE, OPTIONS"},
                                                   {"/v1/models", "GET, HEAD, OPTIONS"},
                                                   {"/v1/models/played", "GET, HEAD, OPTIONS"},
                                                   {"/openapi.json", "GET, HEAD, OPTIONS"},
                                                   {"/health/live", "GET, HEAD, OPTIONS"}};
  for (const auto& [path, allowed] : methods) {
    const TestResponse refused = head_of(gateway, "PUT", path);
    EXPECT_EQ(refused.status, 405) << path;
    EXPECT_EQ(refused.headers.at("allow"), allowed) << path;
    const TestResponse options = head_of(gateway, "OPTIONS", path);
    EXPECT_EQ(options.status, 204) << path;
    EXPECT_EQ(options.headers.at("allow"), allowed) << path;
    const bool reads = allowed.starts_with("GET");
    const int status = path == "/v1/responses/resp_1" ? 404 : reads ? 200 : 405;
    EXPECT_EQ(head_of(gateway, "HEAD", path).status, status) << path;
  }
  EXPECT_EQ(head_of(gateway, "OPTIONS", "/v1/nothing").status, 404);
}

TEST(Endpoints, know_only_the_models_of_the_key) {
  TestGateway gateway({{"k", kAbc, "team", 0, 0, {"first-letter"}}});
  TestClient client(gateway.port());
  client.get("/v1/models", kKey);
  const json list = json::parse(client.response().body);
  ASSERT_EQ(list["data"].size(), 1U);
  EXPECT_EQ(list["data"][0]["id"], "first-letter");
  const std::pair<std::string, std::string> requests[] = {{kChat, chat("Hi")},
                                                          {"/v1/completions", R"({"prompt":"Hi"})"},
                                                          {"/v1/responses", R"({"input":"Hi"})"},
                                                          {"/v1/embeddings", R"({"model":"played","input":"Hi"})"}};
  for (const auto& [path, body] : requests) {
    const TestResponse refused = post(gateway, path, body, kKey);
    EXPECT_EQ(refused.status, 404) << path;
    EXPECT_EQ(json::parse(refused.body)["error"]["code"], "model_not_found") << path;
  }
  EXPECT_EQ(post(gateway, "/v1/embeddings", R"({"input":"Hi"})", kKey).status, 200);
  EXPECT_EQ(gateway.engine->calls(), 0U);
}

TEST(Endpoints, refuse_new_work_while_draining) {
  TestGateway gateway;
  gateway.state.draining = true;
  for (const std::string path : {kChat, "/v1/completions", "/v1/embeddings", "/v1/responses"}) {
    EXPECT_EQ(post(gateway, path, "{}").status, 503) << path;
  }
  EXPECT_EQ(head_of(gateway, "GET", "/v1/models").status, 200);
}

TEST(Endpoints, give_every_choice_the_format_of_the_request) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) { speak(listener, {"{}"}); });
  EXPECT_EQ(post(gateway, kChat, chat("Hi", R"(,"n":2,"response_format":{"type":"json_object"})")).status, 200);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(gateway.engine->call(i).request.input->format.kind, engine::OutputFormat::Kind::json_object);
  }
}

TEST(Endpoints, take_the_schema_of_a_response_in_the_callers_order) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) { speak(listener, {"{}"}); });
  const std::string schema = R"({"type":"object","properties":{"z":{},"a":{}}})";
  const std::string body =
      R"({"input":"Hi","text":{"format":{"type":"json_schema","name":"n","schema":)" + schema + R"(,"strict":true}}})";
  EXPECT_EQ(post(gateway, "/v1/responses", body).status, 200);
  const auto format = gateway.engine->call(0).request.input->format;
  EXPECT_EQ(format.kind, engine::OutputFormat::Kind::json_schema);
  EXPECT_EQ(format.schema, schema);
}

class BrokenStream : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(BrokenStream, ends_with_an_error_and_a_reset) {
  const auto [path, body] = GetParam();
  TestGateway gateway;
  TestClient client(gateway.port());
  client.post(path, body);
  const auto call = gateway.engine->call(0);
  call.listener->started(10, 0);
  call.listener->delta("begun", {});
  client.read_until("begun");
  call.listener->failed({engine::ErrorCode::internal, "boom", "", 0});
  const std::string rest = client.read_until("[DONE]");
  EXPECT_THAT(rest, HasSubstr("data: {\"error\":{\"message\":"));
  EXPECT_THAT(rest, Not(HasSubstr("[DONE]")));
  EXPECT_TRUE(client.was_reset());
}

INSTANTIATE_TEST_SUITE_P(Endpoints, BrokenStream,
                         testing::Values(std::pair(kChat,
                                                   R"({"messages":[{"role":"user","content":"Hi"}],"stream":true})"),
                                         std::pair("/v1/completions", R"({"prompt":"Hi","stream":true})"),
                                         std::pair("/v1/responses", R"({"input":"Hi","stream":true})")));

TEST(Endpoints, say_that_a_response_failed_before_its_stream_breaks) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.post("/v1/responses", R"({"input":"Hi","stream":true})");
  const auto call = gateway.engine->call(0);
  call.listener->started(10, 0);
  call.listener->delta("begun", {});
  client.read_until("begun");
  call.listener->failed({engine::ErrorCode::internal, "boom", "", 0});
  EXPECT_THAT(client.read_until("[DONE]"), HasSubstr(R"("type":"response.failed")"));
}

constexpr int kTokens = 1'000'000;

class EndpointPayment : public testing::Test {
 protected:
  EndpointPayment() : gateway_({{"k", kAbc, "team", 1000, kTokens}}) {}
  const ApiKey& key() const { return *gateway_.live->get()->keys.find("Bearer abc"); }
  std::int64_t taken() const { return kTokens - key().tokens->state().remaining; }
  void wait_until_given_back() const {
    while (taken() > 0 || key().requests->state().remaining < 999) std::this_thread::yield();
  }

  TestGateway gateway_;
};

TEST_F(EndpointPayment, is_reserved_for_every_choice_of_every_prompt) {
  TestClient client(gateway_.port());
  client.post("/v1/completions", R"({"prompt":["a","b"],"n":2,"max_tokens":200000})", kKey);
  const auto last = gateway_.engine->call(3);
  EXPECT_GT(taken(), 700'000);
  for (std::size_t i = 0; i < 4; ++i) speak(*gateway_.engine->call(i).listener, {"x"});
  EXPECT_EQ(client.response().status, 200);
  wait_until_given_back();
}

TEST_F(EndpointPayment, of_a_response_is_refused_before_the_engine_hears_of_it) {
  TestClient first(gateway_.port());
  first.post("/v1/responses", R"({"input":"a","max_output_tokens":900000})", kKey);
  const auto call = gateway_.engine->call(0);
  const TestResponse refused = post(gateway_, "/v1/responses", R"({"input":"b","max_output_tokens":900000})", kKey);
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  EXPECT_EQ(gateway_.engine->calls(), 1U);
  speak(*call.listener, {"yes"});
  EXPECT_EQ(first.response().status, 200);
}

TEST_F(EndpointPayment, of_embeddings_is_given_back_where_the_input_does_not_fit) {
  const std::string body = R"({"input":")" + std::string(400'000, 'x') + R"("})";
  EXPECT_EQ(post(gateway_, "/v1/embeddings", body, kKey).status, 400);
  wait_until_given_back();
}

TEST_F(EndpointPayment, of_embeddings_is_asked_before_the_embedder_is) {
  const std::string body = R"({"input":")" + std::string(3'000'000, 'x') + R"("})";
  key().tokens->charge(900'000);
  const TestResponse refused = post(gateway_, "/v1/embeddings", body, kKey);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.at("x-ratelimit-limit-tokens"), "1000000");
}

}  // namespace
}  // namespace kvasir::gateway
