// How often, and how soon, a request may be sent again.
#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>

namespace kvasir::gateway {

// Retries are at most a fifth of the requests, so that a failing upstream does not get a multiple of its load, and a
// few more, so that a quiet gateway may retry at all. Any thread.
class RetryBudget {
 public:
  void count_request() {
    const std::lock_guard lock(mutex_);
    tokens_ = std::min(tokens_ + kShare, kMost);
  }
  // True if a retry may be made now; it is paid for.
  bool take() {
    const std::lock_guard lock(mutex_);
    if (tokens_ < 1.0) return false;
    tokens_ -= 1.0;
    return true;
  }

 private:
  static constexpr double kShare = 0.2;
  static constexpr double kMost = 10.0;

  std::mutex mutex_;
  double tokens_ = kMost;
};

// Exponential back-off with full jitter: uniform between zero and a bound that doubles with every attempt.
// `attempt`: 0 before the first retry. `random`: uniform in [0, 1).
inline std::chrono::milliseconds backoff(int attempt, double random) {
  constexpr double kFirst = 50.0;
  constexpr double kBound = 1000.0;
  const double bound = std::min(kBound, kFirst * static_cast<double>(1 << std::min(attempt, 10)));
  return std::chrono::milliseconds(static_cast<std::int64_t>(bound * random));
}

}  // namespace kvasir::gateway
