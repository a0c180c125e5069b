#include "gateway/read_ahead.hpp"

namespace kvasir::gateway {

template <typename Handler>
struct ReadAhead::WaiterOf final : ReadAhead::Waiter {
  explicit WaiterOf(Handler its_handler) : handler(std::move(its_handler)) {}
  void go_on() override { std::move(handler)(); }
  Handler handler;
};

// Whoever waits goes on at once: by way of the queue it would cost the I/O thread a round.
void ReadAhead::State::finish(const ErrorCode& outcome) {
  running = false;
  error = outcome;
  if (const auto waiting = std::move(waiter)) return waiting->go_on();
  if (error) {
    if (const auto ended = std::exchange(on_end, nullptr)) ended();
  }
}

Task<ErrorCode> ReadAhead::wait() {
  const auto state = state_;
  state->on_end = nullptr;
  if (state->running) {
    co_await asio::async_initiate<decltype(use_task), void()>(
        [&state](auto handler) { state->waiter = std::make_unique<WaiterOf<decltype(handler)>>(std::move(handler)); },
        use_task);
  }
  co_return state->error;
}

}  // namespace kvasir::gateway
