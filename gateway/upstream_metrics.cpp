#include "gateway/upstream_metrics.hpp"

#include "gateway/metrics_text.hpp"

#include <algorithm>
#include <string_view>

namespace kvasir::gateway {

void append_upstream_metrics(std::string& out, std::span<const ModelUpstreams> models) {
  const bool any =
      std::any_of(models.begin(), models.end(), [](const ModelUpstreams& model) { return !model.upstreams.empty(); });
  if (!any) return;
  // `samples` gets the numbers of one upstream, and whom to tell of each.
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help, auto samples) {
    append_metric_head(out, name, type, help);
    for (const ModelUpstreams& model : models) {
      for (const UpstreamStats& stats : model.upstreams) {
        samples(stats, [&](auto value, std::initializer_list<MetricLabel> more = {}) {
          std::vector<MetricLabel> labels{{"model", model.model}, {"upstream", stats.upstream}};
          labels.insert(labels.end(), more);
          append_sample(out, name, metric_labels(labels), value);
        });
      }
    }
  };
  family("kvasir_upstream_requests_total", "counter", "Requests sent to an upstream, retries included.",
         [](const UpstreamStats& stats, auto sample) { sample(stats.requests); });
  family("kvasir_upstream_retries_total", "counter", "Requests sent to an upstream because an attempt before failed.",
         [](const UpstreamStats& stats, auto sample) { sample(stats.retries); });
  family("kvasir_upstream_failures_total", "counter", "Requests that an upstream did not answer with 200, by kind.",
         [](const UpstreamStats& stats, auto sample) {
           for (std::size_t kind = 0; kind < kFaultKinds; ++kind) {
             if (stats.faults[kind] > 0)
               sample(stats.faults[kind], {{"kind", to_string(static_cast<FaultKind>(kind))}});
           }
         });
  family("kvasir_upstream_breaker_state", "gauge", "0: closed, 1: half open, 2: open.",
         [](const UpstreamStats& stats, auto sample) { sample(static_cast<int>(stats.breaker)); });
  family("kvasir_upstream_running", "gauge", "Requests that an upstream works on.",
         [](const UpstreamStats& stats, auto sample) { sample(stats.running); });
  family("kvasir_upstream_connections", "gauge", "Connections to an upstream, by state.",
         [](const UpstreamStats& stats, auto sample) {
           const int idle = std::min(stats.idle_connections, stats.open_connections);
           sample(stats.open_connections - idle, {{"state", "busy"}});
           sample(idle, {{"state", "idle"}});
         });
}

}  // namespace kvasir::gateway
