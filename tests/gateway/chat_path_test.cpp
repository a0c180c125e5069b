// The path of a chat request, over real sockets: miss, exact, semantic, coalesced, bypass.
#include "tests/gateway/test_client.hpp"
#include "tests/gateway/test_gateway.hpp"

#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

TestResponse ask(const TestGateway& gateway, const std::string& body, const std::string& headers = "") {
  TestClient client(gateway.port());
  client.post(kChat, body, headers);
  return client.response();
}

void always(TestGateway& gateway, std::vector<std::string> words) {
  gateway.engine->reply_with([words](engine::GenerateListener& listener) { speak(listener, words); });
}

TEST(ChatPath, computes_once_and_then_serves_the_same_bytes_exactly) {
  TestGateway gateway;
  always(gateway, {"Par", "is"});
  const TestResponse first = ask(gateway, chat("Capital of France?"));
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.headers.at("x-kvasir-cache"), "miss");
  EXPECT_EQ(json::parse(first.body)["cached"], false);

  const TestResponse second = ask(gateway, chat("Capital of France?"));
  EXPECT_EQ(second.headers.at("x-kvasir-cache"), "exact");
  EXPECT_EQ(second.headers.at("x-kvasir-cache-reason"), "hit");
  EXPECT_EQ(second.headers.at("x-kvasir-cache-entry"), first.headers.at("x-kvasir-cache-entry"));
  const json body = json::parse(second.body);
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Paris");
  EXPECT_EQ(body["cached"], true);
  EXPECT_NE(body["id"], json::parse(first.body)["id"]);
  EXPECT_EQ(gateway.engine->calls(), 1U);
}

TEST(ChatPath, tells_whoever_waits_that_the_backend_broke) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener&) { throw std::runtime_error("a bug"); });
  TestClient client(gateway.port());
  for (int i = 0; i < 2; ++i) {  // no flight is left that the second could wait for
    client.post(kChat, chat("Capital of France?"));
    const TestResponse response = client.response();
    EXPECT_EQ(response.status, 500);
    EXPECT_EQ(json::parse(response.body)["error"]["code"], "internal");
  }
  always(gateway, {"Paris"});
  EXPECT_EQ(ask(gateway, chat("Capital of France?")).status, 200);
}

TEST(ChatPath, serves_a_neighbour_with_its_similarity) {
  TestGateway gateway;
  always(gateway, {"Paris"});
  ask(gateway, chat("Capital of France?"));
  const TestResponse similar = ask(gateway, chat("Could you name the capital of France?"));
  EXPECT_EQ(similar.headers.at("x-kvasir-cache"), "semantic");
  EXPECT_EQ(similar.headers.at("x-kvasir-similarity"), "1");
  const TestResponse different = ask(gateway, chat("Why?"));
  EXPECT_EQ(different.headers.at("x-kvasir-cache"), "miss");
  EXPECT_EQ(different.headers.at("x-kvasir-cache-reason"), "below_threshold");
}

TEST(ChatPath, concludes_nothing_from_a_vector_that_leaves_something_out) {
  TestGateway gateway;
  always(gateway, {"Paris"});
  ask(gateway, chat("Capital of France?"));
  const TestResponse unread = ask(gateway, chat("Capital of ~?"));
  EXPECT_EQ(unread.headers.at("x-kvasir-cache"), "miss");
  EXPECT_EQ(unread.headers.at("x-kvasir-cache-reason"), "unread");
  EXPECT_FALSE(unread.headers.contains("x-kvasir-similarity"));
  EXPECT_EQ(gateway.cache().stats().vectors, 1U);
  EXPECT_EQ(ask(gateway, chat("Capital of ~?")).headers.at("x-kvasir-cache"), "exact");
}

