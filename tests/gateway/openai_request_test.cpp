#include "gateway/openai_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;
using testing::HasSubstr;

ChatRequest accepted(const std::string& body) {
  auto request = parse_chat_request(body);
  EXPECT_TRUE(request.has_value()) << body << "\n" << (request.has_value() ? "" : request.error().message);
  return request.has_value() ? *request : ChatRequest{};
}

ApiError refused(const std::string& body) {
  auto request = parse_chat_request(body);
  EXPECT_TRUE(request.has_error()) << body;
  return request.has_error() ? request.error() : ApiError{};
}

// A request with one more field.
std::string with(const std::string& fields) {
  return R"({"model":"m","messages":[{"role":"user","content":"hi"}],)" + fields + "}";
}

TEST(ChatRequest, has_the_defaults_of_openai) {
  const ChatRequest request = accepted(R"({"model":"m","messages":[{"role":"user","content":"hi"}]})");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.messages.at(0).text, "hi");
  EXPECT_EQ(request.temperature, 1.0);
  EXPECT_EQ(request.top_p, 1.0);
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.max_tokens, 0);
  EXPECT_FALSE(request.stream);
  EXPECT_TRUE(request.prompt_cache);
}

TEST(ChatRequest, takes_null_as_not_given) {
  const ChatRequest request = accepted(with(R"("temperature":null,"stop":null,"n":null,"tools":null)"));
  EXPECT_EQ(request.temperature, 1.0);
  EXPECT_FALSE(request.not_for_engine);
}

TEST(ChatRequest, joins_text_parts) {
  const ChatRequest request =
      accepted(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]})");
  EXPECT_EQ(request.messages.at(0).text, "a\nb");
  EXPECT_TRUE(request.text_only);
}

TEST(ChatRequest, prefers_the_newer_limit_whatever_the_order) {
  EXPECT_EQ(accepted(with(R"("max_tokens":5,"max_completion_tokens":7)")).max_tokens, 7);
  EXPECT_EQ(accepted(with(R"("max_completion_tokens":7,"max_tokens":5)")).max_tokens, 7);
}

