// Upstreams that fail, lie or never stop: what is tried again, what is bounded, what the client hears.
#include "tests/gateway/played_upstream.hpp"
#include "tests/gateway/upstream_line.hpp"

#include <set>

#include <gmock/gmock.h>

namespace kvasir::gateway {
namespace {

using Reply = PlayedUpstream::Reply;

Reply well(const std::string&) {
  return Reply{PlayedUpstream::plain("{}")};
}
PlayedUpstream::Script with_status(int status, const std::string& headers = "") {
  return [=](const std::string&) { return Reply{PlayedUpstream::plain("{}", status, headers)}; };
}

// A port on which nobody listens, and nobody else will.
class ClosedPort {
 public:
  ClosedPort() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~ClosedPort() { ::close(socket_); }
  std::string base_url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }

 private:
  int socket_;
  int port_;
};

// `first` is asked first; `second` when it cannot.
std::vector<UpstreamSettings> in_order(const std::string& first, const std::string& second) {
  std::vector<UpstreamSettings> settings{upstream_at(first), upstream_at(second)};
  settings[1].priority = 1;
  return settings;
}

TEST(UpstreamRetry, goes_to_another_upstream_before_the_first_byte) {
  const ClosedPort nobody;
  PlayedUpstream resets([](const std::string&) { return Reply{"", true}; });
  PlayedUpstream limits(with_status(429));
  PlayedUpstream fails(with_status(502));
  PlayedUpstream overloaded(with_status(503));
  PlayedUpstream slow(with_status(504));
  for (const std::string& first : {nobody.base_url(), resets.base_url(), limits.base_url(), fails.base_url(),
                                   overloaded.base_url(), slow.base_url()}) {
    PlayedUpstream second(well);
    UpstreamLine line(in_order(first, second.base_url()));
    EXPECT_EQ(line.ask(), 200) << first;
    EXPECT_EQ(second.requests(), 1);
    EXPECT_EQ(line.stats(1).retries, 1U);
  }
}

TEST(UpstreamRetry, does_not_repeat_what_was_answered_or_took_too_long) {
  PlayedUpstream silent([](const std::string&) { return Reply{"", false, true}; });
  PlayedUpstream fails(with_status(500));
  PlayedUpstream rejects(with_status(400));
  PlayedUpstream page([](const std::string&) { return Reply{PlayedUpstream::plain("<html>")}; });
  const std::vector<std::pair<std::string, int>> faults{
      {silent.base_url(), 504}, {fails.base_url(), 500}, {rejects.base_url(), 400}, {page.base_url(), 502}};
  for (const auto& [first, status] : faults) {
    PlayedUpstream second(well);
    auto settings = in_order(first, second.base_url());
    settings[0].timeout = std::chrono::milliseconds(200);
    UpstreamLine line(settings);
    EXPECT_EQ(line.ask(), status);
    EXPECT_EQ(second.requests(), 0) << status;
  }
}

TEST(UpstreamRetry, asks_the_only_upstream_again_when_it_hung_up_but_not_when_it_answered) {
  std::atomic<int> count{0};
  PlayedUpstream wakes([&](const std::string& request) { return ++count == 1 ? Reply{"", true} : well(request); });
  EXPECT_EQ(UpstreamLine({upstream_at(wakes.base_url())}).ask(), 200);
  PlayedUpstream fails(with_status(503));
  EXPECT_EQ(UpstreamLine({upstream_at(fails.base_url())}).ask(), 503);
  EXPECT_EQ(fails.requests(), 1);
}

TEST(UpstreamRetry, has_a_budget) {
  const ClosedPort one;
  const ClosedPort other;
  UpstreamLine line({upstream_at(one.base_url()), upstream_at(other.base_url())});
  for (int i = 0; i < 60; ++i) EXPECT_EQ(line.ask(), 502);
  EXPECT_LE(line.stats(0).retries + line.stats(1).retries, 10 + 60 / 5);
  EXPECT_EQ(line.stats(0).requests + line.stats(1).requests, 60 + line.stats(0).retries + line.stats(1).retries);
}

TEST(UpstreamRetry, leaves_an_upstream_alone_for_as_long_as_it_asks) {
  PlayedUpstream limits(with_status(429, "retry-after: 30\r\n"));
  PlayedUpstream second(well);
  UpstreamLine line(in_order(limits.base_url(), second.base_url()));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(line.ask(), 200);
  EXPECT_EQ(limits.requests(), 1);
  EXPECT_EQ(second.requests(), 5);
}

TEST(UpstreamRetry, passes_the_advice_on_when_nobody_else_can_take_it) {
  PlayedUpstream upstream(with_status(503, "Retry-After: 17\r\n"));
  UpstreamLine line({upstream_at(upstream.base_url())});
  for (int i = 0; i < 2; ++i) {
    const auto reply = line.forward(UpstreamLine::call());
    ASSERT_TRUE(reply.has_error());
    EXPECT_EQ(reply.error().status, 503);
    EXPECT_EQ(reply.error().retry_after_seconds, 17);
  }
  EXPECT_EQ(upstream.requests(), 2);
}

TEST(UpstreamBreaker, keeps_requests_from_an_upstream_that_fails) {
  PlayedUpstream fails(with_status(500));
  PlayedUpstream second(well);
  UpstreamLine line(in_order(fails.base_url(), second.base_url()));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(line.ask(), 500);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(line.ask(), 200);
  EXPECT_EQ(fails.requests(), 5);
  EXPECT_EQ(line.stats(0).breaker, BreakerState::open);
}

TEST(UpstreamBreaker, never_ejects_the_only_upstream) {
  std::atomic<bool> ill{true};
  PlayedUpstream upstream([&](const std::string& request) { return ill ? with_status(500)(request) : well(request); });
  UpstreamLine line({upstream_at(upstream.base_url())});
  for (int i = 0; i < 50; ++i) EXPECT_EQ(line.ask(), 500);
  ill = false;
  EXPECT_EQ(line.ask(), 200);
  EXPECT_EQ(upstream.requests(), 51);
}

TEST(UpstreamBreaker, serves_when_all_are_out) {
  std::atomic<bool> ill{true};
  const auto script = [&](const std::string& request) { return ill ? with_status(500)(request) : well(request); };
  PlayedUpstream one(script);
  PlayedUpstream other(script);
  UpstreamLine line(in_order(one.base_url(), other.base_url()));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(line.ask(), 500);
  EXPECT_EQ(line.stats(1).breaker, BreakerState::open);
  ill = false;
  EXPECT_EQ(line.ask(), 200);
}

TEST(UpstreamAffinity, keeps_a_prefix_with_one_upstream) {
  std::vector<std::unique_ptr<PlayedUpstream>> upstreams;
  std::vector<UpstreamSettings> settings;
  for (int i = 0; i < 3; ++i) {
    upstreams.push_back(std::make_unique<PlayedUpstream>(well));
    settings.push_back(upstream_at(upstreams.back()->base_url()));
  }
  UpstreamLine line(settings, {}, UpstreamRouting::affinity);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(line.ask("You are a pirate."), 200);
  int asked = 0;
  for (const auto& upstream : upstreams) asked += upstream->requests() > 0 ? 1 : 0;
  EXPECT_EQ(asked, 1);
}

// What a caller hears when the upstream answers with `reply`.
ApiError fault_of(const Reply& reply) {
  PlayedUpstream upstream([&](const std::string&) { return reply; });
  UpstreamLine line({upstream_at(upstream.base_url())});
  const auto heard = line.forward(UpstreamLine::call(), [](std::string_view) -> Task<bool> { co_return true; });
  return heard ? ApiError{200, "", "", "", "", 0} : heard.error();
}
Reply endless(const std::string& start, const std::string& more) {
  Reply reply{start, true};
  reply.endless = more;
  return reply;
}

TEST(HostileUpstream, is_bounded_in_all_it_says) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string megabyte(1 << 20, 'x');
  const std::vector<Reply> replies{
      endless(ok + "content-length: 99999999999\r\n\r\n", megabyte),
      endless(ok + "transfer-encoding: chunked\r\n\r\n", "100000\r\n" + megabyte + "\r\n"),
      endless(ok + "\r\n", megabyte),
      endless(ok, "x-header: " + std::string(1000, 'x') + "\r\n"),
      endless(ok + "x-header: ", megabyte),
      endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
      endless("HTTP/1.1 500 Oops\r\n\r\n", megabyte),
  };
  for (const Reply& reply : replies)
    EXPECT_GE(fault_of(reply).status, 500) << reply.bytes << reply.endless.substr(0, 40);
}

