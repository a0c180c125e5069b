// What expressions do to values: operators, subscripts, filters, tests, methods and functions.
// All throw TemplateError (evaluation), without the line, which the evaluator knows.
#pragma once

#include "engine/jinja_ast.hpp"
#include "engine/jinja_value.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::engine::jinja {

// What rendering may cost. A template is somebody else's program: it must end, and not in an out-of-memory kill.
class Budget {
 public:
  // `steps`: statements and expressions; `bytes`: of all strings and lists made, together.
  Budget(std::int64_t steps, std::int64_t bytes) : steps_(steps), bytes_(bytes) {}

  void spend_step() {
    if (--steps_ < 0) fail_evaluation("the template takes too many steps");
  }
  void spend_bytes(std::size_t bytes) {
    if (bytes > static_cast<std::size_t>(bytes_)) fail_evaluation("the template makes too much text");
    bytes_ -= static_cast<std::int64_t>(bytes);
  }
  void spend_elements(std::size_t elements) {
    spend_bytes(elements < (std::size_t{1} << 40) ? elements * sizeof(Value) : elements);
  }

 private:
  std::int64_t steps_;
  std::int64_t bytes_;
};

struct CallArguments {
  List positional;
  std::vector<std::pair<std::string, Value>> named;

  // By position or by name; nullptr: not given.
  const Value* find(std::size_t position, std::string_view name) const;
  std::string text(std::size_t position, std::string_view name, std::string_view otherwise) const;
  std::int64_t integer(std::size_t position, std::string_view name, std::int64_t otherwise) const;
  bool truth(std::size_t position, std::string_view name, bool otherwise) const;
  // The arguments from `first` on.
  CallArguments from(std::size_t first) const;
};

// Not for `and` and `or`, which may leave their right side alone.
Value apply_binary(BinaryOperator op, const Value& left, const Value& right, Budget& budget);
Value apply_unary(UnaryOperator op, const Value& operand);
bool compare(Comparison comparison, const Value& left, const Value& right);

Value attribute(const Value& object, std::string_view name);
Value subscript(const Value& object, const Value& key);
// `start`, `stop` and `step` may be none.
Value slice(const Value& object, const Value& start, const Value& stop, const Value& step, Budget& budget);
// The elements of a list, the keys of a dictionary, the characters of a string.
List elements(const Value& value, Budget& budget);

bool is_filter(std::string_view name);
Value apply_filter(std::string_view name, const Value& object, const CallArguments& arguments, Budget& budget);
bool is_test(std::string_view name);
bool apply_test(std::string_view name, const Value& object, const CallArguments& arguments);
bool has_method(const Value& object, std::string_view name);
Value call_method(const Value& object, std::string_view name, const CallArguments& arguments, Budget& budget);
bool is_function(std::string_view name);
Value call_function(std::string_view name, const CallArguments& arguments, Budget& budget);

}  // namespace kvasir::engine::jinja
