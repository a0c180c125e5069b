// Several choices of one request: as many sequences of the engine, one answer.
#include "tests/gateway/test_gateway.hpp"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kCompletions = "/v1/completions";

TEST(Choices, are_sequences_with_seeds_of_their_own) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) { speak(listener, {"A", "b"}); });
  const json body = json::parse(post(gateway, kChat, chat("Hi", R"(,"n":3,"seed":7)")).body);
  ASSERT_EQ(body["choices"].size(), 3U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(body["choices"][i]["index"].get<int>(), i);
    EXPECT_EQ(body["choices"][i]["message"]["content"].get<std::string>(), "Ab");
  }
  EXPECT_EQ(body["usage"]["prompt_tokens"].get<int>(), 10);
  EXPECT_EQ(body["usage"]["completion_tokens"].get<int>(), 6);
  std::set<std::uint64_t> seeds;
  for (std::size_t i = 0; i < 3; ++i) seeds.insert(gateway.engine->call(i).request.sampling.seed.value_or(0));
  EXPECT_EQ(seeds.size(), 3U);
  EXPECT_TRUE(seeds.contains(7));
}

TEST(Choices, arrive_in_a_stream_with_their_index_and_end_together) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.post(kChat, chat("Hi", R"(,"n":2,"stream":true)"));
  const auto first = gateway.engine->call(0).listener;
  const auto second = gateway.engine->call(1).listener;
  second->started(10, 0);
  second->delta("two", {});
  EXPECT_THAT(client.read_until("two"), HasSubstr(R"("choices":[{"index":1,"delta":{"role":"assistant")"));
  speak(*first, {"one"});
  second->finished({});
  const std::string rest = client.read_until("[DONE]");
  EXPECT_THAT(rest, HasSubstr(R"("choices":[{"index":0,"delta":{"role":"assistant")"));
  for (const std::string index : {"0", "1"}) {
    EXPECT_THAT(rest, HasSubstr(R"({"index":)" + index + R"(,"delta":{},"logprobs":null,"finish_reason":"stop"})"));
  }
}

TEST(Choices, are_all_cancelled_when_the_client_hangs_up) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.post(kChat, chat("Hi", R"(,"n":2)"));
  const auto second = gateway.engine->call(1).id;
  client.hang_up();
  EXPECT_TRUE(gateway.engine->wait_for_cancel(gateway.engine->call(0).id));
  EXPECT_TRUE(gateway.engine->wait_for_cancel(second));
}

TEST(Choices, fail_together_and_cancel_the_others) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.post(kChat, chat("Hi", R"(,"n":2)"));
  const auto second = gateway.engine->call(1).id;
  gateway.engine->call(0).listener->failed({engine::ErrorCode::overloaded, "Full.", "", 3});
  const TestResponse response = client.response();
  EXPECT_EQ(response.status, 429);
  EXPECT_TRUE(gateway.engine->wait_for_cancel(second));
}

TEST(Completions, have_the_choices_of_each_prompt_one_after_the_other) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) { speak(listener, {"x"}); });
  const json texts = json::parse(post(gateway, kCompletions, R"({"model":"played","prompt":["a","b"],"n":2})").body);
  EXPECT_EQ(texts["choices"].size(), 4U);
  EXPECT_EQ(texts["usage"]["prompt_tokens"].get<int>(), 20);
  EXPECT_EQ(texts["object"].get<std::string>(), "text_completion");
  const std::vector<std::string> asked{"a", "a", "b", "b"};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(gateway.engine->call(i).request.input->raw->text, asked[i]);
}

TEST(Completions, are_kept_by_the_exact_tier_alone) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) { speak(listener, {"x"}); });
  const std::string body = R"({"model":"played","prompt":"once upon"})";
  EXPECT_EQ(post(gateway, kCompletions, body).headers.at("x-kvasir-cache"), "miss");
  const TestResponse again = post(gateway, kCompletions, body);
  EXPECT_EQ(again.headers.at("x-kvasir-cache"), "exact");
  EXPECT_EQ(json::parse(again.body)["cached"], true);
  const TestResponse neighbour = post(gateway, kCompletions, R"({"model":"played","prompt":"once more"})");
  EXPECT_EQ(neighbour.headers.at("x-kvasir-cache"), "miss");
  EXPECT_FALSE(neighbour.headers.contains("x-kvasir-similarity"));
  EXPECT_EQ(post(gateway, kChat, chat("once upon")).headers.at("x-kvasir-cache"), "miss");
}

TEST(Embeddings, keep_to_the_embedders_limits_whatever_the_input) {
  TestGateway gateway;
  const auto embed = [&](const std::string& input) {
    return post(gateway, "/v1/embeddings", R"({"model":"first-letter","input":)" + input + "}");
  };
  const json two = json::parse(embed(R"(["abc","b"])").body);
  EXPECT_EQ(two["usage"]["prompt_tokens"].get<int>(), 4);
  EXPECT_EQ(two["data"][1]["embedding"][1].get<double>(), 1.0);
  EXPECT_EQ(embed(R"("12345678")").status, 200);
  const TestResponse long_one = embed(R"("123456789")");
  EXPECT_EQ(long_one.status, 400);
  EXPECT_EQ(json::parse(long_one.body)["error"]["code"].get<std::string>(), "context_length_exceeded");
  EXPECT_EQ(embed("[97,98]").status, 200);
  EXPECT_EQ(embed("[97,128]").status, 400);
}

}  // namespace
}  // namespace kvasir::gateway