TEST(ChatRequest, names_the_field_that_does_not_fit) {
  struct Case {
    std::string fields;
    std::string param;
  };
  for (const Case& bad : std::vector<Case>{
           {R"("temperature":2.1)", "temperature"},
           {R"("temperature":"hot")", "temperature"},
           {R"("top_p":-0.1)", "top_p"},
           {R"("n":0)", "n"},
           {R"("n":1.5)", "n"},
           {R"("max_tokens":0)", "max_tokens"},
           {R"("stop":["a","b","c","d","e"])", "stop"},
           {R"("stop":[1])", "stop"},
           {R"("stream":1)", "stream"},
           {R"("stream_options":{})", "stream_options"},
           {R"("top_logprobs":2)", "top_logprobs"},
           {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
           {R"("logit_bias":{"x":1})", "logit_bias"},
           {R"("logit_bias":{"1":101})", "logit_bias"},
           {R"("presence_penalty":3)", "presence_penalty"},
           {R"("seed":"one")", "seed"},
           {R"("min_p":1.1)", "min_p"},
           {R"("min_p":"low")", "min_p"},
           {R"("repetition_penalty":0)", "repetition_penalty"},
           {R"("repetition_penalty":11)", "repetition_penalty"},
           {R"("prediction":"text")", "prediction"},
           {R"("prediction":{"content":"a"})", "prediction.type"},
           {R"("prediction":{"type":"plan"})", "prediction.type"},
           {R"("prediction":{"type":"content"})", "prediction.content"},
           {R"("prediction":{"type":"content","content":[{"type":"image"}]})", "prediction.content[0].type"},
           {R"("predict_options":8)", "predict_options"},
           {R"("predict_options":{"tokens":65})", "predict_options.tokens"},
           {R"("response_format":{"type":"xml"})", "response_format.type"},
           {R"("documents":[{"id":"d"}])", "documents[0].text"},
           {R"("cache_control":3)", "cache_control"},
           {R"("cache_control":"for ever")", "cache_control.type"},
           {R"("cache_control":{"ttl":"5m"})", "cache_control.type"},
           {R"("cache_control":{"type":"ephemeral","ttl":"2h"})", "cache_control.ttl"},
           {R"("cache_scope":"world")", "cache_scope"}}) {
    const ApiError error = refused(with(bad.fields));
    EXPECT_EQ(error.status, 400) << bad.fields;
    EXPECT_EQ(error.param, bad.param) << bad.fields;
  }
}

TEST(ChatRequest, pins_the_prompt_for_five_minutes_or_an_hour) {
  EXPECT_EQ(accepted(with(R"("n":1)")).pin, std::chrono::seconds(0));
  EXPECT_EQ(accepted(with(R"("cache_control":null)")).pin, std::chrono::seconds(0));
  EXPECT_EQ(accepted(with(R"("cache_control":"ephemeral")")).pin, std::chrono::minutes(5));
  EXPECT_EQ(accepted(with(R"("cache_control":{"type":"ephemeral"})")).pin, std::chrono::minutes(5));
  EXPECT_EQ(accepted(with(R"("cache_control":{"type":"ephemeral","ttl":"1h"})")).pin, std::chrono::hours(1));
}

TEST(ChatRequest, pins_beginnings_of_the_prompt) {
  using Of = engine::Breakpoint::Of;
  const ChatRequest request = accepted(R"({"messages":[
    {"role":"system","content":"s","cache_control":{"type":"ephemeral","ttl":"1h"}},
    {"role":"user","content":[{"type":"text","text":"one","cache_control":"ephemeral"},{"type":"text","text":"two"}]}],
    "documents":[{"text":"a"},{"text":"b","cache_control":{"type":"ephemeral"}}]})");
  ASSERT_EQ(request.breakpoints.size(), 3U);
  EXPECT_EQ(request.breakpoints[0].ttl, std::chrono::hours(1));
  EXPECT_EQ(request.breakpoints[0].text_end, std::nullopt);
  EXPECT_EQ(request.breakpoints[1].index, 1U);
  EXPECT_EQ(request.breakpoints[1].text_end, 3U);
  EXPECT_EQ(request.breakpoints[1].ttl, std::chrono::minutes(5));
  EXPECT_EQ(request.breakpoints[2].of, Of::document);
  EXPECT_EQ(request.breakpoints[2].index, 1U);
  EXPECT_EQ(request.pin, std::chrono::seconds(0));
}

TEST(ChatRequest, names_the_breakpoint_that_does_not_fit) {
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":"q","cache_control":true}]})").param,
            "messages[0].cache_control");
  EXPECT_EQ(
      refused(R"({"messages":[{"role":"user","content":[{"type":"text","text":"q","cache_control":"long"}]}]})").param,
      "messages[0].content[0].cache_control.type");
  EXPECT_EQ(refused(with(R"("documents":[{"text":"a","cache_control":{"type":"ephemeral","ttl":"1d"}}])")).param,
            "documents[0].cache_control.ttl");
  std::string documents;
  for (int i = 0; i < 17; ++i)
    documents += std::string(i == 0 ? "" : ",") + R"({"text":"a","cache_control":"ephemeral"})";
  EXPECT_EQ(refused(with("\"documents\":[" + documents + "]")).param, "documents[16].cache_control");
}

TEST(ChatRequest, reads_what_is_said_about_the_prompt) {
  const ChatRequest request = accepted(with(
      R"("cached_prompt_id":"chatcmpl-1","cache_checksum":"v1","context_window_strategy":"error","priority_tokens":9)"));
  EXPECT_EQ(request.cached_prompt_id, "chatcmpl-1");
  EXPECT_EQ(request.system_label, "\"v1\"");
  EXPECT_EQ(request.system_sha256, std::nullopt);
  EXPECT_EQ(request.context_strategy, engine::ContextStrategy::error);
  EXPECT_EQ(request.priority_tokens.recent, 9);
  EXPECT_EQ(accepted(with(R"("cache_checksum":"sha256:ab")")).system_sha256, "ab");
  EXPECT_EQ(accepted(with(R"("cache_checksum":true)")).system_label, "true");
  EXPECT_EQ(accepted(with(R"("cache_checksum":null)")).system_label, "");
}

