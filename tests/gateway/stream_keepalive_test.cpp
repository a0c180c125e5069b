// Streams on which nothing comes for a while, and readers that do not read.
#include "tests/gateway/test_client.hpp"
#include "tests/gateway/test_gateway.hpp"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

using testing::HasSubstr;

constexpr auto kKeepAlive = std::chrono::milliseconds(50);
constexpr const char* kComment = ": keep-alive\n\n";

TEST(StreamKeepAlive, writes_comments_while_nothing_is_known) {
  TestGateway gateway({}, {}, nullptr, kKeepAlive);
  TestClient client(gateway.port());
  client.post(kChat, chat("A", R"(,"stream":true)"));
  const auto call = gateway.engine->call(0);
  const TestResponse head = client.head();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("x-kvasir-cache"), "miss");
  client.read_until(kComment);
  client.read_until(kComment);
  speak(*call.listener, {"word"});
  const std::string rest = client.read_until("data: [DONE]\n\n");
  EXPECT_THAT(rest, HasSubstr(R"("content":"word")"));
}

TEST(StreamKeepAlive, tells_in_the_stream_what_fails_later) {
  TestGateway gateway({}, {}, nullptr, kKeepAlive);
  TestClient client(gateway.port());
  client.post(kChat, chat("A", R"(,"stream":true)"));
  const auto call = gateway.engine->call(0);
  client.read_until(kComment);
  call.listener->failed({engine::ErrorCode::overloaded, "full", "", 3});
  const std::string rest = client.read_until("\"}}\n\n");
  EXPECT_THAT(rest, HasSubstr(R"(data: {"error":{"message":"full")"));
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(client.was_reset());
}

TEST(StreamKeepAlive, leaves_the_status_to_what_fails_at_once) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) {
    listener.failed({engine::ErrorCode::overloaded, "full", "", 3});
  });
  TestClient client(gateway.port());
  client.post(kChat, chat("A", R"(,"stream":true)"));
  EXPECT_EQ(client.response().status, 429);
}

TEST(StreamKeepAlive, still_sees_the_client_hang_up) {
  TestGateway gateway({}, {}, nullptr, kKeepAlive);
  TestClient client(gateway.port());
  client.post(kChat, chat("A", R"(,"stream":true)"));
  const auto call = gateway.engine->call(0);
  client.read_until(kComment);
  client.hang_up();
  EXPECT_TRUE(gateway.engine->wait_for_cancel(call.id));
}

TEST(SlowReader, is_cut_off_and_holds_nobody_up) {
  HttpLimits limits;
  limits.write_timeout = std::chrono::milliseconds(100);
  TestGateway gateway({}, limits);
  TestClient sleeper(gateway.port());
  TestClient reader(gateway.port());
  const std::string no_store = "Cache-Control: no-store\r\n";  // the answer is too large to be stored
  sleeper.post(kChat, chat("A", R"(,"stream":true)"), no_store);
  const auto ignored = gateway.engine->call(0);
  reader.post(kChat, chat("B", R"(,"stream":true)"), no_store + "Connection: close\r\n");
  const auto read = gateway.engine->call(1);
  const std::vector<std::string> words(3200, std::string(16 << 10, 'x'));  // more than the kernel takes
  speak(*ignored.listener, words);
  speak(*read.listener, words);
  EXPECT_TRUE(reader.ended());
  EXPECT_GT(reader.read_until("data: [DONE]\n\n").size(), words.size() * words[0].size());
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (gateway.server->counters().open.load() > 0 && std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(gateway.server->counters().open.load(), 0);
}

}  // namespace
}  // namespace kvasir::gateway