TEST(ChatPath, embeds_no_question_that_holds_its_context) {
  TestGateway gateway;
  always(gateway, {"Paris"});
  ask(gateway, chat("Capital of France?"));
  for (const std::string question :
       {"Capital? <document>Paris is.", "Capital?\\n<Documents><d>x</d>", "Capital?\\n Context: Paris is."}) {
    EXPECT_EQ(ask(gateway, chat(question)).headers.at("x-kvasir-cache-reason"), "context") << question;
  }
  EXPECT_EQ(ask(gateway, chat("Can context: be inside?")).headers.at("x-kvasir-cache-reason"), "hit");
  EXPECT_EQ(gateway.cache().stats().vectors, 1U);
}

TEST(ChatPath, names_the_default_model_in_every_shape) {
  TestGateway gateway;
  always(gateway, {"Paris"});
  EXPECT_THAT(ask(gateway, chat("A", R"(,"stream":true)")).body, HasSubstr(R"("model":"played")"));
  EXPECT_EQ(json::parse(ask(gateway, chat("B")).body)["model"].get<std::string>(), "played");
}

TEST(ChatPath, replays_logprobs_only_to_who_asks) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) {
    listener.started(1, 0);
    listener.delta("x", {{"x", -0.5F, {}}});
    listener.finished({});
  });
  const TestResponse first = ask(gateway, chat("A", R"(,"logprobs":true)"));
  EXPECT_TRUE(json::parse(first.body)["choices"][0]["logprobs"].is_object());
  for (const std::string stream : {"", R"(,"stream":true)"}) {
    const TestResponse without = ask(gateway, chat("A", stream));
    EXPECT_EQ(without.headers.at("x-kvasir-cache"), "exact");
    EXPECT_THAT(without.body, Not(HasSubstr(R"("bytes")")));
    EXPECT_THAT(ask(gateway, chat("A", R"(,"logprobs":true)" + stream)).body, HasSubstr(R"("bytes")"));
  }
}

TEST(ChatPath, does_not_join_a_computation_from_before_an_invalidation) {
  TestGateway gateway;
  TestClient before(gateway.port());
  before.post(kChat, chat("Tell"));
  const auto old = gateway.engine->call(0);
  gateway.cache().invalidate({{}, {}, "", "", true});
  TestClient after(gateway.port());
  after.post(kChat, chat("Tell"));
  speak(*gateway.engine->call(1).listener, {"new"});
  EXPECT_THAT(after.response().body, HasSubstr("new"));
  speak(*old.listener, {"old"});
  EXPECT_THAT(before.response().body, HasSubstr("old"));
}

TEST(ChatPath, replays_a_plain_answer_as_a_stream_and_the_other_way_round) {
  TestGateway gateway;
  always(gateway, {"Par", "is"});
  ask(gateway, chat("Capital of France?"));
  const TestResponse stream = ask(gateway, chat("Capital of France?", R"(,"stream":true)"));
  EXPECT_EQ(stream.headers.at("x-kvasir-cache"), "exact");
  EXPECT_THAT(stream.body, HasSubstr(R"("content":"Paris")"));
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));

  ask(gateway, chat("Beer?", R"(,"stream":true)"));
  const TestResponse plain = ask(gateway, chat("Beer?"));
  EXPECT_EQ(plain.headers.at("x-kvasir-cache"), "exact");
  EXPECT_EQ(json::parse(plain.body)["choices"][0]["message"]["content"], "Paris");
}

TEST(ChatPath, streams_words_as_they_come) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.post(kChat, chat("Tell", R"(,"stream":true)"));
  const auto call = gateway.engine->call(0);
  call.listener->started(10, 0);
  call.listener->delta("first", {});
  EXPECT_THAT(client.read_until("first"), HasSubstr("text/event-stream"));
  call.listener->delta("second", {});
  EXPECT_THAT(client.read_until("second"), Not(HasSubstr("[DONE]")));
  call.listener->finished({});
  EXPECT_THAT(client.read_until("[DONE]\n\n"), HasSubstr(R"("finish_reason":"stop")"));
}

