// A histogram of relaxed atomics, and the bounds that OpenTelemetry's GenAI conventions advise
// (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace kvasir::gateway {

// gen_ai.server.request.duration, seconds
inline constexpr std::array<double, 14> kDurationBounds{0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                                        1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
// gen_ai.server.time_to_first_token, seconds
inline constexpr std::array<double, 16> kFirstTokenBounds{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                                          0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0};
// gen_ai.server.time_per_output_token, seconds
inline constexpr std::array<double, 13> kOutputTokenBounds{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                                           0.3,  0.4,   0.5,  0.75,  1.0, 2.5};
// gen_ai.client.token.usage, tokens
inline constexpr std::array<double, 14> kTokenUsageBounds{1,     4,     16,     64,      256,     1024,     4096,
                                                          16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};

// Thread safe.
class Histogram {
 public:
  static constexpr std::size_t kMaxBounds = 16;
  // `bounds` ascend, and outlive this.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds) {}

  void observe(double value);
  void observe(std::chrono::microseconds value) { observe(static_cast<double>(value.count()) / 1e6); }
  // The samples. `labels` as metric_labels() makes them.
  void append(std::string& out, std::string_view name, std::string_view labels) const;

 private:
  std::span<const double> bounds_;
  std::array<std::atomic<std::uint64_t>, kMaxBounds + 1> counts_{};
  std::atomic<double> sum_{0};
};

}  // namespace kvasir::gateway
