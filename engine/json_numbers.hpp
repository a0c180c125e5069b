// JSON numbers inside bounds, as automata over their digits.
//
// What is allowed is a little less than JSON has, so that every number is held exactly enough by a double: integers of
// at most 18 digits; fractions of at most 24 digits and exponents of at most two, and no exponents where there are
// bounds.
#pragma once

#include "engine/byte_automaton.hpp"
#include "engine/error.hpp"

#include <cstdint>
#include <optional>

namespace kvasir::engine {

struct NumberBound {
  double value = 0;
  bool open = false;  // the value itself is outside
};

struct NumberLimits {
  bool integer = false;
  std::optional<NumberBound> min;
  std::optional<NumberBound> max;
  std::optional<double> multiple_of;
};

// Error: bad_request when the limits cannot be checked digit by digit (a multiple that is neither an integer up to
// 10,000 nor 0.1, 0.01 …), or when nothing lies between them.
Result<ByteDfa> compile_number(const NumberLimits& asked, WorkBudget& budget);

}  // namespace kvasir::engine
