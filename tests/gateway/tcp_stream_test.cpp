#include "gateway/asio.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <optional>

#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

using namespace std::chrono_literals;

// Two ends of a connection over loopback.
class TcpStreamTest : public ::testing::Test {
 protected:
  TcpStreamTest() {
    asio::basic_socket_acceptor<Tcp, Executor> acceptor(context_.get_executor(),
                                                        Tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    Socket client(context_.get_executor());
    client.connect(acceptor.local_endpoint());
    near_.emplace(acceptor.accept());
    far_.emplace(std::move(client));
  }

  // What a read of the near end comes to.
  void read() {
    near_->async_read_some(asio::buffer(bytes_), [this](const ErrorCode& error, std::size_t count) {
      error_ = error;
      count_ = count;
    });
  }

  void run_until_done() {
    const auto give_up = std::chrono::steady_clock::now() + 10s;
    while (!error_ && std::chrono::steady_clock::now() < give_up) context_.run_one_for(1s);
    ASSERT_TRUE(error_) << "nothing came of it";
  }

  asio::io_context context_{1};
  std::optional<TcpStream> near_;
  std::optional<TcpStream> far_;
  std::array<char, 16> bytes_{};
  std::optional<ErrorCode> error_;
  std::size_t count_ = 0;
};

TEST_F(TcpStreamTest, a_read_past_its_deadline_ends_with_a_timeout) {
  near_->expires_after(1ms);
  read();
  run_until_done();
  EXPECT_EQ(*error_, beast::error::timeout);
  EXPECT_TRUE(near_->socket().is_open());
}

TEST_F(TcpStreamTest, a_read_in_time_gets_its_bytes_and_an_old_deadline_harms_nobody_who_waits_for_nothing) {
  near_->expires_after(1ms);
  read();
  far_->socket().send(asio::buffer("hello", 5));
  context_.run_for(600ms);
  ASSERT_TRUE(error_);
  EXPECT_FALSE(*error_);
  EXPECT_EQ(count_, 5U);
  EXPECT_TRUE(near_->socket().is_open());
}

TEST_F(TcpStreamTest, a_deadline_may_move_while_an_operation_runs) {
  near_->expires_after(1ms);
  read();
  near_->expires_after(1h);
  context_.run_for(600ms);
  EXPECT_FALSE(error_);
  near_->cancel();
  context_.restart();
  run_until_done();
  EXPECT_EQ(*error_, asio::error::operation_aborted);
}

TEST_F(TcpStreamTest, a_stream_may_go_while_its_operation_runs) {
  near_->expires_after(1ms);
  read();
  near_.reset();
  run_until_done();
  EXPECT_EQ(*error_, asio::error::operation_aborted);
}

TEST_F(TcpStreamTest, a_moved_stream_keeps_its_deadline) {
  near_->expires_after(1ms);
  read();
  TcpStream moved = std::move(*near_);
  near_.reset();
  run_until_done();
  EXPECT_EQ(*error_, beast::error::timeout);
}

TEST_F(TcpStreamTest, the_clock_stops_when_no_stream_is_left) {
  near_.reset();
  far_.reset();
  EXPECT_LE(context_.run_for(5s), 1U) << "one tick at most";
  EXPECT_TRUE(context_.stopped());
}

}  // namespace
}  // namespace kvasir::gateway
