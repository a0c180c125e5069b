#include "gateway/upstream_answer.hpp"

#include "gateway/sse_parser.hpp"
#include "gateway/upstream_fault.hpp"
#include "gateway/upstream_url.hpp"

#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

std::vector<std::string> all_of(SseParser& parser) {
  std::vector<std::string> events;
  while (auto data = parser.next()) events.push_back(*data);
  return events;
}

TEST(SseParser, gives_the_same_events_wherever_the_bytes_are_cut) {
  const std::string stream =
      "data: one\n\n: comment\r\ndata:two\r\ndata: more\r\n\r\nevent: x\rdata: three\r\rdata: [DONE]\n\n";
  const std::vector<std::string> expected{"one", "two\nmore", "three", "[DONE]"};
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    SseParser parser;
    parser.push(stream.substr(0, cut));
    auto events = all_of(parser);
    parser.push(stream.substr(cut));
    for (auto& event : all_of(parser)) events.push_back(event);
    EXPECT_EQ(events, expected) << "cut at " << cut;
  }
}

TEST(SseParser, bounds_an_event_without_end) {
  SseParser parser(100);
  parser.push("data: " + std::string(200, 'x'));
  EXPECT_EQ(parser.next(), std::nullopt);
  EXPECT_TRUE(parser.overflowed());
}

TEST(Completion, of_an_upstream_is_read_and_its_body_kept) {
  const std::string body =
      R"({"id":"x","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4}},"weird":1})";
  const auto result = read_completion(body);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->answer.choices.at(0).content, "Hi");
  EXPECT_EQ(result->answer.prompt_tokens, 5);
  EXPECT_EQ(result->cached_tokens, 4);
  EXPECT_EQ(result->raw_body, body);
  EXPECT_TRUE(result->complete);
}

TEST(Completion, with_a_tool_call_is_not_all_that_an_answer_can_hold) {
  const auto result = read_completion(
      R"({"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"tool_calls"}]})");
  ASSERT_TRUE(result.has_value());
  EXPECT_FALSE(result->complete);
}

TEST(Completion, keeps_the_reasoning_under_the_name_that_the_upstream_gave_it) {
  for (const std::string name : {"reasoning", "reasoning_content"}) {
    const auto result = read_completion(R"({"choices":[{"message":{"role":"assistant","content":"4",")" + name +
                                        R"(":"2 and 2"},"finish_reason":"stop"}]})");
    ASSERT_TRUE(result.has_value());
    EXPECT_TRUE(result->complete);
    EXPECT_EQ(result->answer.choices.at(0).reasoning, "2 and 2");
    EXPECT_EQ(result->answer.choices.at(0).reasoning_field, name);
  }
  const auto twofold = read_completion(
      R"({"choices":[{"message":{"content":"4","reasoning":"a","reasoning_content":"b"},"finish_reason":"stop"}]})");
  ASSERT_TRUE(twofold.has_value());
  EXPECT_FALSE(twofold->complete);
}

TEST(Completion, that_is_none_is_a_bad_gateway) {
  for (const std::string body : {"", "<html>", R"({"choices":[{"mess)", R"({"choices":[]})", "[]", R"({"error":1})"}) {
    const auto result = read_completion(body);
    ASSERT_TRUE(result.has_error()) << body;
    EXPECT_EQ(result.error().status, 502) << body;
  }
}

TEST(UpstreamFault, never_shows_the_gateways_credentials_as_the_callers) {
  EXPECT_EQ(refused_with(401, "", 0).error.status, 502);
  EXPECT_EQ(refused_with(401, "", 0).error.code, "upstream_auth");
  EXPECT_EQ(refused_with(403, "", 0).error.code, "upstream_auth");
}

TEST(UpstreamFault, passes_limits_and_failures_with_their_advice) {
  const ApiError limit = refused_with(429, R"({"error":{"message":"slow down","code":"rl"}})", 7).error;
  EXPECT_EQ(limit.status, 429);
  EXPECT_EQ(limit.message, "slow down");
  EXPECT_EQ(limit.retry_after_seconds, 7);
  EXPECT_EQ(refused_with(503, "<html>", 0).error.status, 503);
  EXPECT_EQ(too_slow("answer").error.status, 504);
  EXPECT_EQ(unreachable("refused").error.status, 502);
}

