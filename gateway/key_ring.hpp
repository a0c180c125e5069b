// Who may ask, how often, and as which tenant.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/settings.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

// Token bucket that holds one minute's worth. Thread safe.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  // `per_minute` 0: no limit.
  explicit RateLimit(int per_minute);

  // Takes `amount` if the bucket holds it. Returns 0, or the seconds after which to try again.
  int take(double amount, Clock::time_point now = Clock::now());
  // Takes what was used, even below zero: the debt delays what comes next.
  void charge(double amount, Clock::time_point now = Clock::now());
  // Seconds until the bucket is above zero; 0: it is.
  int wait(Clock::time_point now = Clock::now());

 private:
  void refill(Clock::time_point now);
  int seconds_until(double level) const;

  const double per_minute_;
  std::mutex mutex_;
  double level_;
  Clock::time_point filled_;
};

struct Caller {
  std::string name;
  std::string tenant;
  RateLimit requests;
  RateLimit tokens;

  Caller(std::string key_name, std::string key_tenant, int requests_per_minute, int tokens_per_minute)
      : name(std::move(key_name)),
        tenant(std::move(key_tenant)),
        requests(requests_per_minute),
        tokens(tokens_per_minute) {}
};

// Keys are known by their SHA-256 only and compared in constant time. Any thread.
class KeyRing {
 public:
  explicit KeyRing(const std::vector<KeySettings>& keys);

  // `authorization`: the header's value. Without keys everybody is the tenant "default". Errors: 401, 429.
  Result<Caller*> admit(std::string_view authorization);
  // The check of the key alone; counts nothing.
  bool knows(std::string_view authorization) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Key {
    Digest digest;
    std::unique_ptr<Caller> caller;
  };

  Caller* find(std::string_view key) const;

  std::vector<Key> keys_;
  Caller anonymous_{"", "default", 0, 0};
};

}  // namespace kvasir::gateway
