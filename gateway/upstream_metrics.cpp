#include "gateway/upstream_metrics.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>
#include <string_view>

namespace kvasir::gateway {
namespace {

void append_sample(std::string& out, std::string_view name, const std::string& model, const UpstreamStats& stats,
                   std::string_view more_labels, std::uint64_t value) {
  out.append(name).append("{model=");
  append_json_string(out, model);
  out += ",upstream=";
  append_json_string(out, stats.upstream);
  out.append(more_labels).append("} ");
  append_number(out, value);
  out += '\n';
}

}  // namespace

void append_upstream_metrics(std::string& out, std::span<const ModelUpstreams> models) {
  const bool any =
      std::any_of(models.begin(), models.end(), [](const ModelUpstreams& model) { return !model.upstreams.empty(); });
  if (!any) return;
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help, auto samples) {
    out.append("# HELP ").append(name).append(" ").append(help);
    out.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
    for (const ModelUpstreams& model : models) {
      for (const UpstreamStats& stats : model.upstreams) {
        samples(stats, [&](std::string_view labels, std::uint64_t value) {
          append_sample(out, name, model.model, stats, labels, value);
        });
      }
    }
  };
  family("kvasir_upstream_requests_total", "counter", "Requests sent to an upstream, retries included.",
         [](const UpstreamStats& stats, auto sample) { sample("", stats.requests); });
  family("kvasir_upstream_retries_total", "counter", "Requests sent to an upstream because an attempt before failed.",
         [](const UpstreamStats& stats, auto sample) { sample("", stats.retries); });
  family("kvasir_upstream_failures_total", "counter", "Requests that an upstream did not answer with 200, by kind.",
         [](const UpstreamStats& stats, auto sample) {
           for (std::size_t kind = 0; kind < kFaultKinds; ++kind) {
             if (stats.faults[kind] == 0) continue;
             sample(",kind=\"" + std::string(to_string(static_cast<FaultKind>(kind))) + "\"", stats.faults[kind]);
           }
         });
  family("kvasir_upstream_breaker_state", "gauge", "0: closed, 1: half open, 2: open.",
         [](const UpstreamStats& stats, auto sample) { sample("", static_cast<std::uint64_t>(stats.breaker)); });
  family("kvasir_upstream_running", "gauge", "Requests that an upstream works on.",
         [](const UpstreamStats& stats, auto sample) { sample("", static_cast<std::uint64_t>(stats.running)); });
  family("kvasir_upstream_connections", "gauge", "Connections to an upstream, by state.",
         [](const UpstreamStats& stats, auto sample) {
           const int idle = std::min(stats.idle_connections, stats.open_connections);
           sample(",state=\"busy\"", static_cast<std::uint64_t>(stats.open_connections - idle));
           sample(",state=\"idle\"", static_cast<std::uint64_t>(idle));
         });
}

}  // namespace kvasir::gateway
