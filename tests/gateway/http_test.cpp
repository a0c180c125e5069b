// The HTTP edge over real sockets.
#include "tests/gateway/test_client.hpp"
#include "tests/gateway/test_gateway.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;

void always(TestGateway& gateway) {
  gateway.engine->reply_with([](engine::GenerateListener& listener) { speak(listener, {"answer"}); });
}

TEST(Http, answers_pipelined_requests_in_order) {
  TestGateway gateway;
  always(gateway);
  TestClient client(gateway.port());
  const std::string one = chat("A");
  const std::string head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n";
  const auto request = [&](const std::string& id) {
    return head + "X-Request-Id: " + id + "\r\nContent-Length: " + std::to_string(one.size()) + "\r\n\r\n" + one;
  };
  client.send(request("first") + request("second") + request("third"));
  for (const char* id : {"first", "second", "third"}) EXPECT_EQ(client.response().headers.at("x-request-id"), id);
}

TEST(Http, takes_chunked_bodies_query_strings_and_absolute_targets) {
  TestGateway gateway;
  always(gateway);
  TestClient client(gateway.port());
  const std::string body = chat("A");
  char size[20];
  std::snprintf(size, sizeof size, "%zx", body.size());
  client.send(
      "POST http://host/v1/chat/completions?api-version=2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
      std::string(size) + "\r\n" + body + "\r\n0\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
}

TEST(Http, continues_when_asked_to) {
  TestGateway gateway;
  always(gateway);
  TestClient client(gateway.port());
  const std::string body = chat("A");
  client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_EQ(client.head().status, 100);
  client.send(body);
  EXPECT_EQ(client.response().status, 200);
}

TEST(Http, replaces_a_request_id_that_is_not_sane) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.get("/v1/models", "X-Request-Id: a\"b\r\n");
  EXPECT_TRUE(client.response().headers.at("x-request-id").starts_with("req-"));
}

TEST(Http, bounds_bodies_and_headers) {
  HttpLimits limits;
  limits.max_body_bytes = 1000;
  limits.max_header_bytes = 2000;
  TestGateway gateway({}, limits);
  TestClient large(gateway.port());
  large.post(kChat, std::string(5000, ' '));
  EXPECT_EQ(large.response().status, 413);
  EXPECT_TRUE(large.ended());
  TestClient chunked(gateway.port());
  chunked.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" +
               std::string(5000, ' '));
  EXPECT_EQ(chunked.response().status, 413);
  TestClient wordy(gateway.port());
  wordy.get("/", "X: " + std::string(5000, 'x') + "\r\n");
  EXPECT_EQ(wordy.response().status, 431);
}

TEST(Http, ends_the_connection_after_what_is_not_http) {
  TestGateway gateway;
  for (const std::string bytes : {"GE T / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01 hello\r\n\r\n",
                                  "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n"}) {
    TestClient client(gateway.port());
    client.send(bytes);
    const TestResponse response = client.response();
    EXPECT_EQ(response.status, 400) << bytes;
    EXPECT_EQ(json::parse(response.body)["error"].size(), 4U);
    EXPECT_EQ(response.headers.at("connection"), "close");
    EXPECT_TRUE(client.ended()) << bytes;
  }
}

