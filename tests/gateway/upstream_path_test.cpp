// Upstream models: what passes, what is mapped, what is never cached.
#include "gateway/upstream_backend.hpp"
#include "tests/gateway/played_upstream.hpp"
#include "tests/gateway/test_client.hpp"
#include "tests/gateway/test_gateway.hpp"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using Reply = PlayedUpstream::Reply;

constexpr const char* kAnswer =
    R"({"id":"x","model":"up","weird":[1],"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}})";
constexpr const char* kRole = R"({"id":"x","model":"up","choices":[{"index":0,"delta":{"role":"assistant"}}]})";
constexpr const char* kWord = R"({"id":"x","model":"up","choices":[{"index":0,"delta":{"content":"Hi"}}]})";
constexpr const char* kFinish = R"({"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";
constexpr const char* kUsage = R"({"id":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}})";

std::unique_ptr<Backend> backend_for(const std::string& base_url, std::chrono::milliseconds timeout) {
  UpstreamSettings settings;
  settings.base_url = base_url;
  settings.api_key = "sk-upstream";
  settings.model = "theirs";
  settings.timeout = timeout;
  std::string error;
  auto backend = UpstreamBackend::make({"upstream", std::nullopt, {settings}, {}}, {}, error);
  EXPECT_TRUE(backend) << error;
  return backend;
}

struct Fixture {
  explicit Fixture(PlayedUpstream::Script script, std::chrono::milliseconds timeout = std::chrono::seconds(5))
      : upstream(std::move(script)), gateway({}, {}, backend_for(upstream.base_url(), timeout)) {}

  TestResponse ask(const std::string& question, const std::string& more = "") {
    TestClient client(gateway.port());
    client.post(kChat, chat(question, R"(,"model":"upstream")" + more));
    return client.response();
  }

  PlayedUpstream upstream;
  TestGateway gateway;
};

TEST(UpstreamPath, passes_fields_that_the_gateway_does_not_know) {
  std::string seen;
  Fixture fixture([&](const std::string& request) {
    seen = request;
    return Reply{PlayedUpstream::plain(kAnswer)};
  });
  const TestResponse response = fixture.ask("A", R"(,"their_field":{"a":1})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(json::parse(response.body)["weird"], json::array({1}));
  EXPECT_EQ(json::parse(response.body)["cached"], false);
  EXPECT_THAT(seen, HasSubstr(R"("their_field":{"a":1})"));
  EXPECT_THAT(seen, HasSubstr(R"("model":"theirs")"));
  EXPECT_THAT(seen, HasSubstr("authorization: Bearer sk-upstream"));
}

TEST(UpstreamPath, writes_documents_into_the_text_and_refuses_them_next_to_anything_else) {
  std::string seen;
  Fixture fixture([&](const std::string& request) {
    seen = request;
    return Reply{PlayedUpstream::plain(kAnswer)};
  });
  const std::string documents = R"("documents":[{"id":"d","text":"Oslo is cold."}])";
  EXPECT_EQ(fixture.ask("A", "," + documents).status, 200);
  EXPECT_THAT(seen, HasSubstr("Oslo is cold."));
  TestClient client(fixture.gateway.port());
  client.post(
      kChat,
      R"({"model":"upstream","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}],)" +
          documents + "}");
  const TestResponse refused = client.response();
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(json::parse(refused.body)["error"]["param"].get<std::string>(), "documents");
}

TEST(UpstreamPath, does_not_give_a_stream_to_who_asked_for_a_body) {
  std::promise<void> joined;
  Fixture fixture([&](const std::string& request) {
    if (request.find(R"("stream":true)") == std::string::npos) return Reply{PlayedUpstream::plain(kAnswer)};
    return Reply{PlayedUpstream::stream({kRole, kWord}), false, false,
                 PlayedUpstream::chunks({kFinish, "[DONE]"}) + PlayedUpstream::kEnd,
                 [&] { joined.get_future().wait(); }};
  });
  TestClient stream(fixture.gateway.port());
  stream.post(kChat, chat("A", R"(,"model":"upstream","stream":true)"));
  stream.read_until(R"("content":"Hi")");
  const TestResponse plain = fixture.ask("A");
  EXPECT_EQ(plain.headers.at("x-kvasir-cache"), "miss");
  EXPECT_THAT(plain.body, HasSubstr("weird"));
  joined.set_value();
  EXPECT_THAT(stream.read_until("[DONE]"), HasSubstr("stop"));
}

