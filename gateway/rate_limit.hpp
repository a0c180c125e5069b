// A limit per minute, as a token bucket that holds one minute's worth.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

namespace kvasir::gateway {

// Thread safe.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  struct State {
    std::int64_t limit = 0;  // 0: there is none
    std::int64_t remaining = 0;
    std::chrono::milliseconds until_full{};
  };

  // `per_minute` 0: no limit.
  explicit RateLimit(int per_minute);

  // Takes `amount` if the bucket holds it; more than a minute's worth needs a full bucket and leaves a debt. Returns 0,
  // or the seconds after which to try again.
  int take(double amount, Clock::time_point now = Clock::now());
  // Takes what was used, even below zero: the debt delays what comes next. A negative amount is given back.
  void charge(double amount, Clock::time_point now = Clock::now());
  State state(Clock::time_point now = Clock::now()) const;
  int per_minute() const { return static_cast<int>(per_minute_); }

 private:
  double level_at(Clock::time_point now) const;
  void refill(Clock::time_point now);

  const double per_minute_;
  mutable std::mutex mutex_;
  double level_;
  Clock::time_point filled_;
};

}  // namespace kvasir::gateway
