#include "engine/jinja_operations.hpp"
#include "engine/jinja_text.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine::jinja {
namespace {

using TestFunction = bool (*)(const Value& object, const CallArguments& arguments, Budget& budget);

const Value& operand(const CallArguments& arguments) {
  if (arguments.positional.empty()) fail_evaluation("a test lacks its argument");
  return arguments.positional.front();
}

template <Comparison Kind>
bool compares(const Value& object, const CallArguments& arguments, Budget& budget) {
  return compare(Kind, object, operand(arguments), budget);
}

bool divisible(const Value& object, const CallArguments& arguments, Budget&) {
  const std::int64_t divisor = operand(arguments).integer();
  if (divisor == 0) fail_evaluation("division by zero");
  return divisor == -1 || object.integer() % divisor == 0;
}

// An undefined value counts as empty.
bool iterable(const Value& value, const CallArguments&, Budget&) {
  return value.list() != nullptr || value.text() != nullptr || value.dict() != nullptr || value.is_undefined();
}

template <std::string (*Change)(std::string_view)>
bool same_case(const Value& object, const CallArguments&, Budget& budget) {
  const std::string text = object.to_text(budget);
  return Change(text) == text;
}

constexpr std::array<std::pair<std::string_view, TestFunction>, 35> kTests{{
    {"defined", [](const Value& v, const CallArguments&, Budget&) { return !v.is_undefined(); }},
    {"undefined", [](const Value& v, const CallArguments&, Budget&) { return v.is_undefined(); }},
    {"none", [](const Value& v, const CallArguments&, Budget&) { return v.is_none(); }},
    {"string", [](const Value& v, const CallArguments&, Budget&) { return v.text() != nullptr; }},
    {"number", [](const Value& v, const CallArguments&, Budget&) { return v.is_number() || v.get<bool>() != nullptr; }},
    {"integer", [](const Value& v, const CallArguments&, Budget&) { return v.get<std::int64_t>() != nullptr; }},
    {"float", [](const Value& v, const CallArguments&, Budget&) { return v.get<double>() != nullptr; }},
    {"boolean", [](const Value& v, const CallArguments&, Budget&) { return v.get<bool>() != nullptr; }},
    {"true", [](const Value& v, const CallArguments&, Budget&) { return v.get<bool>() != nullptr && v.truthy(); }},
    {"false", [](const Value& v, const CallArguments&, Budget&) { return v.get<bool>() != nullptr && !v.truthy(); }},
    {"mapping",
     [](const Value& v, const CallArguments&, Budget&) { return v.dict() != nullptr && !v.namespace_entries(); }},
    {"sequence", iterable},
    {"iterable", iterable},
    {"callable",
     [](const Value& v, const CallArguments&, Budget&) { return v.get<Builtin>() || v.get<const Macro*>(); }},
    {"even", [](const Value& v, const CallArguments&, Budget&) { return v.integer() % 2 == 0; }},
    {"odd", [](const Value& v, const CallArguments&, Budget&) { return v.integer() % 2 != 0; }},
    {"divisibleby", divisible},
    {"lower", same_case<to_lower>},
    {"upper", same_case<to_upper>},
    {"filter",
     [](const Value& v, const CallArguments&, Budget&) { return v.text() != nullptr && is_filter(*v.text()); }},
    {"test", [](const Value& v, const CallArguments&, Budget&) { return v.text() != nullptr && is_test(*v.text()); }},
    {"in", compares<Comparison::in>},
    {"eq", compares<Comparison::equal>},
    {"==", compares<Comparison::equal>},
    {"equalto", compares<Comparison::equal>},
    {"sameas", compares<Comparison::equal>},
    {"ne", compares<Comparison::not_equal>},
    {"!=", compares<Comparison::not_equal>},
    {"lt", compares<Comparison::less>},
    {"lessthan", compares<Comparison::less>},
    {"le", compares<Comparison::less_equal>},
    {"gt", compares<Comparison::greater>},
    {"greaterthan", compares<Comparison::greater>},
    {"ge", compares<Comparison::greater_equal>},
    {">=", compares<Comparison::greater_equal>},
}};

const TestFunction* find_test(std::string_view name) {
  const auto* found = std::find_if(kTests.begin(), kTests.end(), [&](const auto& test) { return test.first == name; });
  return found == kTests.end() ? nullptr : &found->second;
}

}  // namespace

bool is_test(std::string_view name) {
  return find_test(name) != nullptr;
}

bool apply_test(std::string_view name, const Value& object, const CallArguments& arguments, Budget& budget) {
  const TestFunction* test = find_test(name);
  if (test == nullptr) fail_evaluation(fmt::format("there is no test '{}'", name));
  arguments.spend_reading(object, budget);
  return (*test)(object, arguments, budget);
}

}  // namespace kvasir::engine::jinja
