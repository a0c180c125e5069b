#include "engine/schema_facts.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

constexpr std::size_t kMaxInside = 100;        // references and allOf inside each other
constexpr std::size_t kMaxAlternatives = 500;  // of one value
constexpr std::size_t kMaxPath = 512;          // bytes

const Json* member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// One segment of a JSON pointer, unescaped (RFC 6901).
std::string unescaped(std::string_view segment) {
  std::string text;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    const bool escape = segment[i] == '~' && i + 1 < segment.size();
    if (escape) ++i;
    text += !escape ? segment[i] : segment[i] == '1' ? '/' : '~';
  }
  return text;
}

// What a copy costs.
std::size_t size_of(const SchemaFacts& facts) {
  constexpr std::size_t kTexts = 16;  // each of these holds some
  return kTexts * (facts.patterns.size() + facts.objects.size() + facts.required.size() + facts.arrays.size() +
                   facts.choices.size()) +
         (facts.values ? facts.values->size() : 0) + facts.seen.size();
}

}  // namespace

std::string path_to(const std::string& path, std::string_view part) {
  return fmt::format("{}/{}", path.size() > kMaxPath ? "…" : path, part);
}

unsigned type_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return kNull;
    case Json::value_t::boolean:
      return kBoolean;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return kInteger;
    case Json::value_t::number_float: {
      const double number = value.get<double>();
      return number == std::floor(number) ? kInteger : kFraction;
    }
    case Json::value_t::string:
      return kString;
    case Json::value_t::array:
      return kArray;
    case Json::value_t::object:
      return kObject;
    default:
      return 0;
  }
}

const SchemaReader::Keyword* SchemaReader::keyword(std::string_view name) {
  using R = SchemaReader;
  constexpr unsigned kNumber = kInteger | kFraction;
  static const std::unordered_map<std::string_view, Keyword> keywords{
      {"type", {&R::type, 0}},
      {"enum", {&R::enumeration, 0}},
      {"const", {&R::constant, 0}},
      {"$ref", {&R::reference, 0}},
      {"allOf", {&R::all_of, 0}},
      {"anyOf", {&R::any_of, 0}},
      {"oneOf", {&R::any_of, 0}},
      {"properties", {&R::part, kObject}},
      {"additionalProperties", {&R::part, kObject}},
      {"required", {&R::required, kObject}},
      {"items", {&R::part, kArray}},
      {"prefixItems", {&R::part, kArray}},
      {"minItems", {&R::min_items, kArray}},
      {"maxItems", {&R::max_items, kArray}},
      {"minLength", {&R::min_length, kString}},
      {"maxLength", {&R::max_length, kString}},
      {"pattern", {&R::expression, kString}},
      {"format", {&R::expression, kString}},
      {"minimum", {&R::minimum, kNumber}},
      {"maximum", {&R::maximum, kNumber}},
      {"exclusiveMinimum", {&R::open_minimum, kNumber}},
      {"exclusiveMaximum", {&R::open_maximum, kNumber}},
      {"multipleOf", {&R::multiple_of, kNumber}},
      {"title", {&R::annotation, 0}},
      {"description", {&R::annotation, 0}},
      {"default", {&R::annotation, 0}},
      {"examples", {&R::annotation, 0}},
      {"example", {&R::annotation, 0}},
      {"deprecated", {&R::annotation, 0}},
      {"readOnly", {&R::annotation, 0}},
      {"writeOnly", {&R::annotation, 0}},
      {"discriminator", {&R::annotation, 0}},
      {"$schema", {&R::annotation, 0}},
      {"$id", {&R::annotation, 0}},
      {"$comment", {&R::annotation, 0}},
      {"$defs", {&R::annotation, 0}},
      {"definitions", {&R::annotation, 0}},
  };
  const auto found = keywords.find(name);
  return found == keywords.end() ? nullptr : &found->second;
}

Result<std::vector<SchemaFacts>> SchemaReader::alternatives(const std::vector<SchemaPlace>& all_of) {
  SchemaFacts facts;
  std::vector<SchemaFacts> found;
  inside_.clear();
  error_.clear();
  for (const SchemaPlace& place : all_of) {
    if (!gather(facts, place)) break;
  }
  if (error_.empty()) expand(std::move(facts), found, 0);
  if (!error_.empty()) return Error{ErrorCode::bad_request, error_, "", 0};
  return found;
}

SchemaPlace SchemaReader::resolve(SchemaPlace place) {
  for (std::size_t steps = 0; steps < kMaxInside; ++steps) {
    const Json& schema = *place.schema;
    if (!schema.is_object()) break;
    const Json* reference = member(schema, "$ref");
    if (reference == nullptr || !reference->is_string()) break;
    bool alone = true;
    for (auto item = schema.begin(); item != schema.end() && alone; ++item) {
      const Keyword* known = keyword(item.key());
      alone = item.key() == "$ref" || (known != nullptr && known->handler == &SchemaReader::annotation);
    }
    const Json* target = find(reference->get<std::string>());
    if (!alone || target == nullptr) break;
    place = {target, reference->get<std::string>()};
  }
  return place;
}

