#include "gateway/chat_request.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace kvasir::gateway {
namespace {

// Ten years of seconds: more is no different, and arithmetic with it cannot overflow.
constexpr std::int64_t kLongestAge = 10LL * 366 * 24 * 3600;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

CacheDirectives CacheDirectives::parse(std::string_view header) {
  CacheDirectives result;
  while (!header.empty()) {
    const auto comma = std::min(header.find(','), header.size());
    const std::string_view item = trimmed(header.substr(0, comma));
    header.remove_prefix(std::min(comma + 1, header.size()));
    const auto equals = std::min(item.find('='), item.size());
    const std::string_view name = trimmed(item.substr(0, equals));
    result.no_cache |= equal_ignoring_case(name, "no-cache");
    result.no_store |= equal_ignoring_case(name, "no-store");
    result.only_if_cached |= equal_ignoring_case(name, "only-if-cached");
    if (equal_ignoring_case(name, "max-age") && equals < item.size()) {
      const std::string_view digits = trimmed(item.substr(equals + 1));
      std::int64_t seconds = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
      if (error == std::errc::result_out_of_range && !digits.starts_with('-')) seconds = kLongestAge;
      // An age that cannot be read promises nothing, so nothing stored is fresh enough.
      const bool readable =
          error != std::errc::invalid_argument && end == digits.data() + digits.size() && seconds >= 0;
      const std::chrono::seconds age{readable ? std::min(seconds, kLongestAge) : 0};
      result.max_age = std::min(result.max_age.value_or(age), age);
    }
  }
  return result;
}

}  // namespace kvasir::gateway