TEST(Http, bounds_chunk_heads_and_trailers) {
  TestGateway gateway;
  const std::string head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string begin : {"1;", "0\r\nX: "}) {
    TestClient client(gateway.port());
    client.send(head + begin + std::string(300'000, 'x'));
    EXPECT_EQ(client.response().status / 100, 4) << begin;
    EXPECT_TRUE(client.ended());
  }
}

TEST(Http, refuses_bodies_whose_end_is_ambiguous) {
  TestGateway gateway;
  always(gateway);
  const std::string body = "0\r\n\r\n";
  for (const std::string bad : {"1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip",
                                "1.0\r\nTransfer-Encoding: chunked", "1.1\r\nHost: x\r\nTransfer-Encoding: identity",
                                "1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
                                "1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"}) {
    TestClient client(gateway.port());
    client.send("POST /v1/chat/completions HTTP/" + bad + "\r\n\r\n" + body);
    const TestResponse response = client.response();
    EXPECT_EQ(response.status, 400) << bad;
    EXPECT_EQ(response.headers.at("connection"), "close");
    EXPECT_TRUE(client.ended()) << bad;
  }
}

TEST(Http, asks_for_the_key_before_it_reads_a_body) {
  TestGateway gateway({{"a", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "a", 0, 0}});
  TestClient client(gateway.port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{");
  const TestResponse response = client.response();
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(json::parse(response.body)["error"]["code"].get<std::string>(), "invalid_api_key");
  EXPECT_EQ(response.headers.at("connection"), "close");
}

TEST(Http, joins_cache_control_lines) {
  TestGateway gateway;
  always(gateway);
  TestClient client(gateway.port());
  client.post(kChat, chat("A"), "Cache-Control: max-age=5\r\nCache-Control: no-store\r\n");
  EXPECT_EQ(client.response().headers.at("x-kvasir-cache-reason"), "no_store");
}

TEST(Admin, answers_local_requests_only) {
  TestGateway gateway;
  const std::string port = std::to_string(gateway.admin_port());
  const auto status = [&](const std::string& headers) {
    TestClient client(gateway.admin_port());
    client.send("GET /metrics HTTP/1.1\r\n" + headers + "\r\n");
    return client.response().status;
  };
  for (const std::string& host :
       {"localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port, std::string("localhost")}) {
    EXPECT_EQ(status("Host: " + host + "\r\n"), 200) << host;
    EXPECT_EQ(status("Host: " + host + "\r\nOrigin: http://" + host + "\r\n"), 200) << host;
  }
  EXPECT_EQ(status("Host: rebound.example:" + port + "\r\n"), 403);
  EXPECT_EQ(status("Host: 127.evil.example\r\n"), 403);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: https://evil.example\r\n"), 403);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: null\r\n"), 403);
}

TEST(Admin, selects_nothing_by_an_empty_list) {
  TestGateway gateway;
  always(gateway);
  TestClient asker(gateway.port());
  asker.post(kChat, chat("A"));
  EXPECT_EQ(asker.response().status, 200);
  const auto removed = [&](const std::string& body) {
    TestClient client(gateway.admin_port());
    client.send("POST /admin/cache/invalidate HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    return json::parse(client.response().body)["answers"].get<int>();
  };
  EXPECT_EQ(removed(R"({"documents":[],"tenant":"default"})"), 0);
  EXPECT_EQ(removed(R"({"tags":[],"model":"played"})"), 0);
  EXPECT_EQ(removed(R"({"tenant":"default"})"), 1);
}

TEST(Http, gives_up_on_a_request_that_never_ends) {
  HttpLimits limits;
  limits.header_timeout = std::chrono::milliseconds(100);
  TestGateway gateway({}, limits);
  TestClient client(gateway.port());
  client.send("GET /v1/models HTTP/1.1\r\nHost:");
  EXPECT_TRUE(client.ended());
}

TEST(Http, knows_its_paths_and_methods) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.get("/nowhere");
  EXPECT_EQ(client.response().status, 404);
  client.get(kChat);
  const TestResponse wrong = client.response();
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST, OPTIONS");
  client.get("/v1/models");
  EXPECT_EQ(json::parse(client.response().body)["data"][0]["id"], "played");
  client.get("/v1/models/played");
  EXPECT_EQ(json::parse(client.response().body)["id"], "played");
  client.get("/v1/models/nobody");
  EXPECT_EQ(json::parse(client.response().body)["error"]["code"], "model_not_found");
}

TEST(Http, says_whether_it_is_alive_and_ready) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.get("/health/live");
  EXPECT_EQ(client.response().status, 200);
  client.get("/health/ready");
  EXPECT_EQ(client.response().status, 200);
  gateway.state.draining = true;
  client.get("/health/ready");
  EXPECT_EQ(client.response().status, 503);
  client.get("/health/live");
  EXPECT_EQ(client.response().status, 200);
}

TEST(Http, finishes_what_runs_while_it_drains) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.post(kChat, chat("A"));
  const auto call = gateway.engine->call(0);
  gateway.state.draining = true;
  gateway.server->close_connections();
  TestClient late(gateway.port());
  late.post(kChat, chat("B"));
  EXPECT_EQ(late.response().status, 503);
  speak(*call.listener, {"done"});
  const TestResponse response = client.response();
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(client.ended());
}

TEST(Http, reads_a_request_that_has_begun_to_its_end_while_it_drains) {
  const std::string body = chat("A");
  const std::string head =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  for (const std::string& begun : {head.substr(0, 10), head, head + body.substr(0, 10)}) {
    TestGateway gateway;
    TestClient idle(gateway.port());
    idle.get("/health/live");
    EXPECT_EQ(idle.response().status, 200);
    while (gateway.server->requests_running() > 0) std::this_thread::yield();
    TestClient client(gateway.port());
    client.send(begun);
    while (gateway.server->requests_running() == 0) std::this_thread::yield();
    gateway.state.draining = true;
    gateway.server->close_connections();
    EXPECT_TRUE(idle.ended());
    EXPECT_GE(gateway.server->requests_running(), 1) << "the drain waits for it";
    client.send((head + body).substr(begun.size()));
    const TestResponse response = client.response();
    EXPECT_EQ(response.status, 503) << begun;
    EXPECT_EQ(response.headers.at("connection"), "close");
    EXPECT_TRUE(client.ended());
    while (gateway.server->requests_running() > 0) std::this_thread::yield();
  }
}

TEST(Http, apologises_for_an_exception_and_serves_the_others) {
  TestGateway gateway;
  gateway.cache().break_lookups(true);
  TestClient client(gateway.port());
  client.post(kChat, chat("A"));
  const TestResponse response = client.response();
  EXPECT_EQ(response.status, 500);
  const json error = json::parse(response.body)["error"];
  EXPECT_EQ(error.size(), 4U);
  EXPECT_EQ(error["code"], "internal");
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(client.ended());
  TestClient admin(gateway.admin_port());
  admin.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(admin.response().body, testing::ContainsRegex("kvasir_requests_total[^\n]*500[^\n]* 1\n"));
  gateway.cache().break_lookups(false);
  always(gateway);
  EXPECT_EQ(post(gateway, kChat, chat("B")).status, 200);
}

// Speaks, and then fails.
class HalfAnAnswer final : public HttpHandler {
 public:
  Task<void> handle(HttpExchange& exchange) override {
    co_await exchange.begin_stream("", "text/plain");
    co_await exchange.write("half");
    throw std::runtime_error("a bug");
  }
};

TEST(Http, breaks_off_when_an_exception_comes_after_the_answers_beginning) {
  HalfAnAnswer handler;
  auto io = std::make_unique<IoThreads>(1);
  std::string error;
  const auto server = HttpServer::bind(*io, 1, {"127.0.0.1", 0}, handler, {}, error);
  ASSERT_TRUE(server) << error;
  server->start();
  io->start();
  {
    TestClient client(server->address().port);
    client.get("/");
    const TestResponse response = client.response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "half");
    EXPECT_FALSE(response.whole);
    EXPECT_TRUE(client.ended());
  }
  io->stop();
  server->release();
  io.reset();
}

TEST(HttpServer, says_in_one_sentence_that_its_port_is_taken) {
  TestGateway gateway;
  std::string error;
  EXPECT_FALSE(HttpServer::is_free({"127.0.0.1", static_cast<std::uint16_t>(gateway.port())}, error));
  EXPECT_THAT(error, testing::HasSubstr("another program uses this port"));
}

TEST(HttpHeaders, cannot_be_split_by_a_value) {
  std::string headers;
  append_header(headers, "x", "a\r\nset-cookie: b");
  EXPECT_EQ(headers, "x: aset-cookie: b\r\n");
}

}  // namespace
}  // namespace kvasir::gateway