bool SchemaReader::fail(const std::string& path, const std::string& what) {
  if (error_.empty()) error_ = fmt::format("{} {}", path, what);
  return false;
}

bool SchemaReader::gather(SchemaFacts& facts, const SchemaPlace& place) {
  const Json& schema = *place.schema;
  if (schema.is_boolean()) {
    facts.impossible = facts.impossible || !schema.get<bool>();
    return true;
  }
  if (!schema.is_object()) return fail(place.path, "must be a schema: an object, true or false");
  if (std::find(inside_.begin(), inside_.end(), &schema) != inside_.end() || inside_.size() >= kMaxInside)
    return fail(place.path, "refers to itself with nothing in between");
  // Saying the same twice changes nothing.
  if (std::find(facts.seen.begin(), facts.seen.end(), &schema) != facts.seen.end()) return true;
  facts.seen.push_back(&schema);
  if (!budget_.spend(8 + 4 * schema.size() + facts.seen.size() / 64))
    return fail(place.path, "makes the schema too complex");
  inside_.push_back(&schema);
  for (const auto& [name, value] : schema.items()) {
    const std::string path = path_to(place.path, name);
    const Keyword* known = keyword(name);
    if (known == nullptr) {
      if (name.starts_with("x-")) continue;
      return fail(path, "is a keyword that is not supported");
    }
    facts.implied |= known->about;
    if (!(this->*known->handler)(facts, value, path)) return false;
  }
  add_parts(facts, place);
  inside_.pop_back();
  return true;
}

void SchemaReader::add_parts(SchemaFacts& facts, const SchemaPlace& place) const {
  const SchemaFacts::ObjectPart object{member(*place.schema, "properties"),
                                       member(*place.schema, "additionalProperties"), place.path};
  if (object.properties != nullptr || object.additional != nullptr) facts.objects.push_back(object);
  SchemaFacts::ArrayPart array{member(*place.schema, "prefixItems"), member(*place.schema, "items"), place.path};
  // What prefixItems was called before 2020.
  if (array.items != nullptr && array.items->is_array()) array.prefix = std::exchange(array.items, nullptr);
  if (array.prefix != nullptr || array.items != nullptr) facts.arrays.push_back(array);
}

// One choice after the other: every combination of their branches is an alternative.
bool SchemaReader::expand(SchemaFacts facts, std::vector<SchemaFacts>& out, int depth) {
  if (facts.impossible) return true;
  if (facts.choices.empty()) {
    if (!facts.typed && facts.implied != 0) facts.types &= facts.implied;
    if (out.size() >= kMaxAlternatives)
      return fail(facts.seen.empty() ? "#" : "the schema", "has too many alternatives");
    out.push_back(std::move(facts));
    return true;
  }
  const SchemaFacts::Choice choice = std::move(facts.choices.back());
  facts.choices.pop_back();
  if (depth > 32) return fail(choice.path, "has too many alternatives inside each other");
  std::size_t index = 0;
  for (const Json& branch : *choice.branches) {
    if (!budget_.spend(64 + size_of(facts))) return fail(choice.path, "makes the schema too complex");
    SchemaFacts one = facts;
    inside_ = choice.inside;
    if (!gather(one, {&branch, path_to(choice.path, std::to_string(index++))})) return false;
    if (!expand(std::move(one), out, depth + 1)) return false;
  }
  return true;
}

const Json* SchemaReader::find(const std::string& reference) const {
  if (!reference.starts_with('#')) return nullptr;
  std::string_view rest = std::string_view(reference).substr(1);
  const Json* at = &root_;
  while (!rest.empty()) {
    if (rest[0] != '/') return nullptr;
    rest.remove_prefix(1);
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string segment = unescaped(rest.substr(0, end));
    rest.remove_prefix(end);
    if (at->is_object()) {
      at = member(*at, segment.c_str());
      if (at == nullptr) return nullptr;
    } else if (at->is_array() && !segment.empty() && segment.size() < 6 &&
               segment.find_first_not_of("0123456789") == std::string::npos) {
      const std::size_t index = std::stoul(segment);
      if (index >= at->size()) return nullptr;
      at = &(*at)[index];
    } else {
      return nullptr;
    }
  }
  return at;
}

bool SchemaReader::annotation(SchemaFacts&, const Json&, const std::string&) {
  return true;
}

bool SchemaReader::part(SchemaFacts&, const Json& value, const std::string& path) {
  const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
  if (name == "properties" && !value.is_object()) return fail(path, "must be an object");
  if (name == "prefixItems" && !value.is_array()) return fail(path, "must be an array");
  return true;
}

bool SchemaReader::type(SchemaFacts& facts, const Json& value, const std::string& path) {
  static const std::unordered_map<std::string_view, unsigned> types{
      {"null", kNull},     {"boolean", kBoolean}, {"integer", kInteger}, {"number", kInteger | kFraction},
      {"string", kString}, {"array", kArray},     {"object", kObject}};
  unsigned named = 0;
  const auto add = [&](const Json& word) {
    if (!word.is_string()) return false;
    const auto found = types.find(word.get_ref<const std::string&>());
    if (found == types.end()) return false;
    named |= found->second;
    return true;
  };
  const bool read = value.is_array() ? std::all_of(value.begin(), value.end(), add) : add(value);
  if (!read) return fail(path, "must name types: null, boolean, integer, number, string, array or object");
  facts.types &= named;
  facts.typed = true;
  return true;
}

