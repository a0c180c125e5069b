// Money as integers: sums of many small amounts stay exact.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace kvasir::gateway {

using NanoUsd = std::int64_t;
inline constexpr NanoUsd kNanoPerUsd = 1'000'000'000;

constexpr double in_usd(NanoUsd amount) {
  return static_cast<double>(amount) / static_cast<double>(kNanoPerUsd);
}

// Tokens of one answer as they are paid for. `cached` counts those of `prompt` that did not have to be read anew.
struct TokenUsage {
  int prompt = 0;
  int cached = 0;
  int completion = 0;

  std::int64_t total() const { return std::int64_t{prompt} + completion; }
};

// What a model costs. US dollars per million tokens are millionths of a dollar per token, so that the smallest price
// of 0.000001 is one pico-dollar per token.
struct Price {
  using PicoUsd = std::int64_t;
  static constexpr double kMaxPerMillion = 10'000;

  PicoUsd input = 0;  // per token
  PicoUsd cached_input = 0;
  PicoUsd output = 0;

  static PicoUsd per_token(double usd_per_million) { return std::llround(usd_per_million * 1e6); }
  bool free() const { return input == 0 && cached_input == 0 && output == 0; }
  // Rounded up: many small answers are not free.
  NanoUsd cost(const TokenUsage& usage) const {
    // An upstream's counts are not to be trusted; more than this in one answer would overflow the product.
    constexpr int kMost = 100'000'000;
    const std::int64_t prompt = std::clamp(usage.prompt, 0, kMost);
    const std::int64_t cached = std::clamp<std::int64_t>(usage.cached, 0, prompt);
    const std::int64_t completion = std::clamp(usage.completion, 0, kMost);
    return ((prompt - cached) * input + cached * cached_input + completion * output + 999) / 1000;
  }

  bool operator==(const Price&) const = default;
};

}  // namespace kvasir::gateway