TEST(UpstreamFault, follows_no_redirect_and_passes_no_status_that_is_none) {
  for (const int status : {302, 204, 101, 600, 999}) EXPECT_EQ(refused_with(status, "", 0).error.status, 502) << status;
}

TEST(UpstreamFault, cuts_what_an_upstream_says_to_a_size_that_fits_a_log_and_between_characters) {
  std::string words;
  while (words.size() < 20'000) words += "é";
  const ApiError error =
      refused_with(500, R"({"error":{"message":"x)" + words + R"(","code":")" + words + R"("}})", 0).error;
  EXPECT_EQ(error.message.size(), 8191U);
  EXPECT_EQ(error.code.size(), 128U);
}

TEST(StreamAssembler, puts_chunks_together) {
  StreamAssembler stream;
  const auto push = [&](const std::string& data) { return stream.push(data).has_value(); };
  EXPECT_TRUE(push(R"({"model":"up","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]})"));
  EXPECT_TRUE(push(R"({"choices":[{"index":0,"delta":{"content":"Hel"}}]})"));
  EXPECT_TRUE(push(R"({"choices":[{"index":0,"delta":{"content":"lo"}}]})"));
  EXPECT_FALSE(stream.finished());
  EXPECT_TRUE(push(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"));
  EXPECT_TRUE(stream.finished());
  const auto usage = stream.push(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})");
  ASSERT_TRUE(usage.has_value());
  EXPECT_TRUE(usage->usage_only);
  const FlightResult result = stream.take();
  EXPECT_EQ(result.answer.choices.at(0).content, "Hello");
  EXPECT_EQ(result.answer.completion_tokens, 2);
  EXPECT_TRUE(result.complete);
}

TEST(StreamAssembler, puts_thoughts_together) {
  StreamAssembler stream;
  for (const std::string part : {"Let", " me see"}) {
    ASSERT_TRUE(
        stream.push(R"({"choices":[{"index":0,"delta":{"reasoning_content":")" + part + R"("}}]})").has_value());
  }
  ASSERT_TRUE(stream.push(R"({"choices":[{"index":0,"delta":{"content":"4"},"finish_reason":"stop"}]})").has_value());
  const FlightResult result = stream.take();
  EXPECT_EQ(result.answer.choices.at(0).reasoning, "Let me see");
  EXPECT_EQ(result.answer.choices.at(0).content, "4");
  EXPECT_TRUE(result.complete);
}

TEST(StreamAssembler, passes_events_without_choices) {
  StreamAssembler stream;
  for (const std::string event : {R"({"type":"ping"})", R"({"choices":null})", R"({"choices":"none"})", "{}"}) {
    const auto delta = stream.push(event);
    ASSERT_TRUE(delta.has_value()) << event;
    EXPECT_EQ(delta->raw, event);
    EXPECT_FALSE(delta->usage_only);
  }
  EXPECT_FALSE(stream.finished());
}

TEST(StreamAssembler, takes_an_error_event_as_the_end) {
  StreamAssembler stream;
  const auto result = stream.push(R"({"error":{"message":"out of memory"}})");
  ASSERT_TRUE(result.has_error());
  EXPECT_EQ(result.error().message, "out of memory");
}

TEST(UpstreamUrl, is_taken_apart) {
  const auto url = UpstreamUrl::parse("https://api.example.com/v1/");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "api.example.com");
  EXPECT_EQ(url->port, "443");
  EXPECT_EQ(url->path, "/v1");
  EXPECT_EQ(UpstreamUrl::parse("http://[::1]:9/v1")->authority(), "[::1]:9");
  EXPECT_FALSE(UpstreamUrl::parse("ftp://x"));
  EXPECT_FALSE(UpstreamUrl::parse("http://user:pass@x/v1"));
  EXPECT_FALSE(UpstreamUrl::parse("http://:80/v1"));
}

}  // namespace
}  // namespace kvasir::gateway
