// What a request says about its prompt's KV on its way through the gateway.
#include "gateway/remembered_prompts.hpp"
#include "tests/gateway/test_client.hpp"
#include "tests/gateway/test_gateway.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;
using std::chrono::minutes;

engine::RecordedPrompts prompt_of(std::size_t tokens) {
  return {std::make_shared<engine::RecordedPrompt>(engine::RecordedPrompt{"a", std::vector<std::int32_t>(tokens, 1)})};
}

struct Remembered {
  RememberedPrompts::Clock::time_point now{};
  RememberedPrompts prompts{[this] { return now; }};

  bool knows(std::string_view id, const std::string& tenant = "a") { return !prompts.find(tenant, id).empty(); }
};

TEST(RememberedPrompts, are_known_to_their_tenant) {
  Remembered given;
  given.prompts.remember("a", "one", prompt_of(3), minutes(5));
  EXPECT_EQ(given.prompts.find("a", "one").at(0)->tokens.size(), 3U);
  EXPECT_FALSE(given.knows("two"));
  EXPECT_FALSE(given.knows("one", "b"));
  given.prompts.remember("a", "nothing", {}, minutes(5));
  EXPECT_FALSE(given.knows("nothing"));
}

TEST(RememberedPrompts, are_forgotten_when_nobody_has_named_them_for_their_time) {
  Remembered given;
  given.prompts.remember("a", "one", prompt_of(3), minutes(5));
  for (int i = 0; i < 3; ++i) {
    given.now += minutes(4);
    EXPECT_TRUE(given.knows("one"));
  }
  given.now += minutes(5);
  EXPECT_FALSE(given.knows("one"));
}

TEST(RememberedPrompts, are_so_many_and_so_long_at_most) {
  Remembered given;
  given.prompts.remember("a", "first", prompt_of(1), minutes(5));
  given.prompts.remember("a", "second", prompt_of(1), minutes(5));
  EXPECT_TRUE(given.knows("first"));
  for (std::size_t i = 0; i + 1 < RememberedPrompts::kMostAnswers; ++i)
    given.prompts.remember("a", std::to_string(i), prompt_of(1), minutes(5));
  EXPECT_TRUE(given.knows("first"));
  EXPECT_FALSE(given.knows("second"));
  given.prompts.remember("a", "long", prompt_of(RememberedPrompts::kMostTokens), minutes(5));
  EXPECT_FALSE(given.knows("first"));
  EXPECT_TRUE(given.knows("long"));
}

// A chat with more fields.
std::string asking(const std::string& fields, const std::string& question = "Why?") {
  return R"({"model":"played","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":")" +
         question + "\"}]," + fields + "}";
}

json error_of(const TestResponse& response) {
  return json::parse(response.body)["error"];
}

class PromptCachePath : public testing::Test {
 protected:
  PromptCachePath() {
    gateway_.engine->reply_with([](engine::GenerateListener& listener) {
      listener.started(10, 0);
      listener.delta("Because.", {});
      engine::GenerateSummary summary;
      summary.prompt = prompt_of(10).front();
      listener.finished(summary);
    });
  }
  TestResponse ask(const std::string& body) {
    TestClient client(gateway_.port());
    client.post(kChat, body, "");
    return client.response();
  }

  TestGateway gateway_;
};

TEST_F(PromptCachePath, names_the_prompt_of_an_answer_by_its_id) {
  const std::string id = json::parse(ask(asking(R"("n":1)")).body)["id"];
  const TestResponse second = ask(asking(R"("cached_prompt_id":")" + id + "\"", "And?"));
  EXPECT_EQ(second.status, 200) << second.body;
  const engine::RecordedPrompts keep = gateway_.engine->call(1).request.keep;
  ASSERT_EQ(keep.size(), 1U);
  EXPECT_EQ(keep[0]->tokens.size(), 10U);
}

TEST_F(PromptCachePath, knows_no_prompt_of_an_answer_from_the_cache) {
  ask(asking(R"("n":1)"));
  const json cached = json::parse(ask(asking(R"("n":1)")).body);
  ASSERT_EQ(cached["cached"], true);
  const TestResponse refused = ask(asking(R"("cached_prompt_id":")" + std::string(cached["id"]) + "\""));
  EXPECT_EQ(refused.status, 404);
  EXPECT_EQ(error_of(refused)["code"], "cached_prompt_not_found");
  EXPECT_EQ(error_of(refused)["param"], "cached_prompt_id");
}

TEST_F(PromptCachePath, compares_the_system_prompt_with_its_checksum) {
  // printf %s 'Be brief.' | sha256sum
  const std::string digest = "sha256:213c22ed7234eb11116e1e88f314c73cb3a019b5c87fe224b6ce5665bd9ec50e";
  EXPECT_EQ(ask(asking(R"("cache_checksum":")" + digest + "\"")).status, 200);
  const TestResponse refused = ask(asking(R"("cache_checksum":"sha256:00")", "And?"));
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(error_of(refused)["code"], "cache_checksum_mismatch");
  EXPECT_EQ(error_of(refused)["param"], "cache_checksum");
  EXPECT_EQ(gateway_.engine->calls(), 1U);
}

TEST_F(PromptCachePath, hands_label_strategy_and_priority_to_the_engine) {
  ask(asking(R"("cache_checksum":7,"context_window_strategy":"auto","priority_tokens":[[0,5]])"));
  const engine::GenerateRequest request = gateway_.engine->call(0).request;
  EXPECT_EQ(request.system_label, "7");
  EXPECT_EQ(request.context_strategy, engine::ContextStrategy::truncate);
  EXPECT_EQ(request.priority_tokens.ranges.at(0), std::pair(0, 5));
}

TEST_F(PromptCachePath, keeps_answers_of_a_strategy_apart_and_none_to_a_truncated_prompt) {
  ask(asking(R"("n":1)"));
  EXPECT_EQ(ask(asking(R"("context_window_strategy":"auto")")).headers.at("x-kvasir-cache"), "miss");
  EXPECT_EQ(ask(asking(R"("context_window_strategy":"auto")")).headers.at("x-kvasir-cache"), "exact");
  gateway_.engine->reply_with([](engine::GenerateListener& listener) {
    engine::GenerateSummary summary;
    summary.truncated = {2, 1};
    listener.finished(summary);
  });
  for (int i = 0; i < 2; ++i) {
    const TestResponse response = ask(asking(R"("context_window_strategy":"auto")", "Until when?"));
    EXPECT_EQ(response.headers.at("x-kvasir-cache"), "miss");
    EXPECT_EQ(json::parse(response.body)["kvasir"]["truncated"], (json{{"messages", 2}, {"documents", 1}}));
  }
}

}  // namespace
}  // namespace kvasir::gateway
