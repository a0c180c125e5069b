// `kvasir kv-size`: the KV memory calculator.
#pragma once

#include <string_view>
#include <vector>

namespace kvasir::gateway {

inline constexpr const char* kKvSizeUsage =
    "kvasir kv-size --model FILE.gguf --context TOKENS --users N [--kv-type f16|int8|int4] [--memory SIZE]";

// `arguments` follow the word "kv-size". Returns the exit code.
int run_kv_size(const std::vector<std::string_view>& arguments);

}  // namespace kvasir::gateway
