#include "engine/jinja_operations.hpp"
#include "engine/jinja_text.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine::jinja {
namespace {

using Method = Value (*)(const Value& object, const CallArguments& arguments, Budget& budget);
using Function = Value (*)(const CallArguments& arguments, Budget& budget);

const std::string& self(const Value& object) {
  return *object.text();
}

template <Side Where>
Value strip_text(const Value& object, const CallArguments& arguments, Budget& budget) {
  budget.spend_bytes(self(object).size());
  return strip(self(object), arguments.text(0, "chars", kPythonSpace), Where);
}

template <std::string (*Change)(std::string_view)>
Value change_text(const Value& object, const CallArguments&, Budget& budget) {
  budget.spend_bytes(self(object).size());
  return Change(self(object));
}

// str.startswith and str.endswith take one string or several.
template <bool (*Holds)(std::string_view text, std::string_view part)>
Value any_part(const Value& object, const CallArguments& arguments, Budget& budget) {
  if (arguments.positional.empty()) fail_evaluation("a method lacks its argument");
  const Value& parts = arguments.positional.front();
  if (parts.text() != nullptr) return Holds(self(object), *parts.text());
  if (parts.list() == nullptr) fail_evaluation(fmt::format("{} is not a string", parts.type_name()));
  return std::any_of(parts.list()->begin(), parts.list()->end(), [&](const Value& part) {
    budget.spend_step();
    return part.text() != nullptr && Holds(self(object), *part.text());
  });
}

bool starts_with(std::string_view text, std::string_view part) {
  return text.starts_with(part);
}
bool ends_with(std::string_view text, std::string_view part) {
  return text.ends_with(part);
}

Value split_text(const Value& object, const CallArguments& arguments, Budget& budget) {
  const Value* separator = arguments.find(0, "sep");
  if (separator != nullptr && separator->text() != nullptr && separator->text()->empty()) {
    fail_evaluation("split needs a separator that is not empty");
  }
  List parts;
  const std::int64_t limit = arguments.integer(1, "maxsplit", -1);
  split(self(object), arguments.text(0, "sep", ""), limit, [&](std::string_view part) {
    budget.spend_bytes(part.size());
    budget.spend_elements(2);
    parts.emplace_back(part);
  });
  return parts;
}

Value replace_text(const Value& object, const CallArguments& arguments, Budget& budget) {
  return apply_filter("replace", object, arguments, budget);
}

Value join_elements(const Value& object, const CallArguments& arguments, Budget& budget) {
  CallArguments separator;
  separator.positional.push_back(object);
  if (arguments.positional.empty()) fail_evaluation("a method lacks its argument");
  return apply_filter("join", arguments.positional.front(), separator, budget);
}

Value find_text(const Value& object, const CallArguments& arguments, Budget&) {
  const std::size_t at = find_part(self(object), arguments.text(0, "sub", ""), 0);
  if (at == std::string::npos) return std::int64_t{-1};
  return code_point_count(std::string_view(self(object)).substr(0, at));
}

Value count_text(const Value& object, const CallArguments& arguments, Budget&) {
  const std::string_view part = arguments.text(0, "sub", "");
  return part.empty() ? code_point_count(self(object)) + 1 : count_parts(self(object), part);
}

Value is_digits(const Value& object, const CallArguments&, Budget&) {
  return !self(object).empty() && self(object).find_first_not_of("0123456789") == std::string::npos;
}

Value remove_prefix(const Value& object, const CallArguments& arguments, Budget& budget) {
  const std::string_view prefix = arguments.text(0, "prefix", "");
  if (!self(object).starts_with(prefix)) return object;
  budget.spend_bytes(self(object).size() - prefix.size());
  return self(object).substr(prefix.size());
}

Value remove_suffix(const Value& object, const CallArguments& arguments, Budget& budget) {
  const std::string_view suffix = arguments.text(0, "suffix", "");
  if (!self(object).ends_with(suffix)) return object;
  budget.spend_bytes(self(object).size() - suffix.size());
  return self(object).substr(0, self(object).size() - suffix.size());
}

constexpr std::array<std::pair<std::string_view, Method>, 18> kTextMethods{{
    {"strip", strip_text<Side::both>},
    {"lstrip", strip_text<Side::left>},
    {"rstrip", strip_text<Side::right>},
    {"upper", change_text<to_upper>},
    {"lower", change_text<to_lower>},
    {"title", change_text<to_title>},
    {"capitalize", change_text<to_capitalized>},
    {"startswith", any_part<starts_with>},
    {"endswith", any_part<ends_with>},
    {"split", split_text},
    {"replace", replace_text},
    {"join", join_elements},
    {"find", find_text},
    {"count", count_text},
    {"isdigit", is_digits},
    {"isnumeric", is_digits},
    {"removeprefix", remove_prefix},
    {"removesuffix", remove_suffix},
}};

Value get_entry(const Value& object, const CallArguments& arguments, Budget& budget) {
  budget.spend_search(object.dict()->entries.size());
  const Value* found = object.dict()->find(arguments.text(0, "key", ""));
  const Value* otherwise = arguments.find(1, "default");
  return found != nullptr ? *found : otherwise != nullptr ? *otherwise : Value(None{});
}

Value keys(const Value& object, const CallArguments&, Budget& budget) {
  return elements(object, budget);
}

Value values(const Value& object, const CallArguments&, Budget& budget) {
  budget.spend_elements(object.dict()->entries.size());
  List found;
  for (const auto& entry : object.dict()->entries) found.push_back(entry.second);
  return found;
}

Value items(const Value& object, const CallArguments& arguments, Budget& budget) {
  return apply_filter("items", object, arguments, budget);
}

constexpr std::array<std::pair<std::string_view, Method>, 4> kDictMethods{
    {{"get", get_entry}, {"keys", keys}, {"values", values}, {"items", items}}};

const Method* find_method(const Value& object, std::string_view name) {
  const auto find_in = [&](const auto& methods) -> const Method* {
    const auto* found = std::find_if(methods.begin(), methods.end(), [&](const auto& m) { return m.first == name; });
    return found == methods.end() ? nullptr : &found->second;
  };
  if (object.text() != nullptr) return find_in(kTextMethods);
  return object.dict() != nullptr && object.namespace_entries() == nullptr ? find_in(kDictMethods) : nullptr;
}

Value range(const CallArguments& arguments, Budget& budget) {
  const bool one = arguments.positional.size() == 1;
  const std::int64_t start = one ? 0 : arguments.integer(0, "start", 0);
  const std::int64_t stop = arguments.integer(one ? 0 : 1, "stop", 0);
  const std::int64_t step = arguments.integer(2, "step", 1);
  if (step == 0) fail_evaluation("the step of a range is zero");
  List numbers;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    budget.spend_elements(1);
    numbers.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return numbers;
}

Dict named_entries(const CallArguments& arguments, Budget& budget) {
  Dict dict;
  if (!arguments.positional.empty() && arguments.positional.front().dict() != nullptr) {
    const Dict& given = *arguments.positional.front().dict();
    budget.spend_elements(2 * given.entries.size());
    for (const auto& entry : given.entries) budget.spend_bytes(entry.first.size());
    dict = given;
  }
  for (const auto& [name, value] : arguments.named) {
    budget.spend_search(dict.entries.size());
    budget.spend_bytes(name.size());
    budget.spend_elements(2);
    dict.set(name, value);
  }
  return dict;
}

Value make_dict(const CallArguments& arguments, Budget& budget) {
  return named_entries(arguments, budget);
}
Value make_namespace(const CallArguments& arguments, Budget& budget) {
  return Value::make_namespace(named_entries(arguments, budget));
}

Value raise_exception(const CallArguments& arguments, Budget& budget) {
  throw TemplateError(TemplateError::Kind::raised, arguments.positional.empty()
                                                       ? "the template refuses the messages"
                                                       : arguments.positional.front().to_text(budget));
}

Value strftime_now(const CallArguments& arguments, Budget&) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 256> text{};
  const std::string format(arguments.text(0, "format", "%Y-%m-%d"));
  return std::string_view(text.data(), std::strftime(text.data(), text.size(), format.c_str(), &local));
}

