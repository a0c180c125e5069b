// What expressions do to values: operators, subscripts, filters, tests, methods and functions.
// All throw TemplateError (evaluation), without the line, which the evaluator knows.
#pragma once

#include "engine/jinja_ast.hpp"
#include "engine/jinja_budget.hpp"
#include "engine/jinja_value.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::engine::jinja {

struct CallArguments {
  List positional;
  std::vector<std::pair<std::string, Value>> named;

  // By position or by name; nullptr: not given.
  const Value* find(std::size_t position, std::string_view name) const;
  // Points into the arguments.
  std::string_view text(std::size_t position, std::string_view name, std::string_view otherwise) const;
  std::int64_t integer(std::size_t position, std::string_view name, std::int64_t otherwise) const;
  bool truth(std::size_t position, std::string_view name, bool otherwise) const;
  // The arguments from `first` on.
  CallArguments from(std::size_t first) const;
  // For reading `object` and the arguments once, as far as they are text.
  void spend_reading(const Value& object, Budget& budget) const;
};

// Not for `and` and `or`, which may leave their right side alone.
Value apply_binary(BinaryOperator op, const Value& left, const Value& right, Budget& budget);
Value apply_unary(UnaryOperator op, const Value& operand);
bool compare(Comparison comparison, const Value& left, const Value& right, Budget& budget);

Value attribute(const Value& object, std::string_view name, Budget& budget);
Value subscript(const Value& object, const Value& key, Budget& budget);
// `start`, `stop` and `step` may be none.
Value slice(const Value& object, const Value& start, const Value& stop, const Value& step, Budget& budget);
// The elements of a list, the keys of a dictionary, the characters of a string.
List elements(const Value& value, Budget& budget);

bool is_filter(std::string_view name);
Value apply_filter(std::string_view name, const Value& object, const CallArguments& arguments, Budget& budget);
bool is_test(std::string_view name);
bool apply_test(std::string_view name, const Value& object, const CallArguments& arguments, Budget& budget);
bool has_method(const Value& object, std::string_view name);
Value call_method(const Value& object, std::string_view name, const CallArguments& arguments, Budget& budget);
bool is_function(std::string_view name);
Value call_function(std::string_view name, const CallArguments& arguments, Budget& budget);

}  // namespace kvasir::engine::jinja
