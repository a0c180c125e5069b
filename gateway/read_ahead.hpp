// A read that is begun before anybody waits for it: it tells when the other side goes away while nothing is expected of
// it, and the next message finds its read under way. Used on its stream's thread.
#pragma once

#include "gateway/asio.hpp"

#include <functional>
#include <memory>
#include <utility>

#include <boost/beast/core/flat_buffer.hpp>

namespace kvasir::gateway {

class ReadAhead {
 public:
  bool running() const { return state_->running; }

  // Begins to read at most `most` bytes of `stream` into `buffer`, which nobody may touch until the read is over;
  // `owner` keeps both alive so long.
  template <typename Stream>
  void start(Stream& stream, beast::flat_buffer& buffer, std::size_t most, std::shared_ptr<void> owner) {
    state_->running = true;
    stream.async_read_some(buffer.prepare(most), Read{state_, std::move(owner), &buffer});
  }
  // Calls `on_end` once if the read fails before anybody waits for it, or before this is called with null.
  void on_end(std::function<void()> on_end) { state_->on_end = std::move(on_end); }

  // The read's end; it must be running. What it has read is in the buffer.
  Task<ErrorCode> wait();

 private:
  // The coroutine in wait().
  struct Waiter {
    virtual ~Waiter() = default;
    virtual void go_on() = 0;
  };
  template <typename Handler>
  struct WaiterOf;

  struct State {
    bool running = false;
    ErrorCode error;
    std::function<void()> on_end;
    std::unique_ptr<Waiter> waiter;

    void finish(const ErrorCode& outcome);
  };

  // The handler. Dropped without a call (its I/O thread ends), it drops the waiter too, which owns the connection that
  // owns the state.
  struct Read {
    std::shared_ptr<State> state;
    std::shared_ptr<void> owner;
    beast::flat_buffer* buffer;

    Read(std::shared_ptr<State> its_state, std::shared_ptr<void> its_owner, beast::flat_buffer* its_buffer)
        : state(std::move(its_state)), owner(std::move(its_owner)), buffer(its_buffer) {}
    Read(Read&&) noexcept = default;
    Read& operator=(Read&&) = delete;
    ~Read() {
      if (state) state->waiter.reset();
    }
    void operator()(const ErrorCode& error, std::size_t count) {
      buffer->commit(count);
      std::exchange(state, nullptr)->finish(error);
    }
  };

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace kvasir::gateway