constexpr std::array<std::pair<std::string_view, Function>, 5> kFunctions{{{"range", range},
                                                                           {"dict", make_dict},
                                                                           {"namespace", make_namespace},
                                                                           {"raise_exception", raise_exception},
                                                                           {"strftime_now", strftime_now}}};

const Function* find_function(std::string_view name) {
  const auto* found =
      std::find_if(kFunctions.begin(), kFunctions.end(), [&](const auto& f) { return f.first == name; });
  return found == kFunctions.end() ? nullptr : &found->second;
}

}  // namespace

bool has_method(const Value& object, std::string_view name) {
  return find_method(object, name) != nullptr;
}

Value call_method(const Value& object, std::string_view name, const CallArguments& arguments, Budget& budget) {
  const Method* method = find_method(object, name);
  if (method == nullptr) fail_evaluation(fmt::format("{} has no method '{}'", object.type_name(), name));
  arguments.spend_reading(object, budget);
  return (*method)(object, arguments, budget);
}

bool is_function(std::string_view name) {
  return find_function(name) != nullptr;
}

Value call_function(std::string_view name, const CallArguments& arguments, Budget& budget) {
  const Function* function = find_function(name);
  if (function == nullptr) fail_evaluation(fmt::format("there is no function '{}'", name));
  arguments.spend_reading(Value(), budget);
  return (*function)(arguments, budget);
}

}  // namespace kvasir::engine::jinja
