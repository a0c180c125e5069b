// Endpoints other than chat: a body there, a body or a stream back.
#include "tests/gateway/played_upstream.hpp"
#include "tests/gateway/upstream_line.hpp"

#include <thread>

#include <gmock/gmock.h>

namespace kvasir::gateway {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Reply = PlayedUpstream::Reply;

TEST(UpstreamForward, sends_a_body_under_the_upstreams_name_for_the_model) {
  std::string seen;
  PlayedUpstream upstream([&](const std::string& request) {
    seen = request;
    return Reply{PlayedUpstream::plain(R"({"data":[]})")};
  });
  UpstreamLine line({upstream_at(upstream.base_url())});
  ForwardCall call = UpstreamLine::call();
  call.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto reply = line.forward(call);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->body, R"({"data":[]})");
  EXPECT_FALSE(reply->streamed);
  EXPECT_THAT(seen, AllOf(HasSubstr("POST /v1/embeddings HTTP/1.1\r\n"),
                          HasSubstr(R"({"model":"theirs","input":"Hi"})"), HasSubstr("x-request-id: r1\r\n"),
                          HasSubstr("traceparent: 00-0af7651916cd43dd"), Not(HasSubstr("authorization"))));
}

TEST(UpstreamForward, passes_the_bytes_of_a_stream_as_they_arrive) {
  std::promise<void> heard;
  PlayedUpstream upstream([&](const std::string&) {
    return Reply{PlayedUpstream::stream({"one"}), false, false, PlayedUpstream::chunks({"two"}) + PlayedUpstream::kEnd,
                 [&] { heard.get_future().wait(); }};
  });
  UpstreamLine line({upstream_at(upstream.base_url())});
  std::string bytes;
  const auto reply = line.forward(UpstreamLine::call(), [&](std::string_view some) -> Task<bool> {
    if (bytes.empty()) heard.set_value();
    bytes += some;
    co_return true;
  });
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->streamed);
  EXPECT_EQ(bytes, "data: one\n\ndata: two\n\n");
}

TEST(UpstreamForward, does_not_blame_the_upstream_for_a_slow_reader) {
  PlayedUpstream upstream([&](const std::string&) {
    return Reply{PlayedUpstream::stream({"one"}), false, false, PlayedUpstream::chunks({"two"}) + PlayedUpstream::kEnd,
                 [] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }};
  });
  UpstreamSettings settings = upstream_at(upstream.base_url());
  settings.idle_timeout = std::chrono::milliseconds(200);
  UpstreamLine line({settings});
  std::string bytes;
  const auto reply = line.forward(UpstreamLine::call(), [&](std::string_view some) -> Task<bool> {
    bytes += some;
    Timer pause(co_await asio::this_coro::executor);
    pause.expires_after(std::chrono::milliseconds(600));
    co_await pause.async_wait(use_tuple);
    co_return true;
  });
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(bytes, "data: one\n\ndata: two\n\n");
}

TEST(UpstreamForward, says_that_a_stream_broke_off) {
  PlayedUpstream upstream([](const std::string&) { return Reply{PlayedUpstream::stream({"one"}), true}; });
  UpstreamLine line({upstream_at(upstream.base_url())});
  const auto reply = line.forward(UpstreamLine::call(), [](std::string_view) -> Task<bool> { co_return true; });
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().status, 502);
  EXPECT_EQ(upstream.requests(), 1);  // not again: its first bytes were passed on
}

TEST(UpstreamForward, takes_nothing_but_json_for_an_answer) {
  for (const std::string body : {"<html>", R"({"data":)", "", "3"}) {
    PlayedUpstream upstream([&](const std::string&) { return Reply{PlayedUpstream::plain(body)}; });
    UpstreamLine line({upstream_at(upstream.base_url())});
    EXPECT_EQ(line.ask(), 502) << body;
  }
}

TEST(UpstreamForward, ends_when_nobody_waits_any_more) {
  std::promise<void> asked;
  PlayedUpstream upstream([&](const std::string&) {
    asked.set_value();
    return Reply{"", false, true};
  });
  UpstreamLine line({upstream_at(upstream.base_url())});
  const ForwardCall call = UpstreamLine::call();
  auto answer = line.begin(call);
  asked.get_future().wait();
  asio::post(line.executor(), [control = call.control] { control->cancel(); });
  EXPECT_TRUE(answer.get().has_error());
  EXPECT_EQ(line.stats().faults[static_cast<std::size_t>(FaultKind::cancelled)], 1U);
}

}  // namespace
}  // namespace kvasir::gateway
