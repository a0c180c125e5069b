#include "gateway/key_ring.hpp"

#include <algorithm>
#include <cmath>

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace kvasir::gateway {
namespace {

unsigned char hex_value(char digit) {
  return static_cast<unsigned char>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return {};
  const bool same = std::equal(kScheme.begin(), kScheme.end(), authorization.begin(),
                               [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
  if (!same) return {};
  authorization.remove_prefix(kScheme.size());
  while (authorization.starts_with(' ')) authorization.remove_prefix(1);
  while (authorization.ends_with(' ')) authorization.remove_suffix(1);
  return authorization;
}

}  // namespace

RateLimit::RateLimit(int per_minute) : per_minute_(per_minute), level_(per_minute), filled_(Clock::now()) {}

void RateLimit::refill(Clock::time_point now) {
  const std::chrono::duration<double, std::ratio<60>> minutes = now - filled_;
  if (minutes.count() <= 0) return;
  level_ = std::min(per_minute_, level_ + minutes.count() * per_minute_);
  filled_ = now;
}

int RateLimit::seconds_until(double level) const {
  constexpr double kRounding = 1e-6;  // of refilling; must not cost a whole second
  return std::max(1, static_cast<int>(std::ceil((level - level_) / per_minute_ * 60.0 - kRounding)));
}

int RateLimit::take(double amount, Clock::time_point now) {
  if (per_minute_ <= 0) return 0;
  const std::lock_guard lock(mutex_);
  refill(now);
  if (level_ < amount) return seconds_until(amount);
  level_ -= amount;
  return 0;
}

void RateLimit::charge(double amount, Clock::time_point now) {
  if (per_minute_ <= 0) return;
  const std::lock_guard lock(mutex_);
  refill(now);
  level_ -= amount;
}

int RateLimit::wait(Clock::time_point now) {
  if (per_minute_ <= 0) return 0;
  const std::lock_guard lock(mutex_);
  refill(now);
  return level_ > 0 ? 0 : seconds_until(1.0);
}

KeyRing::KeyRing(const std::vector<KeySettings>& keys) {
  for (const KeySettings& settings : keys) {
    Key key;
    for (std::size_t i = 0; i < key.digest.size(); ++i) {
      key.digest[i] =
          static_cast<unsigned char>(hex_value(settings.sha256[2 * i]) << 4 | hex_value(settings.sha256[2 * i + 1]));
    }
    key.caller = std::make_unique<Caller>(settings.name, settings.tenant, settings.requests_per_minute,
                                          settings.tokens_per_minute);
    keys_.push_back(std::move(key));
  }
}

// All keys are compared, whichever fits, so that time tells nothing.
Caller* KeyRing::find(std::string_view key) const {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  Caller* found = nullptr;
  for (const Key& candidate : keys_) {
    if (CRYPTO_memcmp(candidate.digest.data(), digest.data(), digest.size()) == 0) found = candidate.caller.get();
  }
  return found;
}

bool KeyRing::knows(std::string_view authorization) const {
  if (keys_.empty()) return true;
  const std::string_view key = bearer(authorization);
  return !key.empty() && find(key) != nullptr;
}

Result<Caller*> KeyRing::admit(std::string_view authorization) {
  if (keys_.empty()) return &anonymous_;
  const std::string_view key = bearer(authorization);
  Caller* caller = key.empty() ? nullptr : find(key);
  if (caller == nullptr) return ApiError::invalid_api_key();
  if (const int seconds = caller->requests.take(1)) {
    return ApiError::rate_limited("This key's requests per minute are used up.", seconds);
  }
  if (const int seconds = caller->tokens.wait()) {
    return ApiError::rate_limited("This key's tokens per minute are used up.", seconds);
  }
  return caller;
}

}  // namespace kvasir::gateway