bool SchemaReader::keep_values(SchemaFacts& facts, std::vector<const Json*> values) {
  facts.typed = true;
  if (facts.values) {
    std::erase_if(values, [&](const Json* value) {
      return std::none_of(facts.values->begin(), facts.values->end(),
                          [&](const Json* other) { return *other == *value; });
    });
  }
  facts.values = std::move(values);
  return true;
}

bool SchemaReader::enumeration(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_array()) return fail(path, "must be an array");
  if (facts.values && !budget_.spend(value.size() * facts.values->size())) return fail(path, "is too large");
  std::vector<const Json*> values;
  for (const Json& one : value) values.push_back(&one);
  return keep_values(facts, std::move(values));
}

bool SchemaReader::constant(SchemaFacts& facts, const Json& value, const std::string&) {
  return keep_values(facts, {&value});
}

bool SchemaReader::reference(SchemaFacts& facts, const Json& value, const std::string& path) {
  const Json* target = value.is_string() ? find(value.get<std::string>()) : nullptr;
  if (target == nullptr) return fail(path, "refers to nothing in this schema; only '#' and '#/…' are supported");
  return gather(facts, {target, value.get<std::string>()});
}

bool SchemaReader::all_of(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_array()) return fail(path, "must be an array");
  std::size_t index = 0;
  return std::all_of(value.begin(), value.end(), [&](const Json& schema) {
    return gather(facts, {&schema, path_to(path, std::to_string(index++))});
  });
}

bool SchemaReader::any_of(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_array() || value.empty()) return fail(path, "must be an array of schemas");
  facts.choices.push_back({&value, path, inside_});
  return true;
}

bool SchemaReader::required(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_array()) return fail(path, "must be an array of names");
  for (const Json& name : value) {
    if (!name.is_string()) return fail(path, "must be an array of names");
    facts.required.push_back(name.get<std::string>());
  }
  return true;
}

bool SchemaReader::expression(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_string()) return fail(path, "must be a string");
  facts.patterns.push_back({&value, path});
  return true;
}

bool SchemaReader::count(const Json& value, const std::string& path, std::uint32_t& target) {
  const bool whole = value.is_number() && value.get<double>() == std::floor(value.get<double>());
  if (!whole || value.get<double>() < 0) return fail(path, "must be an integer of at least 0");
  target = static_cast<std::uint32_t>(std::min(value.get<double>(), 4e9));
  return true;
}

bool SchemaReader::min_length(SchemaFacts& facts, const Json& value, const std::string& path) {
  std::uint32_t least = 0;
  if (!count(value, path, least)) return false;
  facts.min_length = std::max(facts.min_length, least);
  return true;
}

bool SchemaReader::max_length(SchemaFacts& facts, const Json& value, const std::string& path) {
  std::uint32_t most = 0;
  if (!count(value, path, most)) return false;
  facts.max_length = std::min(facts.max_length, most);
  return true;
}

bool SchemaReader::min_items(SchemaFacts& facts, const Json& value, const std::string& path) {
  std::uint32_t least = 0;
  if (!count(value, path, least)) return false;
  facts.min_items = std::max(facts.min_items, least);
  return true;
}

bool SchemaReader::max_items(SchemaFacts& facts, const Json& value, const std::string& path) {
  std::uint32_t most = 0;
  if (!count(value, path, most)) return false;
  facts.max_items = std::min(facts.max_items, most);
  return true;
}

void SchemaReader::raise(NumberBound bound, std::optional<NumberBound>& min) const {
  if (!min || bound.value > min->value || (bound.value == min->value && bound.open)) min = bound;
}

void SchemaReader::lower(NumberBound bound, std::optional<NumberBound>& max) const {
  if (!max || bound.value < max->value || (bound.value == max->value && bound.open)) max = bound;
}

bool SchemaReader::minimum(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_number()) return fail(path, "must be a number");
  raise({value.get<double>(), false}, facts.number.min);
  return true;
}

bool SchemaReader::maximum(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_number()) return fail(path, "must be a number");
  lower({value.get<double>(), false}, facts.number.max);
  return true;
}

bool SchemaReader::open_minimum(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_number()) return fail(path, "must be a number");
  raise({value.get<double>(), true}, facts.number.min);
  return true;
}

bool SchemaReader::open_maximum(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_number()) return fail(path, "must be a number");
  lower({value.get<double>(), true}, facts.number.max);
  return true;
}

bool SchemaReader::multiple_of(SchemaFacts& facts, const Json& value, const std::string& path) {
  if (!value.is_number() || value.get<double>() <= 0) return fail(path, "must be a number above 0");
  const double multiple = value.get<double>();
  if (facts.number.multiple_of && *facts.number.multiple_of != multiple)
    return fail(path, "is given twice with different values, which is not supported");
  facts.number.multiple_of = multiple;
  return true;
}

}  // namespace kvasir::engine
