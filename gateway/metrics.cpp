#include "gateway/metrics.hpp"

#include "gateway/metrics_text.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

constexpr std::array<double, 12> kCostBounds{0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003,
                                             0.01,    0.03,    0.1,    0.3,    1.0,   10.0};
constexpr std::array<std::string_view, 8> kStopReasons{"stop",  "length",    "tool_calls", "content_filter",
                                                       "error", "cancelled", "refused",    "other"};
constexpr std::array<std::string_view, 4> kLimits{"none", "requests", "tokens", "budget"};
constexpr std::array kHits{CacheTier::exact, CacheTier::semantic, CacheTier::coalesced};

std::uint64_t load(const std::atomic<std::uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

template <typename Number>
void add(std::atomic<std::uint64_t>& counter, Number amount) {
  if (amount > 0) counter.fetch_add(static_cast<std::uint64_t>(amount), std::memory_order_relaxed);
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

double usd(const std::atomic<std::uint64_t>& nano) {
  return in_usd(static_cast<NanoUsd>(load(nano)));
}

std::string_view how_it_ended(const RequestRecord& request) {
  if (request.status == 499) return "cancelled";
  if (request.status >= 500) return "error";
  if (request.status >= 400) return "refused";
  return request.stop_reason;
}

std::size_t stop_reason_index(const RequestRecord& request) {
  const auto found = std::find(kStopReasons.begin(), kStopReasons.end(), how_it_ended(request));
  return std::min<std::size_t>(static_cast<std::size_t>(found - kStopReasons.begin()), kStopReasons.size() - 1);
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

void RecentRate::add(std::uint64_t amount, Clock::time_point now) {
  const std::int64_t second = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_[static_cast<std::size_t>(second) % slots_.size()];
  if (slot.second != second) slot = {second, 0};
  slot.amount += amount;
}

double RecentRate::per_second(Clock::time_point now) const {
  const std::int64_t second = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const Slot& slot : slots_) {
    if (slot.second >= second - kSeconds && slot.second < second) sum += slot.amount;
  }
  return static_cast<double>(sum) / static_cast<double>(kSeconds);
}

Metrics::ModelSeries::ModelSeries() : cost(kCostBounds) {}

void Metrics::config_loaded(bool good) {
  config_good_.store(good, std::memory_order_relaxed);
  if (!good) return;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  config_loaded_at_.store(std::chrono::duration_cast<std::chrono::seconds>(now).count(), std::memory_order_relaxed);
}

void Metrics::record(const RequestRecord& request) {
  const auto status = static_cast<std::size_t>(std::clamp(request.status, 0, 599));
  by_status_[status].fetch_add(1, std::memory_order_relaxed);
  if (request.total.count() > 0) duration_.observe(request.total);
  if (request.refused_by != LimitKind::none) add(by_limit_[static_cast<std::size_t>(request.refused_by)], 1);
  if (!request.key_name.empty() || request.known_model) add(tenants_.at(request.tenant).requests, 1);
  if (request.known_model) record_completion(request);
  if (request.reason.empty()) return;  // the cache was not asked
  by_tier_[static_cast<std::size_t>(request.tier)].fetch_add(1, std::memory_order_relaxed);
  add(saved_by_tier_[static_cast<std::size_t>(request.tier)], request.saved);
  if (request.stream && request.first_byte.count() > 0) first_token_.observe(request.first_byte);
  if (request.tier != CacheTier::miss && request.tier != CacheTier::bypass) return;
  const std::lock_guard lock(reasons_mutex_);
  if (const auto found = reasons_.find(request.reason); found != reasons_.end()) {
    ++found->second;
  } else if (reasons_.size() < kMaxReasons) {
    reasons_.emplace(request.reason, 1);
  }
}

void Metrics::record_completion(const RequestRecord& request) {
  add(completions_, 1);
  add(by_stop_reason_[stop_reason_index(request)], 1);
  add(prompt_tokens_, request.prompt_tokens);
  add(completion_tokens_, request.completion_tokens);
  add(cached_tokens_, request.cached_tokens);
  TenantSeries& tenant = tenants_.at(request.tenant);
  add(tenant.prompt_tokens, request.prompt_tokens);
  add(tenant.completion_tokens, request.completion_tokens);
  add(tenant.cost, request.cost);
  ModelSeries& model = models_.at(request.model);
  model.duration.observe(request.total);
  if (request.status != 200) return;
  model.input_tokens.observe(static_cast<double>(request.prompt_tokens));
  model.output_tokens.observe(static_cast<double>(request.completion_tokens));
  model.cost.observe(in_usd(request.cost));
  if (request.stream && request.first_byte.count() > 0) model.first_token.observe(request.first_byte);
  if (request.tier == CacheTier::exact || request.tier == CacheTier::semantic) return;
  if (request.tier != CacheTier::coalesced) generated_.add(static_cast<std::uint64_t>(request.completion_tokens));
  if (!request.stream || request.completion_tokens < 2) return;
  const auto between = (request.total - request.first_byte) / (request.completion_tokens - 1);
  model.output_token.observe(between);
  output_token_.observe(between);
}

void Metrics::append(std::string& out) const {
  append_requests(out);
  append_cache(out);
  append_limits(out);
  append_stop_reasons(out);
  append_money(out);
  append_tokens(out);
  append_by_model(out);
  append_by_tenant(out);
  append_process(out);
}

void Metrics::append_requests(std::string& out) const {
  append_metric_head(out, "kvasir_requests_total", "counter",
                     "Requests of the API, by HTTP status (499: the client hung up).");
  for (std::size_t status = 0; status < by_status_.size(); ++status) {
    const auto count = load(by_status_[status]);
    if (count > 0) {
      append_sample(out, "kvasir_requests_total", metric_labels({{"status", std::to_string(status)}}), count);
    }
  }
  const auto histogram = [&](std::string_view name, std::string_view help, const Histogram& values) {
    append_metric_head(out, name, "histogram", help);
    values.append(out, name, "");
  };
  histogram("kvasir_request_duration_seconds", "From a request's last byte to its answer's end.", duration_);
  constexpr std::string_view kFirst = "Streams: from a request's last byte to the first event.";
  histogram("kvasir_time_to_first_token_seconds", kFirst, first_token_);
  histogram("time_to_first_token_seconds", kFirst, first_token_);
  histogram("inter_token_latency_seconds", "Computed streams: mean time between two tokens, one value an answer.",
            output_token_);
}

void Metrics::append_cache(std::string& out) const {
  append_metric_head(out, "kvasir_cache_requests_total", "counter", "Completions by where the answer came from.");
  std::uint64_t looked_up = 0;
  for (std::size_t tier = 0; tier < kCacheTiers; ++tier) {
    const auto name = to_string(static_cast<CacheTier>(tier));
    if (static_cast<CacheTier>(tier) != CacheTier::bypass) looked_up += load(by_tier_[tier]);
    append_sample(out, "kvasir_cache_requests_total", metric_labels({{"tier", name}}), load(by_tier_[tier]));
  }
  append_metric_head(out, "cache_hit_rate", "gauge",
                     "Share of cacheable completions served by a tier since the start.");
  for (const CacheTier tier : kHits) {
    append_sample(out, "cache_hit_rate", metric_labels({{"tier", to_string(tier)}}),
                  share(load(by_tier_[static_cast<std::size_t>(tier)]), looked_up));
  }
  append_metric_head(out, "kvasir_cache_reasons_total", "counter", "Completions that no tier served, by reason.");
  const std::lock_guard lock(reasons_mutex_);
  for (const auto& [reason, count] : reasons_) {
    append_sample(out, "kvasir_cache_reasons_total", metric_labels({{"reason", reason}}), count);
  }
}

void Metrics::append_limits(std::string& out) const {
  append_metric_head(out, "kvasir_limit_refusals_total", "counter", "Requests refused with 429, by the key's limit.");
  for (std::size_t kind = 1; kind < kLimits.size(); ++kind) {
    append_sample(out, "kvasir_limit_refusals_total", metric_labels({{"limit", kLimits[kind]}}), load(by_limit_[kind]));
  }
  const auto exceeded = load(by_limit_[static_cast<std::size_t>(LimitKind::tokens)]) +
                        load(by_limit_[static_cast<std::size_t>(LimitKind::budget)]);
  append_metric(out, "token_budget_exceeded_rate", "gauge",
                "Share of answers asked for since the start that a key's tokens a minute or budget refused.",
                share(exceeded, load(completions_)));
}

void Metrics::append_stop_reasons(std::string& out) const {
  append_metric_head(
      out, "kvasir_stop_reasons_total", "counter",
      "Answers by how they ended: the finish reason (of embeddings: stop), error (5xx), refused (4xx), cancelled.");
  for (std::size_t i = 0; i < kStopReasons.size(); ++i) {
    append_sample(out, "kvasir_stop_reasons_total", metric_labels({{"stop_reason", kStopReasons[i]}}),
                  load(by_stop_reason_[i]));
  }
  append_metric_head(out, "error_rate_by_stop_reason", "gauge", "Share of answers since the start, by how they ended.");
  for (std::size_t i = 0; i < kStopReasons.size(); ++i) {
    append_sample(out, "error_rate_by_stop_reason", metric_labels({{"stop_reason", kStopReasons[i]}}),
                  share(load(by_stop_reason_[i]), load(completions_)));
  }
}

void Metrics::append_money(std::string& out) const {
  append_metric_head(out, "kvasir_cost_saved_usd_total", "counter",
                     "What answers of the cache would have cost at the models' prices, by tier.");
  for (const CacheTier tier : kHits) {
    append_sample(out, "kvasir_cost_saved_usd_total", metric_labels({{"tier", to_string(tier)}}),
                  usd(saved_by_tier_[static_cast<std::size_t>(tier)]));
  }
}

void Metrics::append_tokens(std::string& out) const {
  append_metric(out, "kvasir_prompt_tokens_total", "counter", "Prompt tokens of all answers.", load(prompt_tokens_));
  append_metric(out, "kvasir_completion_tokens_total", "counter", "Tokens of all answers.", load(completion_tokens_));
  append_metric(out, "kvasir_cached_prompt_tokens_total", "counter", "Prompt tokens whose KV was reused.",
                load(cached_tokens_));
  append_metric(out, "tokens_per_second", "gauge",
                "Tokens of computed answers that ended in the last ten seconds, by ten.", generated_.per_second());
}

void Metrics::append_by_model(std::string& out) const {
  const auto each = [&](std::string_view name, std::string_view help, const Histogram ModelSeries::*member) {
    append_metric_head(out, name, "histogram", help);
    models_.each([&](const std::string& model, const ModelSeries& series) {
      (series.*member).append(out, name, metric_labels({{"gen_ai_request_model", model}}));
    });
  };
  each("gen_ai_server_request_duration_seconds", "From a request's last byte to its answer's end.",
       &ModelSeries::duration);
  each("gen_ai_server_time_to_first_token_seconds", "Streams: from a request's last byte to the first event.",
       &ModelSeries::first_token);
  each("gen_ai_server_time_per_output_token_seconds", "Computed streams: mean time of a token after the first.",
       &ModelSeries::output_token);
  append_metric_head(out, "gen_ai_client_token_usage", "histogram", "Tokens of an answer, by type.");
  models_.each([&](const std::string& model, const ModelSeries& series) {
    const auto labels = [&](std::string_view type) {
      return metric_labels({{"gen_ai_request_model", model}, {"gen_ai_token_type", type}});
    };
    series.input_tokens.append(out, "gen_ai_client_token_usage", labels("input"));
    series.output_tokens.append(out, "gen_ai_client_token_usage", labels("output"));
  });
  append_metric_head(out, "cost_per_request_usd", "histogram",
                     "What an answer cost at its model's price; hits cost nothing.");
  models_.each([&](const std::string& model, const ModelSeries& series) {
    series.cost.append(out, "cost_per_request_usd", metric_labels({{"model", model}}));
  });
}

void Metrics::append_by_tenant(std::string& out) const {
  const auto each = [&](std::string_view name, std::string_view help, auto value) {
    append_metric_head(out, name, "counter", help);
    tenants_.each([&](const std::string& tenant, const TenantSeries& series) {
      append_sample(out, name, metric_labels({{"tenant", tenant}}), value(series));
    });
  };
  each("kvasir_tenant_requests_total", "Requests by tenant.", [](const auto& series) { return load(series.requests); });
  each("kvasir_tenant_prompt_tokens_total", "Prompt tokens by tenant.",
       [](const auto& series) { return load(series.prompt_tokens); });
  each("kvasir_tenant_completion_tokens_total", "Tokens of answers by tenant.",
       [](const auto& series) { return load(series.completion_tokens); });
  each("kvasir_tenant_cost_usd_total", "What computed answers cost, by tenant.",
       [](const auto& series) { return usd(series.cost); });
}

void Metrics::append_process(std::string& out) const {
  append_metric(out, "kvasir_store_timeouts_total", "counter", "Answers that ended before they were stored.",
                load(store_timeouts_));
  append_metric(out, "kvasir_log_lines_dropped_total", "counter", "Log lines dropped because the log was not read.",
                load(dropped_log_lines_));
  append_metric(out, "kvasir_config_reload_success", "gauge", "1 if the configuration file was good when last read.",
                config_good_.load() ? 1 : 0);
  append_metric(out, "kvasir_config_reload_success_timestamp_seconds", "gauge",
                "When a good configuration was last taken.", config_loaded_at_.load());
}

}  // namespace kvasir::gateway
