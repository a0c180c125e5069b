#include "gateway/retry_after.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string>

namespace kvasir::gateway {
namespace {

constexpr std::chrono::seconds kMost = std::chrono::hours(24);

}  // namespace

std::chrono::seconds parse_retry_after(std::string_view value, std::chrono::system_clock::time_point now) {
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  if (value.empty()) return {};
  if (value.find_first_not_of("0123456789") == std::string_view::npos) {
    std::int64_t seconds = 0;
    const auto result = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (result.ec == std::errc::result_out_of_range) return kMost;
    return std::min(std::chrono::seconds(seconds), kMost);
  }
  const std::string text(value);
  // IMF-fixdate, RFC 850, asctime (RFC 9110, section 5.6.7).
  for (const char* format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"}) {
    std::tm parts{};
    const char* end = strptime(text.c_str(), format, &parts);
    if (end == nullptr || *end != '\0') continue;
    const auto moment = std::chrono::system_clock::from_time_t(timegm(&parts));
    return std::clamp(std::chrono::ceil<std::chrono::seconds>(moment - now), std::chrono::seconds(0), kMost);
  }
  return {};
}

}  // namespace kvasir::gateway