//   client 1 ─┐
//   client 2 ─┼─▶ one computation
//   client 3 ─┘   (a stream)
TEST(ChatPath, computes_equal_requests_in_flight_once_for_all) {
  TestGateway gateway;
  TestClient leader(gateway.port());
  leader.post(kChat, chat("Tell"));
  const auto call = gateway.engine->call(0);
  TestClient joiner(gateway.port());
  joiner.post(kChat, chat("Tell"));
  TestClient streamer(gateway.port());
  streamer.post(kChat, chat("Tell", R"(,"stream":true)"));
  call.listener->started(10, 0);
  call.listener->delta("one", {});
  EXPECT_THAT(streamer.read_until("one"), HasSubstr("x-kvasir-cache: coalesced"));
  call.listener->delta(" answer", {});
  call.listener->finished({});
  EXPECT_EQ(leader.response().headers.at("x-kvasir-cache"), "miss");
  const TestResponse joined = joiner.response();
  EXPECT_THAT(joined.body, HasSubstr("one answer"));
  EXPECT_THAT(streamer.read_until("[DONE]"), HasSubstr(" answer"));
  EXPECT_EQ(gateway.engine->calls(), 1U);
}

TEST(ChatPath, goes_on_for_the_others_when_the_leader_hangs_up) {
  TestGateway gateway;
  TestClient leader(gateway.port());
  leader.post(kChat, chat("Tell"));
  const auto call = gateway.engine->call(0);
  TestClient joiner(gateway.port());
  joiner.post(kChat, chat("Tell", R"(,"stream":true)"));
  call.listener->started(10, 0);
  call.listener->delta("x", {});
  joiner.read_until("\"x\"");
  leader.hang_up();
  speak(*call.listener, {"y"});
  EXPECT_THAT(joiner.read_until("[DONE]"), HasSubstr("y"));
  EXPECT_FALSE(gateway.engine->any_cancelled());
}

TEST(ChatPath, cancels_the_work_when_the_only_client_hangs_up) {
  TestGateway gateway;
  for (const std::string stream : {"", R"(,"stream":true)"}) {
    const std::size_t before = gateway.engine->calls();
    TestClient client(gateway.port());
    client.post(kChat, chat("Tell", stream));
    const auto call = gateway.engine->call(before);
    client.hang_up();
    EXPECT_TRUE(gateway.engine->wait_for_cancel(call.id));
  }
}

TEST(ChatPath, starts_anew_after_an_abandoned_computation) {
  TestGateway gateway;
  TestClient first(gateway.port());
  first.post(kChat, chat("Tell"));
  const auto abandoned = gateway.engine->call(0);
  first.hang_up();
  ASSERT_TRUE(gateway.engine->wait_for_cancel(abandoned.id));
  TestClient second(gateway.port());
  second.post(kChat, chat("Tell"));
  speak(*gateway.engine->call(1).listener, {"again"});
  EXPECT_THAT(second.response().body, HasSubstr("again"));
}

TEST(ChatPath, sends_the_end_only_when_the_entry_is_stored) {
  TestGateway gateway;
  gateway.cache().hold();
  TestClient client(gateway.port());
  client.post(kChat, chat("Tell", R"(,"stream":true)"));
  speak(*gateway.engine->call(0).listener, {"all of it"});
  const std::string before = client.read_until("all of it");
  EXPECT_THAT(before, Not(HasSubstr("[DONE]")));
  gateway.cache().release();
  EXPECT_THAT(client.read_until("[DONE]"), HasSubstr("finish_reason"));
}

TEST(ChatPath, does_not_wait_for_ever_for_a_store_that_hangs) {
  TestGateway gateway;
  gateway.cache().hold();
  always(gateway, {"answer"});
  const TestResponse response = ask(gateway, chat("Tell"));
  EXPECT_EQ(response.status, 200);
  EXPECT_FALSE(response.headers.contains("x-kvasir-cache-entry"));
}

