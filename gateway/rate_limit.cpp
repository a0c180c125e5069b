#include "gateway/rate_limit.hpp"

#include <algorithm>
#include <cmath>

namespace kvasir::gateway {

RateLimit::RateLimit(int per_minute) : per_minute_(per_minute), level_(per_minute), filled_(Clock::now()) {}

double RateLimit::level_at(Clock::time_point now) const {
  const std::chrono::duration<double, std::ratio<60>> minutes = now - filled_;
  return std::min(per_minute_, level_ + std::max(minutes.count(), 0.0) * per_minute_);
}

void RateLimit::refill(Clock::time_point now) {
  level_ = level_at(now);
  filled_ = std::max(filled_, now);
}

int RateLimit::take(double amount, Clock::time_point now) {
  constexpr double kRounding = 1e-6;  // of refilling; must not cost a whole second
  if (per_minute_ <= 0) return 0;
  const std::lock_guard lock(mutex_);
  refill(now);
  const double missing = std::min(amount, per_minute_) - level_;
  if (missing > kRounding) return std::max(1, static_cast<int>(std::ceil(missing / per_minute_ * 60.0 - kRounding)));
  level_ -= amount;
  return 0;
}

void RateLimit::charge(double amount, Clock::time_point now) {
  if (per_minute_ <= 0) return;
  const std::lock_guard lock(mutex_);
  refill(now);
  level_ = std::min(level_ - amount, per_minute_);
}

RateLimit::State RateLimit::state(Clock::time_point now) const {
  if (per_minute_ <= 0) return {};
  const std::lock_guard lock(mutex_);
  const double level = level_at(now);
  const double minutes = (per_minute_ - level) / per_minute_;
  return {static_cast<std::int64_t>(per_minute_), static_cast<std::int64_t>(std::max(level, 0.0)),
          std::chrono::milliseconds(std::llround(minutes * 60'000))};
}

}  // namespace kvasir::gateway