TEST(ChatRequest, names_what_of_the_prompt_s_fields_does_not_fit) {
  struct {
    const char* fields;
    const char* param;
  } const bad_fields[] = {{R"("cached_prompt_id":7)", "cached_prompt_id"},
                          {R"("cached_prompt_id":"")", "cached_prompt_id"},
                          {R"("cache_checksum":["a"])", "cache_checksum"},
                          {R"("cache_checksum":{"a":1})", "cache_checksum"},
                          {R"("context_window_strategy":"middle")", "context_window_strategy"},
                          {R"("context_window_strategy":1)", "context_window_strategy"},
                          {R"("priority_tokens":"all")", "priority_tokens"},
                          {R"("priority_tokens":1.5)", "priority_tokens"},
                          {R"("priority_tokens":-1)", "priority_tokens"},
                          {R"("priority_tokens":[3])", "priority_tokens[0]"},
                          {R"("priority_tokens":[[1,2],[3]])", "priority_tokens[1]"},
                          {R"("priority_tokens":[[2,1]])", "priority_tokens[0][1]"},
                          {R"("priority_tokens":[["a",1]])", "priority_tokens[0][0]"}};
  for (const auto& bad : bad_fields) EXPECT_EQ(refused(with(bad.fields)).param, bad.param) << bad.fields;
}

TEST(ChatRequest, takes_what_has_no_effect_here_in_the_types_of_openai) {
  EXPECT_FALSE(accepted(with(R"("store":true,"metadata":{"a":"b"},"user":"u","safety_identifier":"s",
      "service_tier":"auto","verbosity":"low","modalities":["text"],"prompt_cache_key":"k")"))
                   .not_for_engine);
  EXPECT_EQ(accepted(with(R"("modalities":["text","audio"])")).not_for_engine->first, "modalities");
  EXPECT_EQ(refused(with(R"("metadata":{"a":1})")).param, "metadata.a");
  EXPECT_EQ(refused(with(R"("store":"true")")).param, "store");
  EXPECT_EQ(refused(with(R"("verbosity":"loud")")).param, "verbosity");
  EXPECT_EQ(refused(with(R"("reasoning_effort":3)")).param, "reasoning_effort");
  EXPECT_EQ(refused(with(R"("service_tier":1)")).param, "service_tier");
  EXPECT_EQ(refused(with(R"("max_tokens":1.0)")).param, "max_tokens");
  EXPECT_EQ(refused(with(R"("logprobs":"true")")).param, "logprobs");
}

TEST(ChatRequest, keeps_answers_apart_by_what_changes_them_and_not_by_what_speeds_them_up) {
  EXPECT_NE(accepted(with(R"("min_p":0.1)")).extra, accepted(with(R"("min_p":0.2)")).extra);
  EXPECT_NE(accepted(with(R"("repetition_penalty":1.1)")).extra, accepted(with(R"("top_k":5)")).extra);
  const ChatRequest predicted = accepted(
      with(R"("prediction":{"type":"content","content":[{"type":"text","text":"a "},{"type":"text","text":"b"}]},)"
           R"("predict_options":{"tokens":3})"));
  EXPECT_EQ(predicted.extra, "");
  EXPECT_EQ(predicted.prediction, "a b");
  EXPECT_EQ(predicted.predict_tokens, 3);
  EXPECT_FALSE(accepted(with(R"("predict_options":{"tokens":null})")).predict_tokens);
}

TEST(ChatRequest, knows_what_each_role_must_say) {
  const auto message = [](const std::string& text) { return R"({"messages":[)" + text + "]}"; };
  for (const std::string role : {"system", "developer", "user"}) {
    EXPECT_EQ(refused(message(R"({"role":")" + role + R"(","content":null})")).param, "messages[0].content");
    accepted(message(R"({"role":")" + role + R"(","content":""})"));
  }
  EXPECT_EQ(refused(message(R"({"role":"assistant","content":null})")).param, "messages[0].content");
  accepted(message(R"({"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"name":"f"}}]})"));
  accepted(message(R"({"role":"function","name":"f","content":null})"));
  accepted(message(R"({"role":"tool","tool_call_id":"c","content":"rain"})"));
  EXPECT_EQ(refused(message(R"({"role":"tool","content":"rain"})")).param, "messages[0].tool_call_id");
  EXPECT_EQ(refused(message(R"({"role":"tool","tool_call_id":5,"content":"rain"})")).param, "messages[0].tool_call_id");
  EXPECT_EQ(refused(message(R"({"role":"assistant","tool_calls":{}})")).param, "messages[0].tool_calls");
  EXPECT_EQ(refused(message(R"({"role":"assistant","tool_calls":[{}]})")).param, "messages[0].tool_calls[0].id");
}

