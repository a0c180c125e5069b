#include "gateway/circuit_breaker.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

constexpr int kFailuresInARow = 5;
constexpr std::uint32_t kEnoughRequests = 20;
constexpr auto kSlice = std::chrono::seconds(10);
constexpr auto kFirstOpen = std::chrono::milliseconds(5'000);
constexpr auto kLongestOpen = std::chrono::milliseconds(60'000);

std::int64_t slice_number(CircuitBreaker::Clock::time_point now) {
  return now.time_since_epoch() / kSlice;
}

}  // namespace

BreakerState CircuitBreaker::state_locked(Clock::time_point now) const {
  if (!open_) return BreakerState::closed;
  return probing_ || now >= open_until_ ? BreakerState::half_open : BreakerState::open;
}

BreakerState CircuitBreaker::state(Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  return state_locked(now);
}

bool CircuitBreaker::allows(Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  return !open_ || (!probing_ && now >= open_until_);
}

CircuitBreaker::Ticket CircuitBreaker::start(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const bool probe = open_ && !probing_ && now >= open_until_;
  if (probe) probing_ = true;
  return {era_, probe};
}

// Of who is asked while it is open, because all are, a success is as good as the probe's.
bool CircuitBreaker::succeeded(Ticket ticket, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (ticket.era != era_) return false;
  ++slice(now).successes;
  failures_in_a_row_ = 0;
  if (!open_) return false;
  ++era_;
  open_ = probing_ = false;
  times_opened_ = 0;
  slices_ = {};
  return true;
}

bool CircuitBreaker::failed(Ticket ticket, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (ticket.era != era_) return false;
  if (open_) {
    if (ticket.probe) open(now);
    return false;
  }
  ++slice(now).failures;
  ++failures_in_a_row_;
  if (failures_in_a_row_ < kFailuresInARow && !too_many_failures(now)) return false;
  open(now);
  return true;
}

void CircuitBreaker::abandoned(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  if (ticket.era == era_ && ticket.probe) probing_ = false;
}

CircuitBreaker::Slice& CircuitBreaker::slice(Clock::time_point now) {
  const auto number = slice_number(now);
  Slice& current = slices_[static_cast<std::size_t>(number) % slices_.size()];
  if (current.number != number) current = {number, 0, 0};
  return current;
}

bool CircuitBreaker::too_many_failures(Clock::time_point now) const {
  const auto oldest = slice_number(now) - static_cast<std::int64_t>(slices_.size());
  std::uint32_t successes = 0;
  std::uint32_t failures = 0;
  for (const Slice& slice : slices_) {
    if (slice.number <= oldest) continue;
    successes += slice.successes;
    failures += slice.failures;
  }
  return successes + failures >= kEnoughRequests && failures >= successes;
}

// Jitter keeps many gateways from coming back at the same moment.
void CircuitBreaker::open(Clock::time_point now) {
  ++era_;
  open_ = true;
  probing_ = false;
  const auto bound = std::min(kLongestOpen, kFirstOpen * (1 << std::min(times_opened_++, 8)));
  open_until_ =
      now + bound / 2 +
      std::chrono::milliseconds(static_cast<std::int64_t>(random_() * static_cast<double>(bound.count()) / 2));
}

}  // namespace kvasir::gateway
