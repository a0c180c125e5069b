#include "engine/jinja_operations.hpp"
#include "engine/jinja_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/core.h>

namespace kvasir::engine::jinja {
namespace {

using FilterFunction = Value (*)(const Value& object, const CallArguments& arguments, Budget& budget);

// Filters on text take anything that can be written.
template <std::string (*Change)(std::string_view)>
Value change_text(const Value& object, const CallArguments&, Budget& budget) {
  return Change(object.to_text(budget));
}

Value trim(const Value& object, const CallArguments& arguments, Budget& budget) {
  return strip(object.to_text(budget), arguments.text(0, "chars", kPythonSpace), Side::both);
}

Value length(const Value& object, const CallArguments&, Budget&) {
  if (const auto* text = object.text()) return code_point_count(*text);
  if (const auto* list = object.list()) return static_cast<std::int64_t>(list->size());
  if (const auto* dict = object.dict()) return static_cast<std::int64_t>(dict->entries.size());
  if (object.is_undefined()) return std::int64_t{0};
  fail_evaluation(fmt::format("{} has no length", object.type_name()));
}

// "a.b" looks b up in a.
Value attribute_path(Value object, std::string_view path, Budget& budget) {
  budget.spend_reading(path.size());
  split(path, ".", -1, [&](std::string_view name) {
    budget.spend_step();
    object = attribute(object, name, budget);
  });
  return object;
}

Value join(const Value& object, const CallArguments& arguments, Budget& budget) {
  const std::string_view separator = arguments.text(0, "d", "");
  const std::string_view path = arguments.text(1, "attribute", "");
  std::string joined;
  bool first = true;
  for (const Value& element : elements(object, budget)) {
    const std::string text = (path.empty() ? element : attribute_path(element, path, budget)).to_text(budget);
    budget.spend_bytes(separator.size());
    if (!std::exchange(first, false)) joined += separator;
    joined += text;
  }
  return joined;
}

Value to_json(const Value& object, const CallArguments& arguments, Budget& budget) {
  const std::int64_t indent = arguments.integer(0, "indent", -1);
  return object.to_json(budget, static_cast<int>(std::clamp<std::int64_t>(indent, -1, 16)));
}

Value default_to(const Value& object, const CallArguments& arguments, Budget&) {
  const bool missing = object.is_undefined() || (arguments.truth(1, "boolean", false) && !object.truthy());
  if (!missing) return object;
  const Value* otherwise = arguments.find(0, "default_value");
  return otherwise == nullptr ? Value("") : *otherwise;
}

Value first(const Value& object, const CallArguments&, Budget& budget) {
  const List all = elements(object, budget);
  return all.empty() ? Value::undefined("first element") : all.front();
}

Value last(const Value& object, const CallArguments&, Budget& budget) {
  const List all = elements(object, budget);
  return all.empty() ? Value::undefined("last element") : all.back();
}

// Spends for all that is put in before any of it is.
std::string replace_within(const std::string& text, std::string_view from, std::string_view to, std::int64_t limit,
                           Budget& budget) {
  const std::int64_t matches = from.empty() ? code_point_count(text) + 1 : count_parts(text, from);
  const std::int64_t times = limit < 0 ? matches : std::min(matches, limit);
  budget.spend_bytes(text.size());
  budget.spend_bytes(to.size(), static_cast<std::size_t>(times));
  return replace(text, from, to, limit);
}

Value replace_text(const Value& object, const CallArguments& arguments, Budget& budget) {
  return replace_within(object.to_text(budget), arguments.text(0, "old", ""), arguments.text(1, "new", ""),
                        arguments.integer(2, "count", -1), budget);
}

Value to_string(const Value& object, const CallArguments&, Budget& budget) {
  return object.text() != nullptr ? object : object.to_text(budget);
}
Value same(const Value& object, const CallArguments&, Budget&) {
  return object;
}
Value to_list(const Value& object, const CallArguments&, Budget& budget) {
  return elements(object, budget);
}

std::optional<double> parse_number(std::string_view text) {
  text = strip(text, kPythonSpace, Side::both);
  double number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

Value to_integer(const Value& object, const CallArguments& arguments, Budget&) {
  if (object.is_integer_like()) return object.integer();
  const auto* text = object.text();
  const std::optional<double> number = text != nullptr ? parse_number(*text) : std::optional(object.number());
  const bool fits = number && std::abs(*number) < 9e18;
  return fits ? static_cast<std::int64_t>(*number) : arguments.integer(0, "default", 0);
}

Value to_float(const Value& object, const CallArguments&, Budget&) {
  const auto* text = object.text();
  return text != nullptr ? parse_number(*text).value_or(0.0) : object.number();
}

Value items(const Value& object, const CallArguments&, Budget& budget) {
  if (object.is_undefined()) return List{};
  const Dict* dict = object.dict();
  if (dict == nullptr) fail_evaluation(fmt::format("{} has no items", object.type_name()));
  budget.spend_elements(3 * dict->entries.size());
  List pairs;
  for (const auto& [key, value] : dict->entries) {
    budget.spend_bytes(key.size());
    pairs.emplace_back(List{Value(key), value});
  }
  return pairs;
}

Value sort_dict(const Value& object, const CallArguments& arguments, Budget& budget) {
  const Value unsorted = items(object, arguments, budget);
  List pairs = *unsorted.list();
  std::stable_sort(pairs.begin(), pairs.end(), [&](const Value& a, const Value& b) {
    return compare(Comparison::less, a.list()->front(), b.list()->front(), budget);
  });
  return pairs;
}

Value map(const Value& object, const CallArguments& arguments, Budget& budget) {
  const Value* path = arguments.find(arguments.positional.size(), "attribute");
  const Value* otherwise = arguments.find(arguments.positional.size(), "default");
  if (path == nullptr && arguments.positional.empty()) fail_evaluation("map needs a filter or an attribute");
  if (!object.truthy()) return List{};
  const CallArguments rest = arguments.from(1);
  const std::string name = path == nullptr ? "" : path->to_text(budget);
  List mapped;
  for (const Value& element : elements(object, budget)) {
    budget.spend_step();
    if (path == nullptr) {
      mapped.push_back(apply_filter(arguments.text(0, "filter", ""), element, rest, budget));
      continue;
    }
    const Value found = attribute_path(element, name, budget);
    mapped.push_back(found.is_undefined() && otherwise != nullptr ? *otherwise : found);
  }
  return mapped;
}

// select, reject, selectattr and rejectattr: keep the elements whose test (of an attribute) says `Wanted`.
template <bool Wanted, bool OfAttribute>
Value select(const Value& object, const CallArguments& arguments, Budget& budget) {
  constexpr std::size_t kTest = OfAttribute ? 1 : 0;
  const std::string_view path = OfAttribute ? arguments.text(0, "attribute", "") : "";
  const std::string_view test = arguments.text(kTest, "test", "");
  if (!object.truthy()) return List{};  // none as well: `tools | selectattr(…)`
  const CallArguments rest = arguments.from(kTest + 1);
  List kept;
  for (const Value& element : elements(object, budget)) {
    budget.spend_step();
    const Value tested = OfAttribute ? attribute_path(element, path, budget) : element;
    const bool passed = test.empty() ? tested.truthy() : apply_test(test, tested, rest, budget);
    if (passed == Wanted) kept.push_back(element);
  }
  return kept;
}

Value reverse(const Value& object, const CallArguments&, Budget& budget) {
  List all = elements(object, budget);
  std::reverse(all.begin(), all.end());
  if (object.text() == nullptr) return all;
  budget.spend_bytes(object.text()->size());
  std::string text;
  for (const Value& character : all) text += *character.text();
  return text;
}

Value sort(const Value& object, const CallArguments& arguments, Budget& budget) {
  const bool descending = arguments.truth(0, "reverse", false);
  const std::string_view path = arguments.text(2, "attribute", "");
  List all = elements(object, budget);
  const auto key = [&](const Value& value) { return path.empty() ? value : attribute_path(value, path, budget); };
  std::stable_sort(all.begin(), all.end(), [&](const Value& a, const Value& b) {
    budget.spend_step();
    return compare(Comparison::less, key(descending ? b : a), key(descending ? a : b), budget);
  });
  return all;
}

Value unique(const Value& object, const CallArguments&, Budget& budget) {
  List kept;
  for (const Value& element : elements(object, budget)) {
    const bool known =
        std::any_of(kept.begin(), kept.end(), [&](const Value& other) { return other.equals(element, budget); });
    if (!known) kept.push_back(element);
  }
  return kept;
}

Value sum(const Value& object, const CallArguments& arguments, Budget& budget) {
  const std::string_view path = arguments.text(0, "attribute", "");
  Value total = std::int64_t{0};
  for (const Value& element : elements(object, budget)) {
    budget.spend_step();
    total = apply_binary(BinaryOperator::add, total, path.empty() ? element : attribute_path(element, path, budget),
                         budget);
  }
  return total;
}

Value absolute(const Value& object, const CallArguments&, Budget&) {
  return object.is_integer_like() && object.integer() < 0 ? apply_unary(UnaryOperator::negate, object)
         : object.is_integer_like()                       ? Value(object.integer())
                                                          : Value(std::abs(object.number()));
}

Value round_number(const Value& object, const CallArguments& arguments, Budget&) {
  const double scale = std::pow(10.0, static_cast<double>(arguments.integer(0, "precision", 0)));
  return std::nearbyint(object.number() * scale) / scale;
}

Value indent(const Value& object, const CallArguments& arguments, Budget& budget) {
  const auto width = static_cast<std::size_t>(std::clamp<std::int64_t>(arguments.integer(0, "width", 4), 0, 1000));
  const bool blank_lines = arguments.truth(2, "blank", false);
  std::string indented;
  bool indent_line = arguments.truth(1, "first", false);
  const std::string text = object.to_text(budget);
  split(text, "\n", -1, [&](std::string_view line) {
    budget.spend_bytes(width + line.size() + 1);
    if (indent_line && (blank_lines || !line.empty())) indented.append(width, ' ');
    indented.append(line).append("\n");
    indent_line = true;
  });
  indented.pop_back();
  return indented;
}

Value escape(const Value& object, const CallArguments&, Budget& budget) {
  std::string text = object.to_text(budget);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kEntities{
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"'", "&#39;"}, {"\"", "&#34;"}}};
  for (const auto& [from, to] : kEntities) text = replace_within(text, from, to, -1, budget);
  return text;
}

constexpr std::array<std::pair<std::string_view, FilterFunction>, 35> kFilters{{
    {"abs", absolute},
    {"capitalize", change_text<to_capitalized>},
    {"count", length},
    {"d", default_to},
    {"default", default_to},
    {"dictsort", sort_dict},
    {"e", escape},
    {"escape", escape},
    {"first", first},
    {"float", to_float},
    {"indent", indent},
    {"int", to_integer},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", to_list},
    {"lower", change_text<to_lower>},
    {"map", map},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"replace", replace_text},
    {"reverse", reverse},
    {"round", round_number},
    {"safe", same},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"sort", sort},
    {"string", to_string},
    {"sum", sum},
    {"title", change_text<to_title_words>},
    {"tojson", to_json},
    {"trim", trim},
    {"unique", unique},
    {"upper", change_text<to_upper>},
}};

const FilterFunction* find_filter(std::string_view name) {
  const auto* found = std::find_if(kFilters.begin(), kFilters.end(), [&](const auto& f) { return f.first == name; });
  return found == kFilters.end() ? nullptr : &found->second;
}

}  // namespace

bool is_filter(std::string_view name) {
  return find_filter(name) != nullptr;
}

Value apply_filter(std::string_view name, const Value& object, const CallArguments& arguments, Budget& budget) {
  const FilterFunction* filter = find_filter(name);
  if (filter == nullptr) fail_evaluation(fmt::format("there is no filter '{}'", name));
  arguments.spend_reading(object, budget);
  return (*filter)(object, arguments, budget);
}

}  // namespace kvasir::engine::jinja