TEST(ChatPath, breaks_a_stream_whose_promised_entry_could_not_be_stored) {
  TestGateway gateway;
  gateway.cache().fail();
  TestClient client(gateway.port());
  client.post(kChat, chat("Tell", R"(,"stream":true)"));
  const auto call = gateway.engine->call(0);
  call.listener->started(10, 0);
  call.listener->delta("begun", {});
  EXPECT_THAT(client.read_until("begun"), HasSubstr("x-kvasir-cache-entry"));
  call.listener->finished({});
  const std::string rest = client.read_until("[DONE]");
  EXPECT_THAT(rest, HasSubstr(R"("code":"not_stored")"));
  EXPECT_THAT(rest, Not(HasSubstr("[DONE]")));
  EXPECT_TRUE(client.was_reset());
}

TEST(ChatPath, ends_a_stream_cleanly_that_promised_nothing) {
  TestGateway gateway;
  gateway.cache().fail();
  always(gateway, {"x"});
  const TestResponse response = ask(gateway, chat("Tell", R"(,"stream":true)"), "Cache-Control: no-store\r\n");
  EXPECT_FALSE(response.headers.contains("x-kvasir-cache-entry"));
  EXPECT_THAT(response.body, HasSubstr("[DONE]"));
}

TEST(ChatPath, charges_who_hangs_up) {
  // SHA-256 of "abc"; a minute holds fewer tokens than one question.
  TestGateway gateway({{"a", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "a", 0, 10}});
  const std::string key = "Authorization: Bearer abc\r\n";
  TestClient client(gateway.port());
  client.post(kChat, chat("Tell me everything that there is to know about everything"), key);
  const auto call = gateway.engine->call(0);
  client.hang_up();
  ASSERT_TRUE(gateway.engine->wait_for_cancel(call.id));
  always(gateway, {"x"});
  int status = 200;
  for (int i = 0; i < 100 && status == 200; ++i) status = ask(gateway, chat("A"), key).status;
  EXPECT_EQ(status, 429);
}

TEST(ChatPath, gives_an_error_to_all_who_wait_and_keeps_nothing) {
  TestGateway gateway;
  TestClient one(gateway.port());
  one.post(kChat, chat("Tell"));
  const auto call = gateway.engine->call(0);
  call.listener->failed({engine::ErrorCode::overloaded, "full", "", 3});
  const TestResponse response = one.response();
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.at("retry-after"), "3");
  EXPECT_EQ(gateway.cache().stats().entries, 0U);
}

