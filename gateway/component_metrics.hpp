// What /metrics shows of the parts behind the requests: cache, engines, accelerator.
#pragma once

#include "cache/response_cache.hpp"
#include "engine/engine.hpp"
#include "gateway/connection_limit.hpp"

#include <string>
#include <utility>
#include <vector>

namespace kvasir::gateway {

using EngineStatsByModel = std::vector<std::pair<std::string, engine::EngineStats>>;

void append_connection_metrics(std::string& out, const ConnectionCounters& counters);
void append_cache_metrics(std::string& out, const cache::CacheStats& stats);
void append_engine_metrics(std::string& out, const EngineStatsByModel& engines);
// This version computes on the CPU: the names are there for dashboards, and say so.
void append_gpu_metrics(std::string& out);

}  // namespace kvasir::gateway
