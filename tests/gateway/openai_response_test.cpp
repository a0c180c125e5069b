#include "gateway/openai_response.hpp"

#include "gateway/api_error.hpp"
#include "gateway/json_text.hpp"
#include "gateway/sse_parser.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;

cache::Answer answer_of(std::string content) {
  cache::Answer answer;
  answer.model = std::string("m");
  answer.choices.push_back({std::move(content), "", "stop", ""});
  answer.prompt_tokens = 10;
  answer.completion_tokens = 2;
  return answer;
}

std::vector<json> events_of(const std::string& stream) {
  SseParser parser;
  parser.push(stream);
  std::vector<json> events;
  while (auto data = parser.next()) events.push_back(*data == "[DONE]" ? json(*data) : json::parse(*data));
  return events;
}

TEST(JsonText, reads_back_to_the_same_bytes) {
  std::string all;
  for (int c = 1; c < 128; ++c) all += static_cast<char>(c);
  for (const std::string& text : {all, std::string("Xin chào 你好 🙂"), std::string("\0\"\\", 3), std::string()}) {
    std::string out;
    append_json_string(out, text);
    EXPECT_EQ(json::parse(out).get<std::string>(), text);
  }
}

TEST(JsonText, finds_top_level_fields_and_their_raw_bytes) {
  const auto fields = top_level_fields(R"( { "a" : {"x":"}"} ,"b":[1,"]"], "c":-1.50e3,"d":"q\"}", "e":null } )");
  ASSERT_EQ(fields.size(), 5U);
  EXPECT_EQ(fields[0].value, R"({"x":"}"})");
  EXPECT_EQ(fields[1].value, R"([1,"]"])");
  EXPECT_EQ(fields[2].value, "-1.50e3");
  EXPECT_EQ(fields[3].value, R"("q\"}")");
  EXPECT_EQ(fields[4].value, "null");
  const auto slashes = top_level_fields(R"({"a":"\\","b":"\\\"","\"c":"\\\\","d":1})");
  ASSERT_EQ(slashes.size(), 4U);
  EXPECT_EQ(slashes[0].value, R"("\\")");
  EXPECT_EQ(slashes[1].value, R"("\\\"")");
  EXPECT_EQ(slashes[2].key, R"(\"c)");
  EXPECT_EQ(slashes[3].value, "1");
  EXPECT_TRUE(top_level_fields("{}").empty());
}

TEST(ApiError, always_has_its_four_keys) {
  const json body = json::parse(ApiError::invalid("no \"quotes\"").body());
  EXPECT_EQ(body["error"]["message"], "no \"quotes\"");
  EXPECT_TRUE(body["error"]["param"].is_null());
  EXPECT_TRUE(body["error"]["code"].is_null());
  EXPECT_EQ(body["error"]["type"], "invalid_request_error");
}

TEST(Completion, has_the_shape_of_openai) {
  engine::GenerateSummary summary;
  summary.reused_tokens = 8;
  summary.computed_tokens = 2;
  summary.accepted_tokens = 3;
  summary.rejected_tokens = 1;
  Delivery delivery = new_delivery(false);
  delivery.engine = &summary;
  std::string out;
  append_completion(out, delivery, answer_of("Paris"));
  const json body = json::parse(out);
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["choices"][0]["message"]["role"], "assistant");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Paris");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["usage"]["total_tokens"], 12);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 8);
  EXPECT_EQ(body["usage"]["completion_tokens_details"]["accepted_prediction_tokens"], 3);
  EXPECT_EQ(body["usage"]["completion_tokens_details"]["rejected_prediction_tokens"], 1);
  EXPECT_EQ(body["cached"], false);
  EXPECT_EQ(body["kvasir"]["prefix"]["computed_tokens"], 2);
}

//   role ▶ delta ▶ finish ▶ usage (choices: [])
TEST(ChunkWriter, writes_chunks_in_the_order_of_openai) {
  const cache::Answer answer = answer_of("Paris");
  const ChunkWriter writer(new_delivery(true), answer.model, "", true);
  std::string out;
  writer.replay(out, answer, nullptr);
  const auto events = events_of(out);
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[1]["choices"][0]["delta"]["content"], "Paris");
  EXPECT_TRUE(events[1]["choices"][0]["finish_reason"].is_null());
  EXPECT_EQ(events[2]["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(events[2]["choices"][0]["delta"].empty());
  EXPECT_TRUE(events[3]["choices"].empty());
  EXPECT_EQ(events[3]["usage"]["total_tokens"], 12);
  for (const json& event : events) {
    EXPECT_EQ(event["id"], events[0]["id"]);
    EXPECT_EQ(event["cached"], true);
  }
}

TEST(ChunkWriter, speaks_of_usage_only_when_asked) {
  const cache::Answer answer = answer_of("Paris");
  const ChunkWriter writer(new_delivery(true), answer.model, "", false);
  std::string out;
  writer.replay(out, answer, nullptr);
  EXPECT_THAT(out, testing::Not(testing::HasSubstr("usage")));
}

TEST(Logprob, shows_bytes_that_are_no_utf8_exactly) {
  std::string out;
  append_logprob(out, {"\xf0\x9f", -0.5F, {{"a", -0.5F}}});
  const json item = json::parse(out);
  EXPECT_EQ(item["token"], "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(item["bytes"], json({0xf0, 0x9f}));
  EXPECT_EQ(item["top_logprobs"][0]["token"], "a");
}

TEST(WithCachedFalse, keeps_unknown_fields_and_replaces_cached) {
  const json body = json::parse(with_cached_false(R"({"id":"x","cached":true,"weird":{"a":[1]}})"));
  EXPECT_EQ(body, json::parse(R"({"id":"x","cached":false,"weird":{"a":[1]}})"));
  EXPECT_EQ(with_cached_false(R"({"id":"x","a":1})"), R"({"cached":false,"id":"x","a":1})");
  EXPECT_EQ(with_cached_false("{}"), R"({"cached":false})");
  EXPECT_EQ(with_cached_false(" { \"id\" : 1 }"), R"({"cached":false,"id":1})");
}

}  // namespace
}  // namespace kvasir::gateway