TEST(ChatRequest, names_the_message_that_does_not_fit) {
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":"a"},{"role":"king","content":"b"}]})").param,
            "messages[1].role");
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":null}]})").param, "messages[0].content");
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})").param,
            "messages[0].content[0].text");
  EXPECT_EQ(refused(R"({"messages":[]})").param, "messages");
  EXPECT_EQ(refused(R"({"model":"m"})").param, "messages");
}

TEST(ChatRequest, refuses_what_is_not_json_or_not_utf8_or_nested_too_deep) {
  EXPECT_THAT(refused("{").message, HasSubstr("not valid JSON"));
  EXPECT_THAT(refused("").message, HasSubstr("empty"));
  EXPECT_THAT(refused("[1]").message, HasSubstr("JSON object"));
  EXPECT_THAT(refused("{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}").message, HasSubstr("UTF-8"));
  EXPECT_THAT(refused("{\"x\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}").message,
              HasSubstr("nested too deep"));
}

TEST(ChatRequest, refuses_keys_that_two_readers_would_understand_differently) {
  EXPECT_EQ(refused(with(R"("seed":1,"seed":2)")).param, "seed");
  EXPECT_EQ(refused(with(R"("mod\u0065l":"other")")).param, "model");
  EXPECT_EQ(refused(with(R"("s\u0065ed":2)")).status, 400);
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":"a","content":"b"}]})").param, "messages");
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","cont\u0065nt":"a"}]})").param, "messages");
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":[{"type":"text","t\u0065xt":"a"}]}]})").param, "messages");
  EXPECT_EQ(refused(with(R"("documents":[{"text":"a","\u0069d":"b"}])")).param, "documents");
  EXPECT_EQ(refused(with(R"("documents":[{"text":"a","text":"b"}])")).param, "documents");
  EXPECT_EQ(refused(with(R"("theirs":{"a":[{"b":1,"b":2}]})")).param, "theirs");
  std::string many;
  for (int i = 0; i < 40; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  accepted(with(many + R"("k":{"^\\d$":"a \" b"})"));
  EXPECT_EQ(refused(with(many + R"("k39":1)")).param, "k39");
}

TEST(ChatRequest, needs_a_user_where_the_scope_is_the_user) {
  EXPECT_EQ(refused(with(R"("cache_scope":"user")")).param, "user");
  EXPECT_EQ(refused(with(R"("cache_scope":"user","user":"")")).param, "user");
  EXPECT_TRUE(accepted(with(R"("cache_scope":"user","user":"ann")")).user_scope);
}

TEST(ChatRequest, refuses_for_the_engine_what_would_change_the_answer) {
  EXPECT_EQ(accepted(with(R"("tools":[{"type":"custom"}])")).not_for_engine->first, "tools[0].type");
  EXPECT_EQ(accepted(with(R"("functions":[{"name":"f"}])")).not_for_engine->first, "functions");
  EXPECT_FALSE(accepted(with(R"("response_format":{"type":"text"},"tools":[],"store":true,"metadata":{"a":"b"})"))
                   .not_for_engine);
}