TEST(HostileUpstream, is_a_bad_gateway_when_its_answer_is_none) {
  const std::vector<std::string> answers{
      PlayedUpstream::plain("{}", 302, "location: http://169.254.169.254/\r\n"),
      PlayedUpstream::plain("{}", 307, "location: http://127.0.0.1/\r\n"),
      PlayedUpstream::plain("{}", 204),
      PlayedUpstream::plain("{}", 200, "content-encoding: gzip\r\n"),
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-le",
      "SSH-2.0-OpenSSH_9.2\r\n",
  };
  for (const std::string& answer : answers) {
    const ApiError error = fault_of(Reply{answer, true});
    EXPECT_EQ(error.status, 502) << answer;
    EXPECT_EQ(error.code, "upstream_bad_answer") << answer;
  }
}

TEST(HostileUpstream, may_send_interim_answers_first) {
  const std::string early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
  EXPECT_EQ(fault_of(Reply{early + PlayedUpstream::plain("{}")}).status, 200);
}

TEST(HostileUpstream, that_says_more_than_it_announced_is_not_asked_on_that_connection_again) {
  PlayedUpstream upstream([](const std::string&) {
    return Reply{PlayedUpstream::plain("{}") + PlayedUpstream::plain(R"({"for":"somebody else"})")};
  });
  UpstreamLine line({upstream_at(upstream.base_url())});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(line.forward(UpstreamLine::call())->body, "{}");
  EXPECT_EQ(upstream.connections(), 3);
}

