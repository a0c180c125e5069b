// Functions that a model in process may ask its caller to run.
#include "tests/gateway/test_client.hpp"
#include "tests/gateway/test_gateway.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kTools =
    R"(,"tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object"}}},)"
    R"({"type":"function","function":{"name":"time"}}])";

std::string with_tools(const std::string& more = "") {
  return chat("Hi", kTools + more);
}

TestResponse post(const TestGateway& gateway, const std::string& body) {
  TestClient client(gateway.port());
  client.post(kChat, body);
  return client.response();
}

void call_twice(engine::GenerateListener& listener) {
  listener.started(10, 0);
  listener.tool_call({0, "weather", ""});
  listener.tool_call({0, "", R"({"city":)"});
  listener.tool_call({0, "", R"("Huế"})"});
  listener.tool_call({1, "time", "{}"});
  engine::GenerateSummary summary;
  summary.finish = engine::FinishReason::tool_calls;
  listener.finished(summary);
}

TEST(Tools, reach_the_engine_as_they_were_chosen) {
  using Choice = engine::ToolUse::Choice;
  const std::pair<const char*, Choice> cases[] = {
      {"", Choice::automatic},
      {R"(,"tool_choice":"auto")", Choice::automatic},
      {R"(,"tool_choice":"none")", Choice::none},
      {R"(,"tool_choice":"required")", Choice::required},
      {R"(,"tool_choice":{"type":"function","function":{"name":"time"}})", Choice::named},
  };
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) { speak(listener, {"no"}); });
  std::size_t asked = 0;
  for (const auto& [choice, expected] : cases) {
    EXPECT_EQ(post(gateway, with_tools(choice)).status, 200) << choice;
    const engine::ToolUse& use = gateway.engine->call(asked++).request.input->tools;
    EXPECT_EQ(use.choice, expected) << choice;
    ASSERT_EQ(use.tools.size(), 2U);
    EXPECT_EQ(use.tools[0].name, "weather");
    EXPECT_EQ(use.tools[0].parameters, R"({"type":"object"})");
    EXPECT_THAT(use.tools[1].definition, StartsWith(R"({"type":"function","function":{"name":"time")"));
    EXPECT_TRUE(use.parallel);
  }
  post(gateway, with_tools(R"(,"parallel_tool_calls":false)"));
  EXPECT_FALSE(gateway.engine->call(asked).request.input->tools.parallel);
}

TEST(Tools, are_called_in_a_plain_answer) {
  TestGateway gateway;
  gateway.engine->reply_with(call_twice);
  const TestResponse response = post(gateway, with_tools());
  EXPECT_EQ(response.headers.at("x-kvasir-cache-reason"), "tools");
  const json choice = json::parse(response.body)["choices"][0];
  EXPECT_EQ(choice["finish_reason"].get<std::string>(), "tool_calls");
  EXPECT_TRUE(choice["message"]["content"].is_null());
  const json& calls = choice["message"]["tool_calls"];
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0]["type"].get<std::string>(), "function");
  EXPECT_EQ(calls[0]["function"]["name"].get<std::string>(), "weather");
  EXPECT_EQ(calls[0]["function"]["arguments"].get<std::string>(), R"({"city":"Huế"})");
  EXPECT_EQ(calls[1]["function"]["arguments"].get<std::string>(), "{}");
  EXPECT_THAT(calls[0]["id"].get<std::string>(), StartsWith("call_"));
  EXPECT_NE(calls[0]["id"], calls[1]["id"]);
}

TEST(Tools, are_called_piece_by_piece_in_a_stream) {
  TestGateway gateway;
  gateway.engine->reply_with(call_twice);
  const std::string body = post(gateway, with_tools(R"(,"stream":true)")).body;
  EXPECT_THAT(body, HasSubstr(R"("delta":{"tool_calls":[{"index":0,"id":"call_)"));
  EXPECT_THAT(body, HasSubstr(R"("type":"function","function":{"name":"weather","arguments":""}}]})"));
  EXPECT_THAT(body, HasSubstr(R"("delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]})"));
  EXPECT_THAT(body, HasSubstr(R"("function":{"name":"time","arguments":"{}"}}]})"));
  EXPECT_THAT(body, HasSubstr(R"("delta":{},"logprobs":null,"finish_reason":"tool_calls")"));
}

TEST(Tools, results_and_calls_of_earlier_turns_reach_the_engine) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) { speak(listener, {"sunny"}); });
  const std::string body = std::string(R"({"messages":[{"role":"user","content":"Weather?"},)") +
                           R"({"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",)" +
                           R"("function":{"name":"weather","arguments":"{}"}}]},)" +
                           R"({"role":"tool","tool_call_id":"c1","content":"31 degrees"}])" + kTools + "}";
  EXPECT_EQ(post(gateway, body).status, 200);
  const auto& messages = gateway.engine->call(0).request.input->prompt.messages;
  ASSERT_EQ(messages.size(), 3U);
  ASSERT_EQ(messages[1].tool_calls.size(), 1U);
  EXPECT_EQ(messages[1].tool_calls[0], (rag::ToolCall{"c1", "weather", "{}"}));
  EXPECT_EQ(messages[2].tool_call_id, "c1");
  EXPECT_EQ(messages[2].text, "31 degrees");
}

TEST(Tools, that_nobody_can_use_are_refused_by_name) {
  TestGateway gateway;
  const std::pair<const char*, const char*> cases[] = {
      {R"("tools":1)", "tools"},
      {R"("tools":[1])", "tools[0]"},
      {R"("tools":[{}])", "tools[0].type"},
      {R"("tools":[{"type":"retrieval"}])", "tools[0].type"},
      {R"("tools":[{"type":"function"}])", "tools[0].function"},
      {R"("tools":[{"type":"function","function":{}}])", "tools[0].function.name"},
      {R"("tools":[{"type":"function","function":{"name":"a b"}}])", "tools[0].function.name"},
      {R"("tools":[{"type":"function","function":{"name":"a","parameters":[]}}])", "tools[0].function.parameters"},
      {R"("tools":[{"type":"function","function":{"name":"a","strict":1}}])", "tools[0].function.strict"},
      {R"("tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"a"}}])",
       "tools[1].function.name"},
      {R"("tool_choice":"auto")", "tool_choice"},
      {R"("tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"any")", "tool_choice"},
      {R"("tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function"})",
       "tool_choice.function"},
      {R"("tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function","function":{"name":"b"}})",
       "tool_choice"},
      {R"("parallel_tool_calls":1)", "parallel_tool_calls"},
      {R"("functions":[{"name":"a"}])", "functions"},
  };
  for (const auto& [fields, param] : cases) {
    const TestResponse response = post(gateway, chat("Hi", std::string(",") + fields));
    EXPECT_EQ(response.status, 400) << fields;
    EXPECT_EQ(json::parse(response.body)["error"]["param"].get<std::string>(), param) << fields;
  }
}

}  // namespace
}  // namespace kvasir::gateway
