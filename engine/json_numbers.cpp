#include "engine/json_numbers.hpp"

#include "engine/json_pattern.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

constexpr std::int64_t kLargest = 999'999'999'999'999'999;  // 18 digits
constexpr double kLargestBound = 1e15;                      // beyond, doubles have no exact digits
constexpr int kMaxMultiple = 10'000;
constexpr std::string_view kAnyFraction = "[0-9]{1,24}";

Error refuse(std::string message) {
  return {ErrorCode::bad_request, std::move(message), "", 0};
}

void alternative(std::string& expression, const std::string& other) {
  if (other.empty()) return;
  if (!expression.empty()) expression += '|';
  expression += other;
}

std::string digits(std::size_t count) {
  return count == 0 ? std::string() : fmt::format("[0-9]{{{}}}", count);
}

// Digit strings of one length from `low` to `high`.
std::string same_length(std::string_view low, std::string_view high) {
  if (low.empty()) return "";
  if (low.find_first_not_of('0') == std::string_view::npos && high.find_first_not_of('9') == std::string_view::npos)
    return digits(low.size());
  const std::string rest_low(low.substr(1));
  const std::string rest_high(high.substr(1));
  if (low[0] == high[0]) return low[0] + same_length(rest_low, rest_high);
  const std::string nines(rest_low.size(), '9');
  const std::string zeros(rest_low.size(), '0');
  std::string expression = low[0] + same_length(rest_low, nines);
  if (low[0] + 1 < high[0])
    alternative(expression, fmt::format("[{}-{}]{}", static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1),
                                        digits(rest_low.size())));
  alternative(expression, high[0] + same_length(zeros, rest_high));
  return "(?:" + expression + ")";
}

// Integers low..high without a sign and without leading zeros; 0 <= low.
std::string natural_range(std::int64_t low, std::int64_t high) {
  std::string expression;
  while (low <= high) {
    const std::string from = std::to_string(low);
    const std::string nines(from.size(), '9');
    const std::int64_t last = std::min<std::int64_t>(high, std::stoll(nines));
    alternative(expression, same_length(from, std::to_string(last)));
    low = last + 1;
  }
  return expression.empty() ? "" : "(?:" + expression + ")";
}

std::string integer_range(std::int64_t low, std::int64_t high) {
  std::string expression;
  if (low < 0) {
    const std::string magnitude = natural_range(std::max<std::int64_t>(1, -high), -low);
    if (!magnitude.empty()) alternative(expression, "-" + magnitude);
  }
  if (high >= 0) alternative(expression, natural_range(std::max<std::int64_t>(0, low), high));
  return expression;
}

// A bound of at least 0, taken apart: 12.5 is 12 and "5".
struct Decimal {
  std::int64_t whole = 0;
  std::string fraction;  // without zeros at its end
  bool open = false;
};

Decimal decimal_of(double magnitude, bool open) {
  char text[400];
  const auto end = std::to_chars(text, text + sizeof text, magnitude, std::chars_format::fixed).ptr;
  const std::string_view number(text, static_cast<std::size_t>(end - text));
  const std::size_t point = std::min(number.find('.'), number.size());
  Decimal decimal;
  decimal.whole = std::stoll(std::string(number.substr(0, point)));
  if (point < number.size()) decimal.fraction = number.substr(point + 1);
  decimal.fraction.erase(decimal.fraction.find_last_not_of('0') + 1);
  decimal.open = open;
  return decimal;
}

// Digits behind the point, at least one of them, whose value lies between two digit strings.
struct FractionRange {
  std::string_view low;
  bool low_open = false;
  std::optional<std::string_view> high;  // nothing: no bound but 1
  bool high_open = false;

  bool empty_fits() const { return low.empty() && !low_open && (!high || !high->empty() || !high_open); }

