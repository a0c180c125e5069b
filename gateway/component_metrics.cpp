#include "gateway/component_metrics.hpp"

#include "gateway/metrics_text.hpp"

#include <algorithm>
#include <chrono>

namespace kvasir::gateway {

void append_connection_metrics(std::string& out, const ConnectionCounters& counters) {
  append_metric(out, "kvasir_connections", "gauge", "Open connections of the API.", counters.open.load());
  append_metric(out, "kvasir_connections_limit", "gauge", "The most that may be open: server.max_connections, or less.",
                counters.limit.load());
  append_metric(out, "kvasir_connections_total", "counter", "Connections of the API.", counters.opened.load());
  append_metric_head(out, "kvasir_connections_refused_total", "counter", "Connections beyond a limit, by limit.");
  append_sample(out, "kvasir_connections_refused_total", metric_labels({{"limit", "all"}}), counters.refused.load());
  append_sample(out, "kvasir_connections_refused_total", metric_labels({{"limit", "address"}}),
                counters.refused_by_address.load());
  append_metric(out, "kvasir_accept_failures_total", "counter", "Failures to accept: too few file descriptors.",
                counters.accept_failures.load());
  append_metric(out, "kvasir_tls_handshake_failures_total", "counter", "Connections that never spoke TLS.",
                counters.failed_handshakes.load());
  append_metric(out, "kvasir_bad_requests_total", "counter", "Requests that were not HTTP, too large or too slow.",
                counters.bad_requests.load());
}

namespace {

void append_shared_store_metrics(std::string& out, const cache::SharedStoreStats& stats) {
  append_metric(out, "kvasir_cache_store_connected", "gauge", "1: the shared store is there and all changes are seen.",
                stats.connected ? 1 : 0);
  append_metric(out, "kvasir_cache_store_away_seconds", "gauge", "Since when it is not, or 0.",
                std::chrono::duration<double>(stats.away).count());
  append_metric(out, "kvasir_cache_store_disconnects_total", "counter", "Losses of the shared store.",
                stats.disconnects);
  append_metric(out, "kvasir_cache_store_reconnects_total", "counter", "Returns of the shared store.",
                stats.reconnects);
  append_metric(out, "kvasir_cache_store_reloads_total", "counter", "Times that everything was read again.",
                stats.reloads);
  append_metric(out, "kvasir_cache_store_lag_seconds", "gauge",
                "From the last change in the shared store to its being in force here.",
                std::chrono::duration<double>(stats.lag).count());
  append_metric(out, "kvasir_cache_store_from_others_total", "counter",
                "Entries that came from the shared store: of others, or from before the start.", stats.from_others);
  append_metric(out, "kvasir_cache_store_damaged_total", "counter",
                "Entries dropped from the shared store for a bad checksum.", stats.damaged);
}

}  // namespace

void append_cache_metrics(std::string& out, const cache::CacheStats& stats) {
  append_metric(out, "kvasir_cache_entries", "gauge", "Answers that can be served.", stats.entries);
  append_metric(out, "kvasir_cache_bytes", "gauge", "What they take in memory, about.", stats.bytes);
  append_metric(out, "kvasir_cache_graphs_pending", "gauge", "Partitions whose vectors wait for a graph.",
                stats.graphs_pending);
  append_metric(out, "kvasir_cache_partitions", "gauge", "Partitions with a vector.", stats.partitions);
  append_metric(out, "kvasir_cache_vectors", "gauge", "Vectors in the semantic index.", stats.vectors);
  append_metric(out, "kvasir_cache_stored_total", "counter", "Answers stored.", stats.stored);
  append_metric(out, "kvasir_cache_store_failures_total", "counter", "Answers not stored.", stats.store_failures);
  append_metric(out, "kvasir_cache_expired_total", "counter", "Entries whose time was over.", stats.expired);
  append_metric(out, "kvasir_cache_evicted_total", "counter", "Entries dropped for room.", stats.evicted);
  append_metric(out, "kvasir_cache_invalidated_total", "counter", "Entries removed on demand.", stats.invalidated);
  append_metric(out, "kvasir_cache_removals_owed", "gauge", "Removals that the store refused and that are tried again.",
                stats.removals_owed);
  append_metric(out, "kvasir_cache_corrupt_total", "counter", "Entries dropped for a bad checksum.", stats.corrupt);
  if (stats.shared) append_shared_store_metrics(out, *stats.shared);
}

void append_engine_metrics(std::string& out, const EngineStatsByModel& engines) {
  // `idle`: whether a gateway without an engine shows the metric too, as 0.
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, auto value,
                        bool idle = false) {
    append_metric_head(out, name, type, help);
    for (const auto& [model, stats] : engines)
      append_sample(out, name, metric_labels({{"model", model}}), value(stats));
    if (engines.empty() && idle) append_sample(out, name, "", 0);
  };
  using Stats = engine::EngineStats;
  each(
      "kv_cache_utilization", "gauge", "Share of KV blocks that running sequences hold.",
      [](const Stats& stats) {
        const auto total = static_cast<double>(std::max<std::uint64_t>(stats.kv_blocks_total, 1));
        return static_cast<double>(stats.kv_blocks_used) / total;
      },
      true);
  each(
      "request_queue_depth", "gauge", "Requests that wait for admission by an engine.",
      [](const Stats& stats) { return stats.waiting; }, true);
  each("kvasir_kv_blocks_cached", "gauge", "KV blocks of prefixes that nobody uses now.",
       [](const Stats& stats) { return stats.kv_blocks_cached; });
  each("kvasir_kv_blocks_pinned", "gauge", "KV blocks of prefixes that are kept from eviction.",
       [](const Stats& stats) { return stats.kv_blocks_pinned; });
  each("kvasir_engine_running", "gauge", "Sequences that are computed now.",
       [](const Stats& stats) { return stats.running; });
  each("kvasir_engine_prompt_tokens_total", "counter", "Prompt tokens.",
       [](const Stats& stats) { return stats.prompt_tokens; });
  each("kvasir_engine_reused_tokens_total", "counter", "Prompt tokens read from the prefix cache.",
       [](const Stats& stats) { return stats.reused_tokens; });
  each("kvasir_engine_generated_tokens_total", "counter", "Generated tokens.",
       [](const Stats& stats) { return stats.generated_tokens; });
  each("kvasir_engine_accepted_tokens_total", "counter", "Proposed tokens that became part of an answer.",
       [](const Stats& stats) { return stats.accepted_tokens; });
  each("kvasir_engine_rejected_tokens_total", "counter", "Proposed tokens that were computed in vain.",
       [](const Stats& stats) { return stats.rejected_tokens; });
  each("kvasir_engine_evicted_blocks_total", "counter", "KV blocks evicted.",
       [](const Stats& stats) { return stats.evicted_blocks; });
  each("kvasir_kv_disk_bytes", "gauge", "KV on disk.", [](const Stats& stats) { return stats.kv_disk_bytes; });
  each("kvasir_kv_disk_written_blocks_total", "counter", "KV blocks written to disk.",
       [](const Stats& stats) { return stats.kv_disk_written_blocks; });
  each("kvasir_kv_disk_read_blocks_total", "counter", "KV blocks read back from disk.",
       [](const Stats& stats) { return stats.kv_disk_read_blocks; });
  each("kvasir_kv_disk_lost_blocks_total", "counter", "KV blocks that were evicted faster than the disk takes them.",
       [](const Stats& stats) { return stats.kv_disk_lost_blocks; });
  each("kvasir_kv_disk_damaged_blocks_total", "counter", "KV blocks dropped because their file was damaged.",
       [](const Stats& stats) { return stats.kv_disk_damaged_blocks; });
  each("kvasir_engine_preemptions_total", "counter", "Sequences set back for want of blocks.",
       [](const Stats& stats) { return stats.preemptions; });
  each("kvasir_engine_cancelled_total", "counter", "Requests cancelled by their clients.",
       [](const Stats& stats) { return stats.cancelled; });
  each("kvasir_engine_steps_total", "counter", "Scheduler steps.", [](const Stats& stats) { return stats.steps; });
}

void append_gpu_metrics(std::string& out) {
  append_metric(out, "gpu_memory_used_gb", "gauge", "Always 0: this version computes on the CPU.", 0);
  append_metric(out, "gpu_utilization_percent", "gauge", "Always 0: this version computes on the CPU.", 0);
}

}  // namespace kvasir::gateway
