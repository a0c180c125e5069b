#include "gateway/metrics.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

constexpr std::array<double, 14> kDurationBounds{0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                                 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
constexpr std::array<double, 16> kFirstTokenBounds{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                                   0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0};

void append_head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out.append("# HELP ").append(name).append(" ").append(help);
  out.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

template <typename Number>
void append_sample(std::string& out, std::string_view name, std::string_view labels, Number value) {
  out.append(name).append(labels).append(" ");
  append_number(out, value);
  out += '\n';
}

template <typename Number>
void append_metric(std::string& out, std::string_view name, std::string_view type, std::string_view help,
                   Number value) {
  append_head(out, name, type, help);
  append_sample(out, name, "", value);
}

// Escapes are those of JSON strings, which the text format shares for what occurs in names.
std::string label(std::string_view name, std::string_view value) {
  std::string text = "{";
  text.append(name).append("=");
  append_json_string(text, value);
  return text += '}';
}

std::uint64_t load(const std::atomic<std::uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

void add(std::atomic<std::uint64_t>& counter, int amount) {
  if (amount > 0) counter.fetch_add(static_cast<std::uint64_t>(amount), std::memory_order_relaxed);
}

}  // namespace

std::string_view to_string(CacheTier tier) {
  switch (tier) {
    case CacheTier::miss:
      return "miss";
    case CacheTier::exact:
      return "exact";
    case CacheTier::semantic:
      return "semantic";
    case CacheTier::coalesced:
      return "coalesced";
    case CacheTier::bypass:
      return "bypass";
  }
  return "bypass";
}

void Histogram::observe(std::chrono::microseconds value) {
  const double seconds = static_cast<double>(value.count()) * 1e-6;
  const auto bucket =
      static_cast<std::size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), seconds) - bounds_.begin());
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_microseconds_.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0)),
                              std::memory_order_relaxed);
}

void Histogram::append(std::string& out, std::string_view name, std::string_view help) const {
  append_head(out, name, "histogram", help);
  const std::string base(name);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= bounds_.size(); ++i) {
    total += load(counts_[i]);
    std::string bound = "+Inf";
    if (i < bounds_.size()) {
      bound.clear();
      append_number(bound, bounds_[i]);
    }
    append_sample(out, base + "_bucket", label("le", bound), total);
  }
  append_sample(out, base + "_sum", "", static_cast<double>(load(sum_microseconds_)) * 1e-6);
  append_sample(out, base + "_count", "", total);
}

Metrics::Metrics() : duration_(kDurationBounds), first_token_(kFirstTokenBounds) {}

void Metrics::record(const RequestRecord& request) {
  const auto status = static_cast<std::size_t>(std::clamp(request.status, 0, 599));
  by_status_[status].fetch_add(1, std::memory_order_relaxed);
  duration_.observe(request.total);
  if (request.reason.empty()) return;  // refused before the cache was asked
  by_tier_[static_cast<std::size_t>(request.tier)].fetch_add(1, std::memory_order_relaxed);
  add(prompt_tokens_, request.prompt_tokens);
  add(completion_tokens_, request.completion_tokens);
  add(cached_tokens_, request.cached_tokens);
  if (request.stream && request.first_byte.count() > 0) first_token_.observe(request.first_byte);
  if (request.tier == CacheTier::exact || request.tier == CacheTier::semantic) return;
  const std::lock_guard lock(reasons_mutex_);
  const auto found = reasons_.find(request.reason);
  if (found != reasons_.end()) {
    ++found->second;
  } else if (reasons_.size() < kMaxReasons) {
    reasons_.emplace(request.reason, 1);
  }
}

void Metrics::append(std::string& out) const {
  append_head(out, "kvasir_requests_total", "counter",
              "Requests of the API, by HTTP status (499: the client hung up).");
  for (std::size_t status = 0; status < by_status_.size(); ++status) {
    const auto count = load(by_status_[status]);
    if (count > 0) append_sample(out, "kvasir_requests_total", label("status", std::to_string(status)), count);
  }
  append_head(out, "kvasir_cache_requests_total", "counter", "Completions by where the answer came from.");
  std::uint64_t looked_up = 0;
  for (std::size_t tier = 0; tier < kCacheTiers; ++tier) {
    const auto name = to_string(static_cast<CacheTier>(tier));
    if (static_cast<CacheTier>(tier) != CacheTier::bypass) looked_up += load(by_tier_[tier]);
    append_sample(out, "kvasir_cache_requests_total", label("tier", name), load(by_tier_[tier]));
  }
  append_head(out, "cache_hit_rate", "gauge", "Share of cacheable completions served by a tier since the start.");
  for (const CacheTier tier : {CacheTier::exact, CacheTier::semantic, CacheTier::coalesced}) {
    const auto hits = static_cast<double>(load(by_tier_[static_cast<std::size_t>(tier)]));
    append_sample(out, "cache_hit_rate", label("tier", to_string(tier)),
                  looked_up == 0 ? 0.0 : hits / static_cast<double>(looked_up));
  }
  append_head(out, "kvasir_cache_reasons_total", "counter", "Completions that no tier served, by reason.");
  {
    const std::lock_guard lock(reasons_mutex_);
    for (const auto& [reason, count] : reasons_) {
      append_sample(out, "kvasir_cache_reasons_total", label("reason", reason), count);
    }
  }
  append_metric(out, "kvasir_prompt_tokens_total", "counter", "Prompt tokens of all answers.", load(prompt_tokens_));
  append_metric(out, "kvasir_completion_tokens_total", "counter", "Tokens of all answers.", load(completion_tokens_));
  append_metric(out, "kvasir_cached_prompt_tokens_total", "counter", "Prompt tokens whose KV was reused.",
                load(cached_tokens_));
  append_metric(out, "kvasir_store_timeouts_total", "counter", "Answers that ended before they were stored.",
                load(store_timeouts_));
  append_metric(out, "kvasir_log_lines_dropped_total", "counter", "Log lines dropped because the log was not read.",
                load(dropped_log_lines_));
  duration_.append(out, "kvasir_request_duration_seconds", "From a request's last byte to its answer's end.");
  first_token_.append(out, "kvasir_time_to_first_token_seconds",
                      "Streams: from a request's last byte to the first event.");
}