TEST(SilentUpstream, is_too_slow_in_the_middle_of_an_answer_too) {
  PlayedUpstream upstream([](const std::string&) {
    Reply reply{"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{"};
    reply.silent_after = true;
    return reply;
  });
  UpstreamSettings settings = upstream_at(upstream.base_url());
  settings.idle_timeout = std::chrono::milliseconds(100);
  UpstreamLine line({settings});
  EXPECT_EQ(line.ask(), 504);
  EXPECT_EQ(upstream.requests(), 1);
}

// A backlog of none, filled: the handshake of TCP itself never ends.
TEST(SilentUpstream, that_accepts_no_connection_is_too_slow_to_connect) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::listen(listener, 0);
  socklen_t size = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::vector<int> filling;
  for (int i = 0; i < 4; ++i) {
    filling.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    (void)::connect(filling.back(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  }
  UpstreamSettings settings = upstream_at("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/v1");
  settings.connect_timeout = std::chrono::milliseconds(100);
  UpstreamLine line({settings});
  const auto reply = line.forward(UpstreamLine::call());
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().code, "upstream_timeout");
  EXPECT_EQ(reply.error().status, 504);
  for (const int socket : filling) ::close(socket);
  ::close(listener);
}

TEST(UpstreamMetrics, show_each_upstream_with_bounded_labels) {
  PlayedUpstream fails(with_status(503));
  PlayedUpstream second(well);
  UpstreamLine line(in_order(fails.base_url(), second.base_url()));
  EXPECT_EQ(line.ask(), 200);
  std::string text;
  const ModelUpstreams models[] = {{"m", line.backend->upstream_stats()}};
  append_upstream_metrics(text, models);
  const std::string first = R"({model="m",upstream="127.0.0.1:)" + std::to_string(fails.port()) + R"(")";
  const std::string other = R"({model="m",upstream="127.0.0.1:)" + std::to_string(second.port()) + R"(")";
  for (const std::string& sample :
       {"kvasir_upstream_requests_total" + first + "} 1\n",
        "kvasir_upstream_failures_total" + first + R"(,kind="unavailable"} 1)",
        "kvasir_upstream_retries_total" + other + "} 1\n", "kvasir_upstream_breaker_state" + first + "} 0\n",
        "kvasir_upstream_connections" + other + R"(,state="idle"} 1)"}) {
    EXPECT_THAT(text, testing::HasSubstr(sample));
  }
}

}  // namespace
}  // namespace kvasir::gateway
