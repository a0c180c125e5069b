// Keeps requests from an upstream that fails, and lets one through now and then to see whether it is back.
//
//   closed ──5 failures in a row, or half of 20 and more in 30 s──▶ open ──jittered time──▶ half open
//     ▲                                                              ▲                        │
//     └───────────────────────────the probe succeeds─────────────────┼────────────────────────┤
//                                                                    └──────the probe fails───┘
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>

namespace kvasir::gateway {

enum class BreakerState { closed, half_open, open };

// Any thread. Only says what it would do: who has no other upstream does not ask.
class CircuitBreaker {
 public:
  using Clock = std::chrono::steady_clock;
  // `random`: uniform in [0, 1).
  explicit CircuitBreaker(std::function<double()> random) : random_(std::move(random)) {}

  // May a request go there? Half open: only while there is no probe.
  bool allows(Clock::time_point now) const;
  // What a request must show at its end.
  struct Ticket {
    std::uint64_t era = 0;
    bool probe = false;
  };
  // A request goes there. Every start() is followed by one of the three below. What began before the breaker opened, or
  // closed, says nothing of the time since.
  Ticket start(Clock::time_point now);
  // True if this has closed, or opened, the breaker.
  bool succeeded(Ticket ticket, Clock::time_point now);
  bool failed(Ticket ticket, Clock::time_point now);
  // Nobody waited for the end: it says nothing of the upstream.
  void abandoned(Ticket ticket);

  BreakerState state(Clock::time_point now) const;

 private:
  struct Slice {
    std::int64_t number = -1;  // of the slices since the clock's beginning
    std::uint32_t successes = 0;
    std::uint32_t failures = 0;
  };

  BreakerState state_locked(Clock::time_point now) const;
  Slice& slice(Clock::time_point now);
  bool too_many_failures(Clock::time_point now) const;
  void open(Clock::time_point now);

  std::function<double()> random_;
  mutable std::mutex mutex_;
  std::array<Slice, 3> slices_{};
  int failures_in_a_row_ = 0;
  bool open_ = false;
  bool probing_ = false;
  std::uint64_t era_ = 0;  // a new one with every opening and closing
  int times_opened_ = 0;   // since it was closed
  Clock::time_point open_until_{};
};

}  // namespace kvasir::gateway
