// What /metrics shows: relaxed atomics that requests bump, and one writer of the Prometheus text format.
#pragma once

#include "cache/response_cache.hpp"
#include "engine/engine.hpp"
#include "gateway/connection_limit.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace kvasir::gateway {

enum class CacheTier { miss, exact, semantic, coalesced, bypass };
inline constexpr std::size_t kCacheTiers = 5;
std::string_view to_string(CacheTier tier);

// Bounds as OpenTelemetry's GenAI conventions advise.
class Histogram {
 public:
  static constexpr std::size_t kMaxBounds = 16;
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds) {}

  void observe(std::chrono::microseconds value);
  void append(std::string& out, std::string_view name, std::string_view help) const;

 private:
  std::span<const double> bounds_;  // seconds, ascending
  std::array<std::atomic<std::uint64_t>, kMaxBounds + 1> counts_{};
  std::atomic<std::uint64_t> sum_microseconds_{0};
};

// What is known of a request once it is over.
struct RequestRecord {
  std::string id;
  std::string tenant;
  std::string key_name;
  std::string model;
  int status = 0;  // 499: the client hung up first
  bool stream = false;
  CacheTier tier = CacheTier::bypass;
  std::string reason;
  std::string entry;
  std::string error;  // code or type
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;
  std::chrono::microseconds total{};
  std::chrono::microseconds first_byte{};  // zero: nothing was sent
};

// Thread safe.
class Metrics {
 public:
  Metrics();

  void record(const RequestRecord& request);
  void store_timed_out() { store_timeouts_.fetch_add(1, std::memory_order_relaxed); }
  void log_line_dropped() { dropped_log_lines_.fetch_add(1, std::memory_order_relaxed); }

  void append(std::string& out) const;

 private:
  using Counter = std::atomic<std::uint64_t>;
  static constexpr std::size_t kMaxReasons = 64;

  std::array<Counter, 600> by_status_{};
  std::array<Counter, kCacheTiers> by_tier_{};
  Counter prompt_tokens_{0};
  Counter completion_tokens_{0};
  Counter cached_tokens_{0};
  Counter store_timeouts_{0};
  Counter dropped_log_lines_{0};
  mutable std::mutex reasons_mutex_;
  std::map<std::string, std::uint64_t, std::less<>> reasons_;  // of misses and bypasses; bounded
  Histogram duration_;
  Histogram first_token_;
};

void append_connection_metrics(std::string& out, const ConnectionCounters& counters);
void append_cache_metrics(std::string& out, const cache::CacheStats& stats);
void append_engine_metrics(std::string& out, std::string_view model, const engine::EngineStats& stats);

}  // namespace kvasir::gateway
