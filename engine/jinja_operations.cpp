#include "engine/jinja_operations.hpp"

#include "engine/jinja_text.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/core.h>

namespace kvasir::engine::jinja {
namespace {

std::string_view sign_of(BinaryOperator op) {
  switch (op) {
    case BinaryOperator::add:
      return "+";
    case BinaryOperator::subtract:
      return "-";
    case BinaryOperator::multiply:
      return "*";
    case BinaryOperator::divide:
      return "/";
    case BinaryOperator::floor_divide:
      return "//";
    case BinaryOperator::modulo:
      return "%";
    case BinaryOperator::power:
      return "**";
    default:
      return "~";
  }
}

bool numeric(const Value& value) {
  return value.is_number() || value.get<bool>() != nullptr;
}

// Calls one of the compiler's overflow-checked operations.
template <typename Operation>
Value exact(Operation operation, std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  if (operation(left, right, &result)) fail_evaluation("an integer is out of range");
  return result;
}

Value add(std::int64_t left, std::int64_t right) {
  return exact([](auto a, auto b, auto* sum) { return __builtin_add_overflow(a, b, sum); }, left, right);
}
Value subtract(std::int64_t left, std::int64_t right) {
  return exact([](auto a, auto b, auto* difference) { return __builtin_sub_overflow(a, b, difference); }, left, right);
}
Value multiply(std::int64_t left, std::int64_t right) {
  return exact([](auto a, auto b, auto* product) { return __builtin_mul_overflow(a, b, product); }, left, right);
}

// Python's // and % round towards minus infinity.
Value divide_integers(BinaryOperator op, std::int64_t left, std::int64_t right) {
  if (right == 0) fail_evaluation("division by zero");
  // The machine's division traps on the smallest integer divided by -1.
  if (right == -1) return op == BinaryOperator::modulo ? Value(std::int64_t{0}) : subtract(0, left);
  const std::int64_t remainder = left % right;
  const bool below = remainder != 0 && (remainder < 0) != (right < 0);
  return op == BinaryOperator::modulo ? remainder + (below ? right : 0) : left / right - (below ? 1 : 0);
}

Value apply_to_integers(BinaryOperator op, std::int64_t left, std::int64_t right) {
  switch (op) {
    case BinaryOperator::add:
      return add(left, right);
    case BinaryOperator::subtract:
      return subtract(left, right);
    case BinaryOperator::multiply:
      return multiply(left, right);
    case BinaryOperator::power: {
      const double power = std::pow(static_cast<double>(left), static_cast<double>(right));
      if (right < 0 || std::abs(power) > 1e15) return power;
      return static_cast<std::int64_t>(power);
    }
    default:
      return divide_integers(op, left, right);
  }
}

Value apply_to_numbers(BinaryOperator op, double left, double right) {
  switch (op) {
    case BinaryOperator::add:
      return left + right;
    case BinaryOperator::subtract:
      return left - right;
    case BinaryOperator::multiply:
      return left * right;
    case BinaryOperator::power:
      return std::pow(left, right);
    default:
      if (right == 0) fail_evaluation("division by zero");
      if (op == BinaryOperator::divide) return left / right;
      const double quotient = std::floor(left / right);
      return op == BinaryOperator::floor_divide ? quotient : left - quotient * right;
  }
}

Value repeat(const std::string& text, std::int64_t times, Budget& budget) {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  budget.spend_bytes(text.size(), count);
  std::string repeated;
  for (std::size_t i = 0; i < count && !text.empty(); ++i) repeated += text;
  return repeated;
}

Value concatenate(const std::string& left, const std::string& right, Budget& budget) {
  budget.spend_bytes(left.size() + right.size());
  return left + right;
}

Value concatenate(const List& left, const List& right, Budget& budget) {
  budget.spend_elements(left.size() + right.size());
  List joined = left;
  joined.insert(joined.end(), right.begin(), right.end());
  return joined;
}

[[noreturn]] void fail_undefined(const Value& value) {
  fail_evaluation(fmt::format("'{}' is undefined", value.get<Undefined>()->name));
}

bool less(const Value& left, const Value& right, Budget& budget) {
  if (numeric(left) && numeric(right)) {
    return left.is_integer_like() && right.is_integer_like() ? left.integer() < right.integer()
                                                             : left.number() < right.number();
  }
  if (left.text() != nullptr && right.text() != nullptr) {
    budget.spend_reading(std::min(left.text()->size(), right.text()->size()));
    return *left.text() < *right.text();
  }
  if (left.is_undefined()) fail_undefined(left);
  if (right.is_undefined()) fail_undefined(right);
  fail_evaluation(fmt::format("{} and {} have no order", left.type_name(), right.type_name()));
}

bool contains(const Value& container, const Value& element, Budget& budget) {
  if (const auto* text = container.text()) {
    if (element.text() == nullptr) fail_evaluation(fmt::format("{} is not part of a string", element.type_name()));
    budget.spend_reading(text->size());
    return find_part(*text, *element.text(), 0) != std::string_view::npos;
  }
  if (const auto* list = container.list()) {
    return std::any_of(list->begin(), list->end(), [&](const Value& value) { return value.equals(element, budget); });
  }
  if (const auto* dict = container.dict()) {
    budget.spend_search(dict->entries.size());
    return element.text() != nullptr && dict->find(*element.text()) != nullptr;
  }
  if (container.is_undefined()) return false;
  fail_evaluation(fmt::format("{} contains nothing", container.type_name()));
}

// Calls `take` with the indices that a Python slice takes from a sequence of `size` elements, in order.
template <typename Take>
void for_each_in_slice(std::int64_t size, const Value& start, const Value& stop, std::int64_t step, Take take) {
  const auto bound = [&](const Value& value, std::int64_t otherwise) {
    if (value.is_none()) return otherwise;
    if (!value.is_integer_like()) fail_evaluation(fmt::format("{} is not an index", value.type_name()));
    const std::int64_t index =
        value.integer() < 0 ? std::max<std::int64_t>(value.integer(), -size - 1) + size : value.integer();
    return step > 0 ? std::clamp<std::int64_t>(index, 0, size) : std::clamp<std::int64_t>(index, -1, size - 1);
  };
  const std::int64_t last = bound(stop, step > 0 ? size : -1);
  for (std::int64_t i = bound(start, step > 0 ? 0 : size - 1); step > 0 ? i < last : i > last; i += step) {
    take(static_cast<std::size_t>(i));
  }
}

// Characters that stand next to each other, cut out without a table of all.
Value slice_run(std::string_view text, const Value& start, const Value& stop, Budget& budget) {
  std::size_t begin = 0;
  std::size_t count = 0;
  for_each_in_slice(code_point_count(text), start, stop, 1, [&](std::size_t i) {
    if (count++ == 0) begin = i;
  });
  text.remove_prefix(leading_bytes(text, begin));
  text = text.substr(0, leading_bytes(text, count));
  budget.spend_bytes(text.size());
  return text;
}

Value slice_text(std::string_view text, const Value& start, const Value& stop, std::int64_t stride, Budget& budget) {
  budget.spend_bytes(sizeof(std::string_view), text.size());
  const auto points = code_points(text);
  std::string taken;
  for_each_in_slice(static_cast<std::int64_t>(points.size()), start, stop, stride, [&](std::size_t i) {
    budget.spend_bytes(points[i].size());
    taken += points[i];
  });
  return taken;
}

}  // namespace

const Value* CallArguments::find(std::size_t position, std::string_view name) const {
  if (position < positional.size()) return &positional[position];
  const auto found = std::find_if(named.begin(), named.end(), [&](const auto& entry) { return entry.first == name; });
  return found == named.end() ? nullptr : &found->second;
}

std::string_view CallArguments::text(std::size_t position, std::string_view name, std::string_view otherwise) const {
  const Value* value = find(position, name);
  if (value == nullptr || value->is_none()) return otherwise;
  if (value->text() == nullptr)
    fail_evaluation(fmt::format("argument '{}' is {}, not a string", name, value->type_name()));
  return *value->text();
}

std::int64_t CallArguments::integer(std::size_t position, std::string_view name, std::int64_t otherwise) const {
  const Value* value = find(position, name);
  if (value == nullptr || value->is_none()) return otherwise;
  if (!value->is_integer_like())
    fail_evaluation(fmt::format("argument '{}' is {}, not an integer", name, value->type_name()));
  return value->integer();
}

bool CallArguments::truth(std::size_t position, std::string_view name, bool otherwise) const {
  const Value* value = find(position, name);
  return value == nullptr ? otherwise : value->truthy();
}

CallArguments CallArguments::from(std::size_t first) const {
  CallArguments rest;
  if (first < positional.size())
    rest.positional.assign(positional.begin() + static_cast<std::ptrdiff_t>(first), positional.end());
  rest.named = named;
  return rest;
}

void CallArguments::spend_reading(const Value& object, Budget& budget) const {
  const auto spend = [&](const Value& value) {
    if (value.text() != nullptr) budget.spend_reading(value.text()->size());
  };
  spend(object);
  for (const Value& value : positional) spend(value);
  for (const auto& [name, value] : named) spend(value);
}

Value apply_binary(BinaryOperator op, const Value& left, const Value& right, Budget& budget) {
  if (op == BinaryOperator::concat) return left.to_text(budget) + right.to_text(budget);
  if (numeric(left) && numeric(right)) {
    const bool integers = left.is_integer_like() && right.is_integer_like() && op != BinaryOperator::divide;
    return integers ? apply_to_integers(op, left.integer(), right.integer())
                    : apply_to_numbers(op, left.number(), right.number());
  }
  if (op == BinaryOperator::add && left.text() != nullptr && right.text() != nullptr) {
    return concatenate(*left.text(), *right.text(), budget);
  }
  if (op == BinaryOperator::add && left.list() != nullptr && right.list() != nullptr) {
    return concatenate(*left.list(), *right.list(), budget);
  }
  if (op == BinaryOperator::multiply && left.text() != nullptr && right.is_integer_like()) {
    return repeat(*left.text(), right.integer(), budget);
  }
  if (op == BinaryOperator::multiply && left.is_integer_like() && right.text() != nullptr) {
    return repeat(*right.text(), left.integer(), budget);
  }
  if (left.is_undefined()) fail_undefined(left);
  if (right.is_undefined()) fail_undefined(right);
  fail_evaluation(fmt::format("'{}' cannot combine {} and {}", sign_of(op), left.type_name(), right.type_name()));
}

Value apply_unary(UnaryOperator op, const Value& operand) {
  if (op == UnaryOperator::logical_not) return !operand.truthy();
  if (operand.is_undefined()) fail_undefined(operand);
  if (!numeric(operand)) fail_evaluation(fmt::format("{} has no sign", operand.type_name()));
  if (op == UnaryOperator::plus) return operand;
  if (operand.is_integer_like()) return subtract(0, operand.integer());
  return -operand.number();
}

bool compare(Comparison comparison, const Value& left, const Value& right, Budget& budget) {
  switch (comparison) {
    case Comparison::equal:
      return left.equals(right, budget);
    case Comparison::not_equal:
      return !left.equals(right, budget);
    case Comparison::less:
      return less(left, right, budget);
    case Comparison::less_equal:
      return !less(right, left, budget);
    case Comparison::greater:
      return less(right, left, budget);
    case Comparison::greater_equal:
      return !less(left, right, budget);
    case Comparison::in:
      return contains(right, left, budget);
    case Comparison::not_in:
      return !contains(right, left, budget);
  }
  return false;
}

Value attribute(const Value& object, std::string_view name, Budget& budget) {
  if (object.is_undefined()) fail_undefined(object);
  const Dict* dict = object.dict();
  if (dict != nullptr) budget.spend_search(dict->entries.size());
  const Value* found = dict == nullptr ? nullptr : dict->find(name);
  return found == nullptr ? Value::undefined(name) : *found;
}

Value subscript(const Value& object, const Value& key, Budget& budget) {
  if (const auto* name = key.text()) return attribute(object, *name, budget);
  if (object.is_undefined()) fail_undefined(object);
  if (!key.is_integer_like()) return Value::undefined(key.type_name());
  const auto within = [&](std::size_t size) {
    const std::int64_t index = key.integer() < 0 ? key.integer() + static_cast<std::int64_t>(size) : key.integer();
    return static_cast<std::size_t>(index);  // negative: far beyond the end
  };
  if (const auto* list = object.list()) {
    const std::size_t index = within(list->size());
    if (index < list->size()) return (*list)[index];
  } else if (const auto* text = object.text()) {
    budget.spend_reading(text->size());
    const auto size = static_cast<std::size_t>(code_point_count(*text));
    const std::size_t index = within(size);
    if (index < size) {
      const std::string_view rest = std::string_view(*text).substr(leading_bytes(*text, index));
      return rest.substr(0, leading_bytes(rest, 1));
    }
  }
  return Value::undefined(fmt::format("element {}", key.integer()));
}

Value slice(const Value& object, const Value& start, const Value& stop, const Value& step, Budget& budget) {
  const std::int64_t stride = step.is_none() ? 1 : step.integer();
  constexpr std::int64_t kMaxStride = std::numeric_limits<std::int32_t>::max();
  if (stride == 0 || stride > kMaxStride || stride < -kMaxStride)
    fail_evaluation("the step of a slice is out of range");
  if (const auto* list = object.list()) {
    List taken;
    for_each_in_slice(static_cast<std::int64_t>(list->size()), start, stop, stride, [&](std::size_t i) {
      budget.spend_elements(1);
      taken.push_back((*list)[i]);
    });
    return taken;
  }
  if (const auto* text = object.text()) {
    budget.spend_reading(text->size());
    return stride == 1 ? slice_run(*text, start, stop, budget) : slice_text(*text, start, stop, stride, budget);
  }
  if (object.is_undefined()) fail_undefined(object);
  return Value::undefined("the slice");
}

List elements(const Value& value, Budget& budget) {
  if (value.is_undefined()) return {};
  List found;
  if (const auto* list = value.list()) {
    budget.spend_elements(list->size());
    return *list;
  }
  if (const auto* dict = value.dict()) {
    budget.spend_elements(dict->entries.size());
    for (const auto& entry : dict->entries) {
      budget.spend_bytes(entry.first.size());
      found.emplace_back(entry.first);
    }
  } else if (const auto* text = value.text()) {
    budget.spend_elements(2 * text->size());
    for (const std::string_view point : code_points(*text)) found.emplace_back(point);
  } else {
    fail_evaluation(fmt::format("{} has no elements", value.type_name()));
  }
  return found;
}

}  // namespace kvasir::engine::jinja