void append_connection_metrics(std::string& out, const ConnectionCounters& counters) {
  append_metric(out, "kvasir_connections", "gauge", "Open connections of the API.", counters.open.load());
  append_metric(out, "kvasir_connections_limit", "gauge", "The most that may be open: server.max_connections, or less.",
                counters.limit.load());
  append_metric(out, "kvasir_connections_total", "counter", "Connections of the API.", load(counters.opened));
  append_head(out, "kvasir_connections_refused_total", "counter", "Connections beyond a limit, by limit.");
  append_sample(out, "kvasir_connections_refused_total", label("limit", "all"), load(counters.refused));
  append_sample(out, "kvasir_connections_refused_total", label("limit", "address"), load(counters.refused_by_address));
  append_metric(out, "kvasir_accept_failures_total", "counter", "Failures to accept: too few file descriptors.",
                load(counters.accept_failures));
  append_metric(out, "kvasir_tls_handshake_failures_total", "counter", "Connections that never spoke TLS.",
                load(counters.failed_handshakes));
  append_metric(out, "kvasir_bad_requests_total", "counter", "Requests that were not HTTP, too large or too slow.",
                load(counters.bad_requests));
}

void append_cache_metrics(std::string& out, const cache::CacheStats& stats) {
  append_metric(out, "kvasir_cache_entries", "gauge", "Answers that can be served.", stats.entries);
  append_metric(out, "kvasir_cache_partitions", "gauge", "Partitions with a vector.", stats.partitions);
  append_metric(out, "kvasir_cache_vectors", "gauge", "Vectors in the semantic index.", stats.vectors);
  append_metric(out, "kvasir_cache_stored_total", "counter", "Answers stored.", stats.stored);
  append_metric(out, "kvasir_cache_store_failures_total", "counter", "Answers not stored.", stats.store_failures);
  append_metric(out, "kvasir_cache_expired_total", "counter", "Entries whose time was over.", stats.expired);
  append_metric(out, "kvasir_cache_evicted_total", "counter", "Entries dropped for room.", stats.evicted);
  append_metric(out, "kvasir_cache_invalidated_total", "counter", "Entries removed on demand.", stats.invalidated);
  append_metric(out, "kvasir_cache_removals_owed", "gauge", "Removals that the disk refused and that are tried again.",
                stats.removals_owed);
  append_metric(out, "kvasir_cache_corrupt_total", "counter", "Entries dropped at start for a bad checksum.",
                stats.corrupt);
}

void append_engine_metrics(std::string& out, std::string_view model, const engine::EngineStats& stats) {
  const std::string labels = label("model", model);
  const auto total = static_cast<double>(std::max<std::uint64_t>(stats.kv_blocks_total, 1));
  const auto emit = [&](std::string_view name, std::string_view type, std::string_view help, auto value) {
    append_head(out, name, type, help);
    append_sample(out, name, labels, value);
  };
  emit("kv_cache_utilization", "gauge", "Share of KV blocks that running sequences hold.",
       static_cast<double>(stats.kv_blocks_used) / total);
  emit("kvasir_kv_blocks_cached", "gauge", "KV blocks of prefixes that nobody uses now.", stats.kv_blocks_cached);
  emit("request_queue_depth", "gauge", "Requests that wait for admission.", stats.waiting);
  emit("kvasir_engine_running", "gauge", "Sequences that are computed now.", stats.running);
  emit("kvasir_engine_prompt_tokens_total", "counter", "Prompt tokens.", stats.prompt_tokens);
  emit("kvasir_engine_reused_tokens_total", "counter", "Prompt tokens read from the prefix cache.",
       stats.reused_tokens);
  emit("kvasir_engine_generated_tokens_total", "counter", "Generated tokens.", stats.generated_tokens);
  emit("kvasir_engine_evicted_blocks_total", "counter", "KV blocks evicted.", stats.evicted_blocks);
  emit("kvasir_engine_cancelled_total", "counter", "Requests cancelled by their clients.", stats.cancelled);
  emit("kvasir_engine_steps_total", "counter", "Scheduler steps.", stats.steps);
}

}  // namespace kvasir::gateway
