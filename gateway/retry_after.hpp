// Retry-After (RFC 9110, section 10.2.3).
#pragma once

#include <chrono>
#include <string_view>

namespace kvasir::gateway {

// Seconds to wait from `now`, for a number of seconds or an HTTP-date in any of its three forms. Zero for a moment
// that has passed and for whatever is neither; at most a day.
std::chrono::seconds parse_retry_after(std::string_view value, std::chrono::system_clock::time_point now);

}  // namespace kvasir::gateway
