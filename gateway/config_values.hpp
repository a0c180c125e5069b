// Scalars of the configuration: sizes, durations, environment variables in text.
#pragma once

#include "gateway/config.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvasir::gateway {

// "2GiB", "512 MiB", "64KB", "1024": bytes. Ki/Mi/Gi/Ti are powers of 1024, K/M/G/T of 1000.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
// "250ms", "60s", "5m", "24h", "7d"; a bare number is seconds.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::string print_bytes(std::uint64_t bytes);
std::string print_duration(std::chrono::milliseconds duration);

// Replaces ${NAME} and ${NAME:-default}. On failure: nullopt, and `error` says which variable.
std::optional<std::string> expand_variables(std::string_view text, const Environment& environment, std::string& error);

}  // namespace kvasir::gateway
