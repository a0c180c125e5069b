// How the upstreams fare, for /metrics. Labels are the configured models and upstreams, and the kinds of faults.
#pragma once

#include "gateway/circuit_breaker.hpp"
#include "gateway/upstream_fault.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kvasir::gateway {

// Of one upstream.
struct UpstreamStats {
  std::string upstream;  // host and port
  BreakerState breaker = BreakerState::closed;
  std::uint64_t requests = 0;  // retries included
  std::uint64_t retries = 0;
  std::array<std::uint64_t, kFaultKinds> faults{};
  int running = 0;
  int open_connections = 0;
  int idle_connections = 0;
};

struct ModelUpstreams {
  std::string model;
  std::vector<UpstreamStats> upstreams;
};

// Prometheus text format; nothing if there are no upstreams.
void append_upstream_metrics(std::string& out, std::span<const ModelUpstreams> models);

}  // namespace kvasir::gateway
