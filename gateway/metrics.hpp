// What /metrics shows of requests: relaxed atomics that each request bumps once it is over.
#pragma once

#include "gateway/histogram.hpp"
#include "gateway/request_record.hpp"
#include "gateway/series.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace kvasir::gateway {

// Amounts per second, over the last ten whole seconds. Thread safe.
class RecentRate {
 public:
  using Clock = std::chrono::steady_clock;
  void add(std::uint64_t amount, Clock::time_point now = Clock::now());
  double per_second(Clock::time_point now = Clock::now()) const;

 private:
  static constexpr std::int64_t kSeconds = 10;
  struct Slot {
    std::int64_t second = -1;
    std::uint64_t amount = 0;
  };
  mutable std::mutex mutex_;
  std::array<Slot, kSeconds + 1> slots_;
};

// Thread safe.
class Metrics {
 public:
  void record(const RequestRecord& request);
  void store_timed_out() { store_timeouts_.fetch_add(1, std::memory_order_relaxed); }
  void log_line_dropped() { dropped_log_lines_.fetch_add(1, std::memory_order_relaxed); }
  void config_loaded(bool good);

  void append(std::string& out) const;

 private:
  using Counter = std::atomic<std::uint64_t>;
  static constexpr std::size_t kMaxReasons = 64;

  // Of completions and embeddings whose model is known.
  struct ModelSeries {
    Histogram duration{kDurationBounds};
    Histogram first_token{kFirstTokenBounds};
    Histogram output_token{kOutputTokenBounds};
    Histogram input_tokens{kTokenUsageBounds};
    Histogram output_tokens{kTokenUsageBounds};
    Histogram cost;
    ModelSeries();
  };
  struct TenantSeries {
    Counter requests{0};
    Counter prompt_tokens{0};
    Counter completion_tokens{0};
    Counter cost{0};  // nano-USD
  };

  void record_completion(const RequestRecord& request);
  void append_requests(std::string& out) const;
  void append_cache(std::string& out) const;
  void append_limits(std::string& out) const;
  void append_stop_reasons(std::string& out) const;
  void append_money(std::string& out) const;
  void append_tokens(std::string& out) const;
  void append_by_model(std::string& out) const;
  void append_by_tenant(std::string& out) const;
  void append_process(std::string& out) const;

  std::array<Counter, 600> by_status_{};
  std::array<Counter, kCacheTiers> by_tier_{};
  std::array<Counter, kCacheTiers> saved_by_tier_{};  // nano-USD
  std::array<Counter, 4> by_limit_{};                 // refusals, by LimitKind
  std::array<Counter, 8> by_stop_reason_{};
  Counter completions_{0};
  Counter prompt_tokens_{0};
  Counter completion_tokens_{0};
  Counter cached_tokens_{0};
  Counter store_timeouts_{0};
  Counter dropped_log_lines_{0};
  std::atomic<bool> config_good_{true};
  std::atomic<std::int64_t> config_loaded_at_{0};  // seconds since 1970; of the last good one
  mutable std::mutex reasons_mutex_;
  std::map<std::string, std::uint64_t, std::less<>> reasons_;  // of misses and bypasses; bounded
  Histogram duration_{kDurationBounds};
  Histogram first_token_{kFirstTokenBounds};
  Histogram output_token_{kOutputTokenBounds};
  RecentRate generated_;
  SeriesByLabel<ModelSeries> models_;
  SeriesByLabel<TenantSeries> tenants_;
};

}  // namespace kvasir::gateway