TEST(ChatPath, refuses_a_long_prompt_before_any_byte_of_a_stream) {
  TestGateway gateway;
  gateway.engine->reply_with([](engine::GenerateListener& listener) {
    listener.failed({engine::ErrorCode::context_length, "too long", "", 0});
  });
  const TestResponse response = ask(gateway, chat("Tell", R"(,"stream":true)"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(json::parse(response.body)["error"]["code"], "context_length_exceeded");
}

TEST(ChatPath, breaks_a_stream_that_fails_after_its_first_byte) {
  TestGateway gateway;
  TestClient client(gateway.port());
  client.post(kChat, chat("Tell", R"(,"stream":true)"));
  const auto call = gateway.engine->call(0);
  call.listener->started(10, 0);
  call.listener->delta("begun", {});
  client.read_until("begun");
  call.listener->failed({engine::ErrorCode::internal, "boom", "", 0});
  const TestResponse rest{0, {}, client.read_until("[DONE]"), false};
  EXPECT_THAT(rest.body, HasSubstr(R"(data: {"error":{)"));
  EXPECT_THAT(rest.body, Not(HasSubstr("[DONE]")));
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(client.was_reset());
}

TEST(ChatPath, keeps_a_cut_answer_only_where_the_caller_asked_for_the_cut) {
  TestGateway gateway;
  gateway.engine->reply_with(
      [](engine::GenerateListener& listener) { speak(listener, {"cut"}, engine::FinishReason::length); });
  ask(gateway, chat("Apples"));
  EXPECT_EQ(gateway.cache().stats().entries, 0U);
  ask(gateway, chat("Bananas", R"(,"max_tokens":1)"));
  EXPECT_EQ(gateway.cache().stats().entries, 1U);
}

TEST(ChatPath, follows_cache_control) {
  TestGateway gateway;
  always(gateway, {"x"});
  EXPECT_EQ(ask(gateway, chat("A"), "Cache-Control: only-if-cached\r\n").status, 504);
  const TestResponse unstored = ask(gateway, chat("A"), "Cache-Control: no-store\r\n");
  EXPECT_EQ(unstored.headers.at("x-kvasir-cache"), "bypass");
  EXPECT_EQ(unstored.headers.at("x-kvasir-cache-reason"), "no_store");
  EXPECT_EQ(gateway.cache().stats().entries, 0U);
  ask(gateway, chat("A"));
  EXPECT_EQ(ask(gateway, chat("A"), "Cache-Control: no-cache\r\n").headers.at("x-kvasir-cache-reason"), "no_cache");
  EXPECT_EQ(ask(gateway, chat("A"), "Cache-Control: only-if-cached\r\n").status, 200);
  EXPECT_EQ(gateway.engine->calls(), 3U);
}

TEST(ChatPath, hands_the_engine_what_was_asked_for) {
  TestGateway gateway;
  always(gateway, {"x"});
  ask(gateway, chat("A", R"(,"temperature":0.5,"top_p":0.9,"max_tokens":7,"stop":"end","seed":3,"logprobs":true,)"
                         R"("top_logprobs":2,"logit_bias":{"5":-1},"prompt_cache":false,"min_p":0.1,)"
                         R"("repetition_penalty":1.2,"prediction":{"type":"content","content":"P"},)"
                         R"("predict_options":{"tokens":4})"));
  const engine::GenerateRequest request = gateway.engine->call(0).request;
  EXPECT_FLOAT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_FLOAT_EQ(request.sampling.top_p, 0.9F);
  EXPECT_FLOAT_EQ(request.sampling.min_p, 0.1F);
  EXPECT_FLOAT_EQ(request.sampling.repetition_penalty, 1.2F);
  EXPECT_EQ(request.input->prediction, "P");
  EXPECT_EQ(request.predict_tokens, 4);
  EXPECT_EQ(request.max_tokens, 7);
  EXPECT_EQ(request.stop, std::vector<std::string>{"end"});
  EXPECT_EQ(request.sampling.seed, 3U);
  EXPECT_EQ(request.sampling.top_logprobs, 2);
  EXPECT_EQ(request.sampling.logit_bias.at(0).first, 5);
  EXPECT_FALSE(request.prompt_cache);
  EXPECT_EQ(request.input->prompt.question, "A");
}

TEST(ChatPath, never_serves_one_tenant_with_anothers_answer) {
  // SHA-256 of "abc" and of "hello".
  TestGateway gateway({{"a", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "a", 0, 0},
                       {"b", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "b", 0, 0}});
  always(gateway, {"x"});
  const std::string a = "Authorization: Bearer abc\r\n";
  const std::string b = "Authorization: Bearer hello\r\n";
  EXPECT_EQ(ask(gateway, chat("Q"), a).headers.at("x-kvasir-cache"), "miss");
  EXPECT_EQ(ask(gateway, chat("Q"), b).headers.at("x-kvasir-cache"), "miss");
  EXPECT_EQ(ask(gateway, chat("Q"), a).headers.at("x-kvasir-cache"), "exact");
  EXPECT_EQ(gateway.engine->call(1).request.cache_namespace, "b");
  EXPECT_EQ(ask(gateway, chat("Q")).status, 401);
}

}  // namespace
}  // namespace kvasir::gateway
