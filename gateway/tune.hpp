// `kvasir tune`: what each threshold of the semantic tier would have served of labelled pairs, and which to choose.
#pragma once

#include <string_view>
#include <vector>

namespace kvasir::gateway {

inline constexpr const char* kTuneUsage =
    "kvasir tune --pairs FILE.jsonl [--config FILE] [--max-error-rate RATE] [--svg FILE] [--json FILE]";

// `arguments` follow the word "tune". Reads lines {"a": …, "b": …, "same": true|false, "category"?: …}; prints curves
// and the YAML to use. Returns the exit code: 0, 1 for bad input, 2 for bad usage.
int run_tune(const std::vector<std::string_view>& arguments);

}  // namespace kvasir::gateway
