// What is known of a request once it is over: for the log and the metrics.
#pragma once

#include "gateway/money.hpp"
#include "gateway/trace_context.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvasir::gateway {

enum class CacheTier { miss, exact, semantic, coalesced, bypass };
inline constexpr std::size_t kCacheTiers = 5;
std::string_view to_string(CacheTier tier);

enum class LimitKind { none, requests, tokens, budget };

struct RequestRecord {
  std::string id;
  TraceContext trace;
  std::string tenant;
  std::string key_name;
  std::string model;
  std::string upstream;  // where it was computed: a host, "engine" or "embedder"; empty: nowhere
  bool known_model = false;
  int status = 0;  // 499: the client hung up first
  bool stream = false;
  CacheTier tier = CacheTier::bypass;
  std::string reason;
  std::optional<float> similarity;
  std::string entry;
  std::string error;        // code or type
  std::string stop_reason;  // of the first choice
  LimitKind refused_by = LimitKind::none;
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;
  NanoUsd cost = 0;
  NanoUsd saved = 0;        // what a hit would have cost
  std::uint64_t bytes = 0;  // of the answer's body
  std::string prompt;       // the body; empty unless prompts are logged
  std::chrono::microseconds total{};
  std::chrono::microseconds first_byte{};  // zero: nothing was sent
  std::chrono::microseconds queued{};      // of the engine

  bool hit() const { return tier == CacheTier::exact || tier == CacheTier::semantic || tier == CacheTier::coalesced; }
};

}  // namespace kvasir::gateway
