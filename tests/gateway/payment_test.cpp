// Who pays what, over real sockets: what was computed, nothing for hits and faults, and what was begun for who hangs
// up.
#include "tests/gateway/test_client.hpp"
#include "tests/gateway/test_gateway.hpp"

#include <thread>

#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kKey = "Authorization: Bearer abc\r\n";
constexpr int kTokens = 1'000'000;

// A key whose tokens hardly refill while a test runs: 16 a millisecond.
class Payment : public testing::Test {
 protected:
  Payment() : gateway_({{"k", kAbc, "team", 1000, kTokens}}) {}

  TestResponse ask(const std::string& body) {
    TestClient client(gateway_.port());
    client.post(kChat, body, kKey);
    return client.response();
  }
  std::int64_t requests_left() const { return key().requests->state().remaining; }
  // Tokens that are missing, give or take what is refilled meanwhile.
  std::int64_t taken() const { return kTokens - key().tokens->state().remaining; }
  const ApiKey& key() const { return *gateway_.live->get()->keys.find("Bearer abc"); }

  TestGateway gateway_;
};

TEST_F(Payment, is_reserved_while_the_answer_is_computed) {
  TestClient client(gateway_.port());
  client.post(kChat, chat("A?", R"(,"max_tokens":900000)"), kKey);
  const auto call = gateway_.engine->call(0);
  EXPECT_GT(taken(), 500'000);
  speak(*call.listener, {"yes"});
  EXPECT_EQ(client.response().status, 200);
  while (taken() > 100'000) std::this_thread::yield();
}

TEST_F(Payment, is_refused_before_the_engine_hears_of_it) {
  TestClient first(gateway_.port());
  first.post(kChat, chat("A?", R"(,"max_tokens":900000)"), kKey);
  const auto call = gateway_.engine->call(0);
  const TestResponse refused = ask(chat("B?", R"(,"max_tokens":900000)"));
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  EXPECT_EQ(gateway_.engine->calls(), 1U);
  speak(*call.listener, {"yes"});
}

TEST_F(Payment, is_given_back_when_the_engine_refuses) {
  gateway_.engine->reply_with([](engine::GenerateListener& listener) {
    listener.failed({engine::ErrorCode::overloaded, "full", "", 3});
  });
  EXPECT_EQ(ask(chat("A?", R"(,"max_tokens":900000)")).status, 429);
  while (requests_left() < 1000 || taken() > 0) std::this_thread::yield();
}

TEST_F(Payment, of_who_hangs_up_is_what_was_worked_on) {
  TestClient client(gateway_.port());
  client.post(kChat, chat(std::string(400'000, 'x'), R"(,"stream":true,"max_tokens":100)"), kKey);
  const auto call = gateway_.engine->call(0);
  call.listener->started(10, 0);
  call.listener->delta("a word", {});
  client.read_until("a word");
  client.hang_up();
  ASSERT_TRUE(gateway_.engine->wait_for_cancel(call.id));
  while (gateway_.server->requests_running() > 0) std::this_thread::yield();
  EXPECT_GT(taken(), 50'000) << "a quarter of the bytes";
}

TEST_F(Payment, is_not_asked_of_who_joins_an_answer_in_flight) {
  TestClient first(gateway_.port());
  first.post(kChat, chat("A?", R"(,"max_tokens":600000)"), kKey);
  const auto call = gateway_.engine->call(0);
  TestClient second(gateway_.port());
  second.post(kChat, chat("A?", R"(,"max_tokens":600000)"), kKey);
  while (gateway_.server->requests_running() < 2) std::this_thread::yield();
  EXPECT_LT(taken(), 700'000);
  speak(*call.listener, {"yes"});
  EXPECT_EQ(first.response().status, 200);
  EXPECT_EQ(second.response().status, 200);
  EXPECT_EQ(gateway_.engine->calls(), 1U);
}

}  // namespace
}  // namespace kvasir::gateway