TEST(UpstreamPath, never_sends_the_callers_key) {
  std::string seen;
  Fixture fixture([&](const std::string& request) {
    seen = request;
    return Reply{PlayedUpstream::plain(kAnswer)};
  });
  TestClient client(fixture.gateway.port());
  client.post(kChat, chat("A", R"(,"model":"upstream")"), "Authorization: Bearer sk-caller\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_THAT(seen, Not(HasSubstr("sk-caller")));
}

TEST(UpstreamPath, caches_a_stream_and_shows_usage_only_when_asked) {
  Fixture fixture([](const std::string&) {
    return Reply{PlayedUpstream::stream({kRole, kWord, kFinish, kUsage, "[DONE]"}) + PlayedUpstream::kEnd};
  });
  const TestResponse stream = fixture.ask("A", R"(,"stream":true)");
  EXPECT_TRUE(stream.whole);
  EXPECT_THAT(stream.body, HasSubstr(R"("content":"Hi")"));
  EXPECT_THAT(stream.body, Not(HasSubstr("usage")));
  const TestResponse plain = fixture.ask("A");
  EXPECT_EQ(plain.headers.at("x-kvasir-cache"), "exact");
  EXPECT_EQ(json::parse(plain.body)["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(fixture.upstream.requests(), 1);
}

TEST(UpstreamPath, passes_an_event_of_several_lines_in_one) {
  const std::string word = "{\"id\":\"x\",\ndata: \"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"Hi\"}}]}";
  Fixture fixture([&](const std::string&) {
    return Reply{PlayedUpstream::stream({kRole, word, kFinish, "[DONE]"}) + PlayedUpstream::kEnd};
  });
  EXPECT_THAT(
      fixture.ask("A", R"(,"stream":true)").body,
      HasSubstr(
          "data: {\"cached\":false,\"id\":\"x\", \"choices\":[{\"index\":0, \"delta\":{\"content\":\"Hi\"}}]}\n\n"));
}

TEST(UpstreamPath, keeps_connections_and_replaces_dead_ones) {
  Fixture fixture([](const std::string& request) {
    return Reply{PlayedUpstream::plain(kAnswer), request.find("last one") != std::string::npos};
  });
  TestClient client(fixture.gateway.port());  // one connection, so one I/O thread
  const auto ask = [&](const std::string& question) {
    client.post(kChat, chat(question, R"(,"model":"upstream")"), "Cache-Control: no-store\r\n");
    return client.response().status;
  };
  EXPECT_EQ(ask("one"), 200);
  EXPECT_EQ(ask("last one"), 200);
  EXPECT_EQ(fixture.upstream.connections(), 1);
  EXPECT_EQ(ask("three"), 200);
  EXPECT_EQ(fixture.upstream.connections(), 2);
}

// What a client gets, plain and streamed, when the upstream answers with `bytes` and ends the connection.
void expect_fault(const std::string& bytes, int status, const json& code) {
  for (const std::string stream : {"", R"(,"stream":true)"}) {
    Fixture fixture([&](const std::string&) { return Reply{bytes, true}; });
    const TestResponse response = fixture.ask("A", stream);
    EXPECT_EQ(response.status, status) << bytes;
    const json error = json::parse(response.body)["error"];
    EXPECT_EQ(error["code"], code) << bytes;
    EXPECT_EQ(error.size(), 4U);
    EXPECT_EQ(fixture.gateway.cache().stats().entries, 0U);
  }
}

TEST(UpstreamPath, maps_the_faults_of_the_contract) {
  expect_fault(PlayedUpstream::plain("{}", 401), 502, "upstream_auth");
  expect_fault(PlayedUpstream::plain("{}", 403), 502, "upstream_auth");
  expect_fault(PlayedUpstream::plain("oops", 500), 500, nullptr);
  expect_fault(PlayedUpstream::plain("{}", 503), 503, nullptr);
  expect_fault(PlayedUpstream::plain("<html>"), 502, "upstream_bad_answer");
  expect_fault(PlayedUpstream::plain(""), 502, "upstream_bad_answer");
  expect_fault(PlayedUpstream::plain(R"({"choices":[{"mes)"), 502, "upstream_bad_answer");
  expect_fault("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\"", 502, "upstream_bad_answer");
  expect_fault("", 502, "upstream_unreachable");
  expect_fault("garbage\r\n\r\n", 502, "upstream_bad_answer");
}

TEST(UpstreamPath, passes_a_limit_with_its_advice) {
  Fixture fixture([](const std::string&) {
    return Reply{PlayedUpstream::plain(R"({"error":{"message":"slow down"}})", 429, "retry-after: 9\r\n")};
  });
  const TestResponse response = fixture.ask("A");
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.at("retry-after"), "9");
}

TEST(UpstreamPath, times_out) {
  Fixture fixture([](const std::string&) { return Reply{"", false, true}; }, std::chrono::milliseconds(100));
  const TestResponse response = fixture.ask("A");
  EXPECT_EQ(response.status, 504);
  EXPECT_EQ(json::parse(response.body)["error"]["code"], "upstream_timeout");
}

TEST(UpstreamPath, says_that_nobody_listens) {
  TestGateway gateway({}, {}, backend_for("http://127.0.0.1:1/v1", std::chrono::seconds(5)));
  for (int i = 0; i < 3; ++i) {
    TestClient client(gateway.port());
    client.post(kChat, chat("A", R"(,"model":"upstream")"));
    EXPECT_EQ(client.response().status, 502);
  }
}

//   role ▶ word ▶ (no finish reason)  =  broken: error event, no [DONE], reset, nothing cached
TEST(UpstreamPath, calls_a_stream_without_finish_reason_broken) {
  const std::string unfinished = PlayedUpstream::chunks({"[DONE]"}) + PlayedUpstream::kEnd;
  for (const std::string& ending : {unfinished, std::string(PlayedUpstream::kEnd), std::string()}) {
    std::promise<void> begun;
    Fixture fixture([&](const std::string&) {
      return Reply{PlayedUpstream::stream({kRole, kWord}), true, false, ending, [&] { begun.get_future().wait(); }};
    });
    TestClient client(fixture.gateway.port());
    client.post(kChat, chat("A", R"(,"model":"upstream","stream":true)"));
    client.read_until(R"("content":"Hi")");
    begun.set_value();
    const std::string rest = client.read_until("[DONE]");
    EXPECT_THAT(rest, HasSubstr(R"(data: {"error":{)"));
    EXPECT_THAT(rest, Not(HasSubstr("[DONE]")));
    EXPECT_TRUE(client.was_reset());
    EXPECT_EQ(fixture.gateway.cache().stats().entries, 0U);
  }
}

TEST(UpstreamPath, calls_a_stream_broken_that_falls_silent) {
  PlayedUpstream upstream([](const std::string&) {
    Reply reply{PlayedUpstream::stream({kRole, kWord})};
    reply.silent_after = true;
    return reply;
  });
  UpstreamSettings settings;
  settings.base_url = upstream.base_url();
  settings.idle_timeout = std::chrono::milliseconds(200);
  std::string error;
  TestGateway gateway({}, {}, UpstreamBackend::make({"upstream", std::nullopt, {settings}, {}}, {}, error));
  TestClient client(gateway.port());
  client.post(kChat, chat("A", R"(,"model":"upstream","stream":true)"));
  client.read_until(R"("content":"Hi")");
  const std::string rest = client.read_until("[DONE]");
  EXPECT_THAT(rest, HasSubstr("upstream_timeout"));
  EXPECT_THAT(rest, Not(HasSubstr("[DONE]")));
  EXPECT_TRUE(client.was_reset());
  EXPECT_EQ(gateway.cache().stats().entries, 0U);
}

TEST(UpstreamPath, bounds_a_stream_without_end) {
  const std::string head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
  const std::string letters(1 << 20, 'x');
  const std::string event = R"(data: {"choices":[{"index":0,"delta":{"content":")" + letters + "\"}}]}\n\n";
  for (const auto& [start, more] : std::vector<std::pair<std::string, std::string>>{
           {head + "data: ", letters}, {head, event}, {head, ":" + letters + "\n"}}) {
    Fixture fixture([start = start, more = more](const std::string&) {
      Reply reply{start, true};
      reply.endless = more;
      return reply;
    });
    EXPECT_EQ(fixture.ask("A").status, 502);
  }
}

TEST(UpstreamPath, refuses_a_broken_stream_of_which_nothing_was_sent_yet) {
  Fixture fixture([](const std::string&) { return Reply{PlayedUpstream::stream({}) + PlayedUpstream::kEnd, true}; });
  EXPECT_EQ(fixture.ask("A", R"(,"stream":true)").status, 502);
}

TEST(UpstreamPath, keeps_nothing_that_an_entry_cannot_hold) {
  const std::string tool_call =
      R"({"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"stop"}]})";
  Fixture fixture([&](const std::string&) { return Reply{PlayedUpstream::plain(tool_call)}; });
  const TestResponse response = fixture.ask("A");
  EXPECT_EQ(json::parse(response.body)["choices"][0]["message"]["tool_calls"][0]["id"], "1");
  EXPECT_FALSE(response.headers.contains("x-kvasir-cache-entry"));
  EXPECT_EQ(fixture.gateway.cache().stats().entries, 0U);
}

}  // namespace
}  // namespace kvasir::gateway
