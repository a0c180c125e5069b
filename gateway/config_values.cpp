#include "gateway/config_values.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <span>

namespace kvasir::gateway {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 13> kByteUnits{{{"", 1},
                                           {"B", 1},
                                           {"K", 1e3},
                                           {"KB", 1e3},
                                           {"M", 1e6},
                                           {"MB", 1e6},
                                           {"G", 1e9},
                                           {"GB", 1e9},
                                           {"TB", 1e12},
                                           {"KiB", 1024.0},
                                           {"MiB", 1048576.0},
                                           {"GiB", 1073741824.0},
                                           {"TiB", 1099511627776.0}}};
constexpr std::array<Unit, 6> kTimeUnits{{{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}}};

// A number, optional blanks, a unit of the table.
std::optional<double> parse_quantity(std::string_view text, std::span<const Unit> units) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number) || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  for (const Unit& unit : units) {
    if (unit.name == text) return number * unit.factor;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bytes = parse_quantity(text, kByteUnits);
  if (!bytes || *bytes > 1e18) return std::nullopt;
  return static_cast<std::uint64_t>(*bytes);
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto milliseconds = parse_quantity(text, kTimeUnits);
  if (!milliseconds || *milliseconds > 1e15) return std::nullopt;
  return std::chrono::milliseconds{std::llround(*milliseconds)};
}

std::string print_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kNames{"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < kNames.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + std::string(kNames[unit]);
}

std::string print_duration(std::chrono::milliseconds duration) {
  const auto count = duration.count();
  if (count % 3'600'000 == 0 && count != 0) return std::to_string(count / 3'600'000) + "h";
  if (count % 1000 == 0) return std::to_string(count / 1000) + "s";
  return std::to_string(count) + "ms";
}

std::optional<std::string> expand_variables(std::string_view text, const Environment& environment, std::string& error) {
  std::string expanded;
  while (true) {
    const auto start = text.find("${");
    expanded += text.substr(0, start);
    if (start == std::string_view::npos) return expanded;
    const auto end = text.find('}', start);
    if (end == std::string_view::npos) {
      error = "'${' without '}'";
      return std::nullopt;
    }
    const std::string_view inside = text.substr(start + 2, end - start - 2);
    const auto separator = inside.find(":-");
    const std::string name(inside.substr(0, separator));
    const auto value = environment(name);
    // As in a shell, ":-" stands in for an empty variable too.
    if (separator != std::string_view::npos && (!value || value->empty())) {
      expanded += inside.substr(separator + 2);
    } else if (value) {
      expanded += *value;
    } else {
      error = "environment variable ";
      error.append(name).append(" is not set; set it or write ${").append(name).append(":-default}");
      return std::nullopt;
    }
    text.remove_prefix(end + 1);
  }
}

}  // namespace kvasir::gateway