TEST(ChatRequest, takes_the_format_of_the_answer) {
  using Kind = engine::OutputFormat::Kind;
  EXPECT_EQ(accepted(with(R"("response_format":{"type":"text"})")).format.kind, Kind::text);
  EXPECT_EQ(accepted(with(R"("response_format":{"type":"json_object"})")).format.kind, Kind::json_object);
  const ChatRequest request = accepted(with(
      R"("response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"b": 1, "a": 2}}})"));
  EXPECT_EQ(request.format.kind, Kind::json_schema);
  EXPECT_EQ(request.format.schema, R"({"b":1,"a":2})");
  EXPECT_FALSE(request.not_for_engine);
  const std::string place = "response_format.json_schema";
  for (const auto& [schema, param] :
       std::vector<std::pair<std::string, std::string>>{{R"({})", place + ".name"},
                                                        {R"({"name":""})", place + ".name"},
                                                        {R"({"name":"a b"})", place + ".name"},
                                                        {R"({"name":1})", place + ".name"},
                                                        {R"({"name":"a","strict":1})", place + ".strict"},
                                                        {R"({"name":"a","schema":[]})", place + ".schema"},
                                                        {"1", place}}) {
    EXPECT_EQ(refused(with(R"("response_format":{"type":"json_schema","json_schema":)" + schema + "}")).param, param);
  }
  EXPECT_EQ(refused(with(R"("response_format":{"type":"json_schema"})")).param, place);
}

TEST(ChatRequest, keeps_unknown_fields_apart_for_the_cache_key) {
  const ChatRequest request = accepted(with(R"("zeta":1,"alpha":{"b":2,"a":1})"));
  EXPECT_EQ(request.extra, R"({"alpha":{"a":1,"b":2},"zeta":1})");
}

ChatRequest completion(const std::string& fields) {
  auto request = parse_completion_request(R"({"model":"m",)" + fields + "}");
  EXPECT_TRUE(request.has_value()) << fields << "\n" << (request.has_value() ? "" : request.error().message);
  return request.has_value() ? *request : ChatRequest{};
}

TEST(CompletionRequest, takes_texts_and_tokens_one_or_many) {
  EXPECT_EQ(completion(R"("prompt":"a")").raw_prompts.at(0).text, "a");
  EXPECT_EQ(completion(R"("prompt":["a","b"])").raw_prompts.at(1).text, "b");
  EXPECT_EQ(completion(R"("prompt":[5,6])").raw_prompts.at(0).tokens, (std::vector<std::int32_t>{5, 6}));
  EXPECT_EQ(completion(R"("prompt":[[5],[6,7]])").raw_prompts.at(1).tokens, (std::vector<std::int32_t>{6, 7}));
}

TEST(CompletionRequest, has_the_legacy_defaults_and_fields) {
  const ChatRequest plain = completion(R"("prompt":"a")");
  EXPECT_EQ(plain.max_tokens, 16);
  EXPECT_FALSE(plain.logprobs || plain.raw_prompts.at(0).echo || plain.not_for_engine);
  const ChatRequest full = completion(R"("prompt":"a","logprobs":0,"max_tokens":3,"n":2,"best_of":2,"suffix":"")");
  EXPECT_TRUE(full.logprobs);
  EXPECT_EQ(full.top_logprobs, 0);
  EXPECT_EQ(full.max_tokens, 3);
  EXPECT_FALSE(full.not_for_engine);
  EXPECT_TRUE(completion(R"("prompt":"a","echo":true)").raw_prompts.at(0).echo);
}

TEST(CompletionRequest, keys_the_prompt_and_whether_it_is_repeated) {
  EXPECT_NE(completion(R"("prompt":"a")").extra, completion(R"("prompt":"a ")").extra);
  EXPECT_NE(completion(R"("prompt":"a")").extra, completion(R"("prompt":"a","echo":true)").extra);
  EXPECT_NE(completion(R"("prompt":"a")").extra, completion(R"("prompt":["a"])").extra);
}

