#include "gateway/metrics.hpp"

#include "gateway/component_metrics.hpp"
#include "gateway/metrics_text.hpp"

#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

RequestRecord answered(const std::string& model, CacheTier tier) {
  RequestRecord record;
  record.known_model = true;
  record.model = model;
  record.tenant = "team";
  record.status = 200;
  record.tier = tier;
  record.reason = "any";
  record.stop_reason = "stop";
  record.prompt_tokens = 10;
  record.completion_tokens = 5;
  return record;
}

std::string text(const Metrics& metrics) {
  std::string text;
  metrics.append(text);
  return text;
}

TEST(Metrics, count_money_spent_and_saved) {
  Metrics metrics;
  RequestRecord miss = answered("m", CacheTier::miss);
  miss.cost = kNanoPerUsd / 4;
  metrics.record(miss);
  RequestRecord hit = answered("m", CacheTier::exact);
  hit.saved = kNanoPerUsd / 2;
  metrics.record(hit);
  const std::string shown = text(metrics);
  EXPECT_THAT(shown, HasSubstr("cost_per_request_usd_sum{model=\"m\"} 0.25\n"));
  EXPECT_THAT(shown, HasSubstr("cost_per_request_usd_count{model=\"m\"} 2\n"));
  EXPECT_THAT(shown, HasSubstr("kvasir_cost_saved_usd_total{tier=\"exact\"} 0.5\n"));
  EXPECT_THAT(shown, HasSubstr("kvasir_tenant_cost_usd_total{tenant=\"team\"} 0.25\n"));
  EXPECT_THAT(shown, HasSubstr("cache_hit_rate{tier=\"exact\"} 0.5\n"));
}

TEST(Metrics, show_how_completions_ended) {
  Metrics metrics;
  for (const auto& [status, reason] : {std::pair(200, "stop"), {200, "length"}, {502, ""}, {499, ""}}) {
    RequestRecord record = answered("m", CacheTier::miss);
    record.status = status;
    record.stop_reason = reason;
    metrics.record(record);
  }
  for (const char* reason : {"stop", "length", "error", "cancelled"}) {
    EXPECT_THAT(text(metrics),
                HasSubstr("error_rate_by_stop_reason{stop_reason=\"" + std::string(reason) + "\"} 0.25\n"));
  }
}

TEST(Metrics, show_the_share_that_budgets_refused) {
  Metrics metrics;
  metrics.record(answered("m", CacheTier::miss));
  RequestRecord refused = answered("m", CacheTier::miss);
  refused.status = 429;
  refused.refused_by = LimitKind::budget;
  metrics.record(refused);
  EXPECT_THAT(text(metrics), HasSubstr("token_budget_exceeded_rate 0.5\n"));
  EXPECT_THAT(text(metrics), HasSubstr("kvasir_limit_refusals_total{limit=\"budget\"} 1\n"));
}

TEST(Metrics, have_no_labels_from_names_that_nobody_configured) {
  Metrics metrics;
  RequestRecord unknown = answered("made up", CacheTier::bypass);
  unknown.known_model = false;
  metrics.record(unknown);
  EXPECT_THAT(text(metrics), Not(HasSubstr("made up")));
}

TEST(Metrics, are_bounded_in_labels) {
  Metrics metrics;
  for (int i = 0; i < 1000; ++i) metrics.record(answered(std::to_string(i), CacheTier::miss));
  EXPECT_THAT(text(metrics), HasSubstr("cost_per_request_usd_count{model=\"other\"} 936\n"));
}

TEST(Metrics, take_the_time_between_tokens_from_computed_streams) {
  Metrics metrics;
  RequestRecord stream = answered("m", CacheTier::miss);
  stream.stream = true;
  stream.first_byte = std::chrono::milliseconds(100);
  stream.total = std::chrono::milliseconds(500);
  metrics.record(stream);
  EXPECT_THAT(text(metrics), HasSubstr("inter_token_latency_seconds_sum 0.1\n"));
  EXPECT_THAT(
      text(metrics),
      HasSubstr("gen_ai_server_time_per_output_token_seconds_bucket{gen_ai_request_model=\"m\",le=\"0.1\"} 1\n"));
}

// Prometheus refuses the whole page for one name with two heads.
TEST(Metrics, head_every_name_once) {
  std::string page = text(Metrics());
  append_connection_metrics(page, ConnectionCounters());
  append_cache_metrics(page, cache::CacheStats());
  append_engine_metrics(page, {});
  append_gpu_metrics(page);
  std::set<std::string> heads;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with('#')) {
      const std::string head = line.substr(0, line.find(' ', line.find(' ', 2) + 1));
      EXPECT_TRUE(heads.insert(head).second) << "again: " << head;
    }
  EXPECT_GT(heads.size(), 60U);
}

TEST(MetricLabels, escape_what_the_format_does_not_allow) {
  EXPECT_EQ(metric_labels({{"a", "x\"y\\z\n"}, {"b", "ü"}}), "{a=\"x\\\"y\\\\z?\",b=\"ü\"}");
  EXPECT_EQ(metric_labels({}), "");
}

TEST(RecentRate, is_of_the_last_ten_whole_seconds) {
  RecentRate rate;
  const RecentRate::Clock::time_point start{std::chrono::seconds(1000)};
  rate.add(50, start);
  EXPECT_DOUBLE_EQ(rate.per_second(start), 0.0);
  EXPECT_DOUBLE_EQ(rate.per_second(start + std::chrono::seconds(1)), 5.0);
  EXPECT_DOUBLE_EQ(rate.per_second(start + std::chrono::seconds(11)), 0.0);
}

}  // namespace
}  // namespace kvasir::gateway
