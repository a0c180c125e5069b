#include "engine/trace_replay.hpp"
#include "gateway/bench_lanes.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>

#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using Trace = std::vector<std::vector<int>>;  // block ids of each prompt, in order of arrival

// Mooncake's traces: an object a line, with hash_ids. Throws what the parser throws.
Trace read_trace(std::istream& file) {
  Trace trace;
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) trace.push_back(nlohmann::json::parse(line).at("hash_ids").get<std::vector<int>>());
  return trace;
}

int distinct_blocks(const Trace& trace) {
  std::set<int> ids;
  for (const auto& prompt : trace) ids.insert(prompt.begin(), prompt.end());
  return static_cast<int>(ids.size());
}

void replay(const Trace& trace, int blocks, engine::EvictionKind kind, double depth_cost) {
  engine::TraceReplay replay(blocks, kind, depth_cost);
  const auto start = std::chrono::steady_clock::now();
  for (const auto& prompt : trace) replay.ask(prompt);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const bool lru = kind == engine::EvictionKind::lru;
  std::printf("%9d %-6s %9.2f%% %9.2f%% %14.0f\n", blocks, lru ? "lru" : "pgdsf", 100 * replay.counts().hit_rate(),
              100 * replay.counts().saved_share(), static_cast<double>(trace.size()) / seconds);
}

}  // namespace

int bench_prefix_trace(const BenchArguments& arguments) {
  const std::string path(arguments.text("--trace", ""));
  std::ifstream file(path);
  if (!file) {
    std::fprintf(stderr, "kvasir bench: cannot read the trace '%s'; give --trace FILE.jsonl\n", path.c_str());
    return 1;
  }
  const Trace trace = read_trace(file);
  const int distinct = distinct_blocks(trace);
  std::vector<int> sizes = arguments.numbers("--blocks");
  if (sizes.empty()) sizes = {1000, 10'000, 50'000, distinct};
  // Of a block of 512 tokens in a model of 8 billion weights: 2 x 4096 of attention for each token before it, against
  // 218 million of the weights in a layer.
  constexpr double kDepthCost = 512 * 8192 / 218e6;
  std::printf("%zu requests, %d distinct blocks\n%9s %-6s %10s %10s %14s\n", trace.size(), distinct, "blocks", "policy",
              "hits", "saved", "requests/s");
  for (const int blocks : sizes)
    for (const auto kind : {engine::EvictionKind::lru, engine::EvictionKind::pgdsf})
      replay(trace, blocks, kind, arguments.real("--depth-cost", kDepthCost));
  return 0;
}

}  // namespace kvasir::gateway