TEST(CompletionRequest, refuses_for_the_engine_what_only_an_upstream_can_do) {
  for (const auto& [fields, param] :
       std::vector<std::pair<std::string, std::string>>{{R"("suffix":"z")", "suffix"},
                                                        {R"("best_of":2)", "best_of"},
                                                        {R"("echo":true,"logprobs":1)", "echo"},
                                                        {R"("max_tokens":0)", "max_tokens"},
                                                        {R"("n":128,"prompt":["a","b"])", "prompt"}}) {
    const bool has_prompt = fields.find("prompt") != std::string::npos;
    const ChatRequest request = completion((has_prompt ? "" : R"("prompt":"a",)") + fields);
    ASSERT_TRUE(request.not_for_engine) << fields;
    EXPECT_EQ(request.not_for_engine->first, param);
  }
}

TEST(UpstreamBody, keeps_the_callers_bytes_and_drops_fields_of_ours) {
  const ChatRequest request = accepted(
      R"({ "messages" : [{"role":"user","content":"hi \u00e9 \" {"}], "model":"m", "top_p": 0.10, "cache_ttl":5, "x":[1, 2] })");
  std::string written;
  const std::string_view body = upstream_body(request, {}, "theirs", written);
  EXPECT_EQ(body,
            R"({"model":"theirs","messages":[{"role":"user","content":"hi \u00e9 \" {"}],"top_p":0.10,"x":[1, 2]})");
}

TEST(UpstreamBody, is_what_came_where_nothing_has_to_change) {
  const ChatRequest request =
      accepted(R"({ "model": "m", "messages": [{"role":"user","content":"hi"}], "stream": false, "x": [1] })");
  std::string written;
  EXPECT_EQ(upstream_body(request, {}, "m", written).data(), request.body.data());
  EXPECT_EQ(upstream_body(request, {}, "n", written),
            R"({"model":"n","messages":[{"role":"user","content":"hi"}],"stream":false,"x":[1]})");
}

TEST(UpstreamBody, names_the_model_for_who_left_it_to_us) {
  const ChatRequest request = accepted(R"({"messages":[{"role":"user","content":"hi"}]})");
  std::string written;
  EXPECT_EQ(upstream_body(request, {}, "m", written), R"({"model":"m","messages":[{"role":"user","content":"hi"}]})");
}

TEST(UpstreamBody, asks_every_stream_for_its_usage) {
  const ChatRequest request = accepted(with(R"("stream":true,"stream_options":{"include_usage":false})"));
  std::string written;
  const json body = json::parse(upstream_body(request, {}, "m", written));
  EXPECT_EQ(body["stream_options"]["include_usage"], true);
}

TEST(UpstreamBody, puts_documents_into_the_last_user_message) {
  const ChatRequest request = accepted(with(R"("documents":[{"id":"d1","text":"Oslo is cold."}])"));
  const rag::Prompt prompt = rag::analyse(request.messages, request.documents);
  std::string written;
  const json body = json::parse(upstream_body(request, prompt, "m", written));
  EXPECT_FALSE(body.contains("documents"));
  EXPECT_THAT(body["messages"][0]["content"].get<std::string>(), HasSubstr("Oslo is cold."));
}

TEST(CacheDirectives, are_read_from_the_header) {
  const auto all = CacheDirectives::parse("No-Cache, no-store ,only-if-cached, max-age = 60, x=y");
  EXPECT_TRUE(all.no_cache && all.no_store && all.only_if_cached);
  EXPECT_EQ(all.max_age, std::chrono::seconds(60));
  const auto none = CacheDirectives::parse("");
  EXPECT_FALSE(none.no_cache || none.no_store || none.only_if_cached || none.max_age);
  EXPECT_EQ(CacheDirectives::parse("max-age=99999999999999999999").max_age, std::chrono::hours(10 * 366 * 24));
  EXPECT_EQ(CacheDirectives::parse("max-age=9223372036854775807").max_age, std::chrono::hours(10 * 366 * 24));
  EXPECT_EQ(CacheDirectives::parse("max-age=60, max-age=5").max_age, std::chrono::seconds(5));
  EXPECT_EQ(CacheDirectives::parse("max-age=soon").max_age, std::chrono::seconds(0));
}

}  // namespace
}  // namespace kvasir::gateway
