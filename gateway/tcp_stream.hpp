// A TCP socket whose operations have a deadline. A timer of its own for every read and write would cost a system call
// each; instead a clock of the I/O thread looks at all of its streams four times a second, so that a deadline is kept
// up to 250 ms late.
//
// Beast's basic_stream has the same interface and could stand here. Used on its executor's thread only.
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/intrusive/list_hook.hpp>

namespace kvasir::gateway {

class StreamClock;

class TcpStream {
 public:
  using executor_type = boost::asio::io_context::executor_type;
  using socket_type = boost::asio::basic_stream_socket<boost::asio::ip::tcp, executor_type>;
  using lowest_layer_type = socket_type::lowest_layer_type;
  using Clock = std::chrono::steady_clock;

  explicit TcpStream(const executor_type& executor) : TcpStream(socket_type(executor)) {}
  explicit TcpStream(socket_type socket);
  TcpStream(TcpStream&&) noexcept = default;
  TcpStream& operator=(TcpStream&&) noexcept = default;
  ~TcpStream();

  // For what is started from now on, and for what runs. An operation that is late ends with beast::error::timeout; the
  // socket stays open.
  void expires_after(Clock::duration duration) { expires_at(Clock::now() + duration); }
  void expires_at(Clock::time_point deadline) {
    state_->deadline = deadline;
    state_->late = false;
  }

  executor_type get_executor() { return state_->socket.get_executor(); }
  socket_type& socket() { return state_->socket; }
  lowest_layer_type& lowest_layer() { return state_->socket.lowest_layer(); }
  void cancel();
  void close();

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [](auto handler, std::shared_ptr<State> state, const Buffers& into) {
          socket_type& socket = state->socket;
          socket.async_read_some(into, watch(std::move(state), std::move(handler)));
        },
        token, state_, buffers);
  }

  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [](auto handler, std::shared_ptr<State> state, const Buffers& from) {
          socket_type& socket = state->socket;
          socket.async_write_some(from, watch(std::move(state), std::move(handler)));
        },
        token, state_, buffers);
  }

 private:
  friend class StreamClock;

  // Shared with the operations that run.
  struct State : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    explicit State(socket_type&& open) : socket(std::move(open)) {}
    socket_type socket;
    Clock::time_point deadline = Clock::time_point::max();
    int running = 0;
    bool late = false;
  };

 public:
  // Public for Asio's associators only.
  template <typename Handler>
  struct Watched {
    std::shared_ptr<State> state;
    Handler handler;

    template <typename... More>
    void operator()(boost::system::error_code error, More&&... more) {
      --state->running;
      if (error && state->late) error = boost::beast::error::timeout;
      state.reset();
      std::move(handler)(error, std::forward<More>(more)...);
    }
  };

 private:
  template <typename Handler>
  static Watched<Handler> watch(std::shared_ptr<State> state, Handler handler) {
    ++state->running;
    return {std::move(state), std::move(handler)};
  }

  std::shared_ptr<State> state_;
};

}  // namespace kvasir::gateway

// The handler behind it says where, with which memory and how to be cancelled.
template <template <typename, typename> class Associator, typename Handler, typename Default>
struct boost::asio::associator<Associator, kvasir::gateway::TcpStream::Watched<Handler>, Default>
    : Associator<Handler, Default> {
  static typename Associator<Handler, Default>::type get(const kvasir::gateway::TcpStream::Watched<Handler>& watched,
                                                         const Default& fallback = Default()) noexcept {
    return Associator<Handler, Default>::get(watched.handler, fallback);
  }
};
