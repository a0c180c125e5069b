// Connections to upstreams that nobody uses: how long they stay, and where they end.
#include "gateway/idle_connections.hpp"
#include "tests/gateway/played_upstream.hpp"
#include "tests/gateway/upstream_line.hpp"

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

namespace kvasir::gateway {
namespace {

using Reply = PlayedUpstream::Reply;

Reply well(const std::string&) {
  return Reply{PlayedUpstream::plain("{}")};
}

// Keeps an I/O thread from whatever is posted to it.
class BusyThread {
 public:
  explicit BusyThread(Executor executor) {
    auto busy = std::make_shared<std::promise<void>>();
    auto begun = busy->get_future();
    asio::post(executor, [busy, free = free_.get_future().share()] {
      busy->set_value();
      free.wait();
    });
    begun.wait();
  }
  ~BusyThread() { free_.set_value(); }

 private:
  std::promise<void> free_;
};

class Idle : public testing::Test {
 protected:
  // Connected; its other end is the last of `servers`.
  std::unique_ptr<UpstreamConnection> connection() {
    auto made = std::make_unique<UpstreamConnection>(context.get_executor(), open);
    const std::array address{asio::ip::address(asio::ip::address_v4::loopback())};
    const std::uint16_t port = acceptor.local_endpoint().port();
    asio::co_spawn(context, made->connect(address, port), asio::detached);
    context.restart();
    while (context.poll_one() > 0) continue;
    servers.push_back(acceptor.accept());
    while (context.run_one_for(std::chrono::milliseconds(20)) > 0) continue;
    return made;
  }
  std::shared_ptr<IdleConnections> idle_for(std::chrono::milliseconds longest) {
    return std::make_shared<IdleConnections>(context.get_executor(), longest);
  }

  asio::io_context context{1};
  asio::basic_socket_acceptor<Tcp, Executor> acceptor{context.get_executor(),
                                                      Tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::vector<Socket> servers;
  std::shared_ptr<std::atomic<int>> open = std::make_shared<std::atomic<int>>(0);
};

TEST_F(Idle, connections_end_when_their_time_is_over_though_nobody_asks) {
  const auto idle = idle_for(std::chrono::milliseconds(1));
  auto first = connection();
  auto last = connection();
  idle->keep(std::move(first));
  idle->keep(std::move(last));
  EXPECT_EQ(idle->size(), 2);
  context.restart();
  context.run();
  EXPECT_EQ(idle->size(), 0);
  EXPECT_EQ(*open, 0);
}

TEST_F(Idle, connections_serve_again_the_last_one_first) {
  const auto idle = idle_for(std::chrono::hours(1));
  auto first = connection();
  auto last = connection();
  const UpstreamConnection* const known = last.get();
  idle->keep(std::move(first));
  idle->keep(std::move(last));
  EXPECT_EQ(idle->take().get(), known);
  EXPECT_TRUE(idle->take());
  EXPECT_FALSE(idle->take());
  EXPECT_EQ(*open, 0);
}

TEST_F(Idle, connections_end_when_the_server_closes_them) {
  const auto idle = idle_for(std::chrono::hours(1));
  auto kept = connection();
  auto closed = connection();
  idle->keep(std::move(kept));
  idle->keep(std::move(closed));
  servers.back().close();
  context.restart();
  while (idle->size() > 1) context.run_one();
  EXPECT_EQ(*open, 1);
  const auto taken = idle->take();
  EXPECT_TRUE(taken->still_idle());
}

TEST_F(Idle, connections_are_not_used_once_the_server_has_said_something) {
  const auto idle = idle_for(std::chrono::hours(1));
  auto kept = connection();
  idle->keep(std::move(kept));
  servers.back().send(asio::buffer("HTTP/1.1 408 Request Timeout\r\n\r\n"));
  context.restart();
  while (context.run_one_for(std::chrono::milliseconds(20)) > 0) continue;
  const auto taken = idle->take();
  EXPECT_FALSE(taken->still_idle());
}

TEST_F(Idle, connections_are_bounded) {
  const auto idle = idle_for(std::chrono::hours(1));
  for (int i = 0; i < 100; ++i) idle->keep(connection());
  EXPECT_EQ(idle->size(), 64);
  EXPECT_EQ(*open, 64);
}

TEST(RetiredUpstream, closes_its_connections_on_the_thread_that_they_live_on) {
  PlayedUpstream upstream(well);
  UpstreamLine line({upstream_at(upstream.base_url())});
  EXPECT_EQ(line.ask(), 200);
  ASSERT_EQ(upstream.open_connections(), 1);
  {
    const BusyThread busy(line.executor());
    line.backend.reset();
    EXPECT_EQ(upstream.open_connections(), 1);
  }
  while (upstream.open_connections() > 0) std::this_thread::yield();
}

TEST(RetiredUpstream, may_end_after_the_threads_of_its_connections) {
  PlayedUpstream upstream(well);
  {
    UpstreamLine line({upstream_at(upstream.base_url())});
    EXPECT_EQ(line.ask(), 200);
    line.stop();
    line.backend.reset();
  }
  while (upstream.open_connections() > 0) std::this_thread::yield();
}

TEST(UpstreamRequest, that_ends_with_an_exception_is_over) {
  PlayedUpstream upstream(
      [](const std::string&) { return Reply{PlayedUpstream::stream({"{}"}) + PlayedUpstream::kEnd}; });
  UpstreamLine line({upstream_at(upstream.base_url())});
  ForwardCall call = UpstreamLine::call();
  call.stream = true;
  const ForwardSink throws = [](std::string_view) -> Task<bool> { throw std::runtime_error("a bug"); };
  EXPECT_THROW(line.forward(std::move(call), throws), std::future_error);
  EXPECT_EQ(line.stats().requests, 1U);
  EXPECT_EQ(line.stats().running, 0);
}

}  // namespace
}  // namespace kvasir::gateway