  // What remains behind a first digit; nothing if that digit leads outside.
  std::optional<FractionRange> behind(char digit) const {
    FractionRange rest = *this;
    const char first_low = low.empty() ? '0' : low[0];
    if (digit < first_low) return std::nullopt;
    rest.low = digit == first_low && !low.empty() ? low.substr(1) : std::string_view();
    rest.low_open = digit == first_low && low_open;
    if (!high) return rest;
    const char first_high = high->empty() ? '0' : (*high)[0];
    if (digit > first_high) return std::nullopt;
    if (digit < first_high) {
      rest.high.reset();
    } else {
      rest.high = high->empty() ? std::string_view() : high->substr(1);
    }
    return rest;
  }

  std::string expression() const {
    if (low.empty() && !high) return std::string(low_open ? "0{0,20}[1-9][0-9]{0,20}" : kAnyFraction);
    if (high && high->empty()) {
      const bool zero_fits = low.empty() && !low_open && !high_open;
      return zero_fits ? "0{1,20}" : "";
    }
    std::string result;
    for (char digit = '0'; digit <= '9'; ++digit) {
      const auto rest = behind(digit);
      if (!rest) continue;
      const std::string more = rest->expression();
      if (rest->empty_fits()) {
        alternative(result, more.empty() ? std::string(1, digit) : fmt::format("{}(?:{})?", digit, more));
      } else if (!more.empty()) {
        alternative(result, fmt::format("{}(?:{})", digit, more));
      }
    }
    return result;
  }

  // With the point; the point and what follows may be missing.
  std::string with_point(const std::string& whole) const {
    const std::string inside = expression();
    if (inside.empty()) return empty_fits() ? whole : "";
    return fmt::format("{}(?:\\.(?:{})){}", whole, inside, empty_fits() ? "?" : "");
  }
};

// Decimals between two bounds of at least 0.
std::string decimal_range(const Decimal& low, const Decimal& high) {
  std::string expression;
  if (low.whole > high.whole) return expression;
  if (low.whole == high.whole) {
    const FractionRange range{low.fraction, low.open, high.fraction, high.open};
    return range.with_point(std::to_string(low.whole));
  }
  alternative(expression, FractionRange{low.fraction, low.open, {}, false}.with_point(std::to_string(low.whole)));
  const std::string between = natural_range(low.whole + 1, high.whole - 1);
  if (!between.empty()) alternative(expression, fmt::format("{}(?:\\.{})?", between, kAnyFraction));
  alternative(expression, FractionRange{"", false, high.fraction, high.open}.with_point(std::to_string(high.whole)));
  return expression;
}

std::string number_expression(const NumberLimits& limits) {
  if (!limits.min && !limits.max) return "-?(?:0|[1-9][0-9]{0,17})(?:\\.[0-9]{1,24})?(?:[eE][+-]?[0-9]{1,2})?";
  const NumberBound low = limits.min.value_or(NumberBound{-kLargestBound, true});
  const NumberBound high = limits.max.value_or(NumberBound{kLargestBound, true});
  std::string expression;
  if (low.value < 0) {
    const Decimal nearest = high.value < 0 ? decimal_of(-high.value, high.open) : Decimal{0, "", true};
    const std::string magnitude = decimal_range(nearest, decimal_of(-low.value, low.open));
    if (!magnitude.empty()) alternative(expression, "-(?:" + magnitude + ")");
  }
  if (high.value >= 0) {
    const Decimal nearest = low.value >= 0 ? decimal_of(low.value, low.open) : Decimal{};
    alternative(expression, decimal_range(nearest, decimal_of(high.value, high.open)));
  }
  return expression;
}

std::string integer_expression(const NumberLimits& limits) {
  if (!limits.min && !limits.max) return "-?(?:0|[1-9][0-9]{0,17})";
  std::int64_t low = -kLargest;
  std::int64_t high = kLargest;
  if (limits.min) {
    low = static_cast<std::int64_t>(std::ceil(limits.min->value));
    if (limits.min->open && static_cast<double>(low) == limits.min->value) ++low;
  }
  if (limits.max) {
    high = static_cast<std::int64_t>(std::floor(limits.max->value));
    if (limits.max->open && static_cast<double>(high) == limits.max->value) --high;
  }
  return integer_range(low, high);
}

