// A prompt's blocks on their way from disk.
#pragma once

#include <atomic>

namespace kvasir::engine {

// What becomes of a load; shared with who asked for it.
class KvLoad {
 public:
  // True: it will not begin, and its blocks are free. False: it ends soon, and says so.
  bool cancel() { return state_.exchange(State::cancelled) == State::waiting; }
  bool begin() {
    State waiting = State::waiting;
    return state_.compare_exchange_strong(waiting, State::running);
  }
  bool cancelled() const { return state_ == State::cancelled; }

 private:
  enum class State { waiting, running, cancelled };
  std::atomic<State> state_ = State::waiting;
};

}  // namespace kvasir::engine