// Integers in the remainder classes of `divisor`: a state for the sign's place, one for each remainder.
ByteDfa integer_multiples(int divisor) {
  const auto states = static_cast<std::size_t>(divisor);
  ByteDfa dfa;
  // 0: start, 1: behind the sign, 2 + r: digits with the remainder r.
  dfa.states.resize(states + 2);
  const auto to = [&](int remainder) { return static_cast<std::uint32_t>(remainder % divisor + 2); };
  const auto digit = [](int value) { return static_cast<std::uint8_t>('0' + value); };
  dfa.states[0].edges.push_back({'-', '-', 1});
  for (int value = 0; value < 10; ++value) {
    dfa.states[0].edges.push_back({digit(value), digit(value), to(value)});
    dfa.states[1].edges.push_back({digit(value), digit(value), to(value)});
    for (int remainder = 0; remainder < divisor; ++remainder)
      dfa.states[static_cast<std::size_t>(remainder) + 2].edges.push_back(
          {digit(value), digit(value), to(remainder * 10 + value)});
  }
  dfa.states[2].accepting = true;
  return dfa;
}

std::optional<ByteDfa> compile(const std::string& expression, WorkBudget& budget) {
  const auto pattern = parse_pattern("^(?:" + expression + ")$");
  if (!pattern) return std::nullopt;
  return compile_pattern(*pattern, Spelling::plain, budget);
}

// The numbers of decimals that a multiple of 0.1, 0.01 … has; 0: it is none of them.
int decimals_of(double multiple) {
  for (int decimals = 1; decimals <= 9; ++decimals)
    if (std::abs(multiple * std::pow(10.0, decimals) - 1) < 1e-12) return decimals;
  return 0;
}

std::optional<NumberBound> within_digits(std::optional<NumberBound> bound, double outermost) {
  if (!bound) return bound;
  // A bound further out than all numbers that are written at all.
  if (outermost < 0 ? bound->value < outermost : bound->value > outermost) return NumberBound{outermost, true};
  return bound;
}

}  // namespace

Result<ByteDfa> compile_number(const NumberLimits& asked, WorkBudget& budget) {
  NumberLimits limits = asked;
  limits.min = within_digits(limits.min, -kLargestBound);
  limits.max = within_digits(limits.max, kLargestBound);
  if ((limits.min && limits.min->value >= kLargestBound) || (limits.max && limits.max->value <= -kLargestBound))
    return refuse("bounds numbers beyond 15 digits, which is not supported");

  int divisor = 0;
  int decimals = 0;
  if (limits.multiple_of) {
    const double multiple = *limits.multiple_of;
    const bool whole = multiple >= 1 && multiple <= kMaxMultiple && multiple == std::floor(multiple);
    if (whole) divisor = static_cast<int>(multiple);
    if (!whole) decimals = decimals_of(multiple);
    if (divisor == 0 && decimals == 0)
      return refuse("has a 'multipleOf' that is neither an integer from 1 to 10,000 nor 0.1, 0.01 and so on");
    if (divisor > 0) limits.integer = true;
  }
  const std::string expression = limits.integer ? integer_expression(limits) : number_expression(limits);
  if (expression.empty()) return refuse("has bounds that leave no number");
  auto dfa = compile(expression, budget);
  if (dfa && divisor > 1)
    dfa = budget.spend(static_cast<std::size_t>(divisor) * 10) ? intersect(*dfa, integer_multiples(divisor), budget)
                                                               : std::nullopt;
  if (dfa && decimals > 0 && !limits.integer) {
    const auto few = compile(fmt::format("-?[0-9]+(?:\\.[0-9]{{1,{}}})?", decimals), budget);
    dfa = few ? intersect(*dfa, *few, budget) : std::nullopt;
  }
  if (!dfa) return refuse("is too complex");
  if (dfa->empty()) return refuse("has bounds that leave no number");
  return std::move(*dfa);
}

}  // namespace kvasir::engine
