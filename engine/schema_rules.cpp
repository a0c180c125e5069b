#include "engine/schema_rules.hpp"

#include "engine/json_formats.hpp"
#include "engine/json_pattern.hpp"
#include "engine/json_string_grammar.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

constexpr std::size_t kMaxNodes = 200'000;
constexpr std::size_t kMaxRules = 20'000;

std::string written(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string quoted(const std::string& text) {
  return written(Json(text));
}

bool forbids(const SchemaPlace& place) {
  return place.schema->is_boolean() && !place.schema->get<bool>();
}

// Without the schemas that say nothing.
std::vector<SchemaPlace> telling(std::vector<SchemaPlace> schemas) {
  std::erase_if(schemas, [](const SchemaPlace& place) {
    return (place.schema->is_boolean() && place.schema->get<bool>()) ||
           (place.schema->is_object() && place.schema->empty());
  });
  return schemas;
}

}  // namespace

Result<GrammarBuilder::Rule> SchemaRules::add(const Json& schema) {
  SchemaReader reader(schema, budget_);
  reader_ = &reader;
  const Rule rule = rule_of({{&schema, "#"}});
  for (std::size_t i = 0; i < unwritten_.size() && error_.empty(); ++i) {
    const Unwritten next = unwritten_[i];
    if (!write(next)) break;
  }
  unwritten_.clear();
  if (!error_.empty()) return Error{ErrorCode::bad_request, error_, "", 0};
  return rule;
}

bool SchemaRules::fail(const std::string& message) {
  if (error_.empty()) error_ = message;
  return false;
}

GrammarBuilder::Rule SchemaRules::rule_of(Places schemas) {
  schemas = telling(std::move(schemas));
  std::vector<const Json*> key;
  for (SchemaPlace& place : schemas) {
    place = reader_->resolve(std::move(place));
    key.push_back(place.schema);
  }
  std::sort(key.begin(), key.end());
  key.erase(std::unique(key.begin(), key.end()), key.end());
  const auto [found, added] = rules_.try_emplace(std::move(key), 0);
  if (added) {
    found->second = builder_.add_rule();
    unwritten_.push_back({found->second, std::move(schemas)});
  }
  return found->second;
}

bool SchemaRules::write(const Unwritten& unwritten) {
  path_ = unwritten.schemas.empty() ? "#" : unwritten.schemas.front().path;
  if (builder_.nodes() > kMaxNodes || builder_.rules() > kMaxRules || !budget_.spend(64))
    return fail(path_ + " makes the schema too complex");
  const auto alternatives = reader_->alternatives(unwritten.schemas);
  if (!alternatives) return fail(alternatives.error().message);
  const Node start = builder_.add_node();
  builder_.begin(unwritten.rule, start);
  for (const SchemaFacts& facts : *alternatives) {
    if (const auto node = value(facts)) builder_.go(start, *node);
    if (!error_.empty()) return false;
    if (builder_.nodes() > kMaxNodes) return fail(path_ + " makes the schema too complex");
  }
  return true;
}

std::optional<GrammarBuilder::Node> SchemaRules::value(const SchemaFacts& facts) {
  if (facts.values) return values(facts);
  const Node start = builder_.add_node();
  bool any = false;
  const auto add = [&](std::optional<Node> node) {
    if (!node) return;
    builder_.go(start, *node);
    any = true;
  };
  if ((facts.types & kObject) != 0) add(object(facts));
  if ((facts.types & kArray) != 0) add(array(facts));
  if ((facts.types & kString) != 0) add(string(facts));
  if ((facts.types & (kInteger | kFraction)) != 0) add(number(facts));
  if ((facts.types & kBoolean) != 0) {
    add(keyword("true"));
    add(keyword("false"));
  }
  if ((facts.types & kNull) != 0) add(keyword("null"));
  return any ? std::optional(start) : std::nullopt;
}

std::optional<GrammarBuilder::Node> SchemaRules::values(const SchemaFacts& facts) {
  std::optional<ByteDfa> strings;
  std::optional<ByteDfa> numbers;
  std::vector<std::string> texts;
  if (!budget_.spend(facts.values->size())) fail(path_ + " makes the schema too complex");
  for (const Json* value : *facts.values) {
    const unsigned type = type_of(*value);
    if ((facts.types & type) == 0) continue;
    std::string text = written(*value);
    if (!budget_.spend(text.size())) fail(path_ + " makes the schema too complex");
    if (type == kString &&
        (!facts.patterns.empty() || facts.min_length > 0 || facts.max_length != SchemaFacts::kUnlimited)) {
      if (!strings) strings = string_automaton(facts);
      if (!strings || !strings->accepts(text)) continue;
    }
    if ((type & (kInteger | kFraction)) != 0 && (facts.number.min || facts.number.max || facts.number.multiple_of)) {
      if (!numbers) numbers = number_automaton(facts);
      if (!numbers || !numbers->accepts(text)) continue;
    }
    if ((type == kObject && (!facts.objects.empty() || !facts.required.empty())) ||
        (type == kArray &&
         (!facts.arrays.empty() || facts.min_items > 0 || facts.max_items != SchemaFacts::kUnlimited)))
      fail(path_ +
           " has objects or arrays in 'enum' or 'const' beside keywords about their parts, which is not supported");
    texts.push_back(std::move(text));
  }
  if (!error_.empty() || texts.empty()) return std::nullopt;
  return builder_.automaton(any_of(texts));
}

std::optional<ByteDfa> SchemaRules::number_automaton(const SchemaFacts& facts) {
  NumberLimits limits = facts.number;
  limits.integer = (facts.types & kFraction) == 0;
  auto dfa = compile_number(limits, budget_);
  if (dfa) return std::move(*dfa);
  fail(fmt::format("{} {}", path_, dfa.error().message));
  return std::nullopt;
}

std::optional<GrammarBuilder::Node> SchemaRules::number(const SchemaFacts& facts) {
  const auto dfa = number_automaton(facts);
  return dfa ? std::optional(builder_.automaton(*dfa)) : std::nullopt;
}

std::optional<ByteDfa> SchemaRules::string_automaton(const SchemaFacts& facts) {
  const auto too_complex = [&](const std::string& path) {
    fail(path + " is too complex");
    return std::nullopt;
  };
  std::optional<ByteDfa> all;
  for (const SchemaPlace& place : facts.patterns) {
    const auto& source = place.schema->get_ref<const std::string&>();
    const bool format = place.path.ends_with("/format");
    const std::string_view expression = format ? pattern_of_format(source) : std::string_view(source);
    if (format && expression.empty()) {
      fail(fmt::format("{} is '{}', which is not supported", place.path, source.substr(0, 64)));
      return std::nullopt;
    }
    const auto pattern = parse_pattern(expression);
    if (!pattern) {
      fail(fmt::format("{} {}", place.path, pattern.error().message));
      return std::nullopt;
    }
    auto dfa = compile_pattern(*pattern, Spelling::json, budget_);
    if (dfa && all) dfa = intersect(*all, *dfa, budget_);
    if (!dfa) return too_complex(place.path);
    all = std::move(dfa);
  }
  const bool limited = facts.min_length > 0 || facts.max_length != SchemaFacts::kUnlimited;
  if (all && !limited) return all;
  constexpr std::uint32_t kMaxLength = 4096;
  const bool bounded = facts.max_length != SchemaFacts::kUnlimited;
  if (facts.min_length > kMaxLength || (bounded && facts.max_length > kMaxLength))
    return too_complex(path_ + ": a pattern together with a length beyond 4,096");
  const auto length = compile_pattern(
      Pattern::any_text(static_cast<int>(facts.min_length), bounded ? static_cast<int>(facts.max_length) : -1),
      Spelling::json, budget_);
  if (!length) return too_complex(path_);
  if (!all) return length;
  all = intersect(*all, *length, budget_);
  return all ? all : too_complex(path_);
}

std::optional<GrammarBuilder::Node> SchemaRules::string(const SchemaFacts& facts) {
  if (facts.min_length > facts.max_length) return std::nullopt;
  if (!facts.patterns.empty()) {
    const auto dfa = string_automaton(facts);
    if (!dfa || dfa->empty()) return std::nullopt;
    return builder_.automaton(*dfa);
  }
  if (facts.min_length > 0 || facts.max_length != SchemaFacts::kUnlimited)
    return add_json_string(builder_, facts.min_length, facts.max_length);
  const Node start = builder_.add_node();
  const Node end = builder_.add_node();
  builder_.call(start, free_string(), end);
  builder_.leave(end);
  return start;
}

GrammarBuilder::Rule SchemaRules::free_string() {
  if (!free_string_) {
    free_string_ = builder_.add_rule();
    builder_.begin(*free_string_, add_json_string(builder_, 0, GrammarNode::kUnlimited));
  }
  return *free_string_;
}

std::optional<GrammarBuilder::Node> SchemaRules::array(const SchemaFacts& facts) {
  GrammarBuilder& b = builder_;
  std::size_t places = 0;
  bool open = false;  // some part speaks of all items
  for (const auto& part : facts.arrays) {
    if (part.prefix != nullptr) places = std::max(places, part.prefix->size());
    open = open || part.items != nullptr;
  }
  if (!budget_.spend(16 * places * facts.arrays.size())) {
    fail(path_ + " makes the schema too complex");
    return std::nullopt;
  }
  const auto schemas_at = [&](std::size_t index) {
    Places schemas;
    for (const auto& part : facts.arrays) {
      if (part.prefix != nullptr && index < part.prefix->size()) {
        schemas.push_back({&(*part.prefix)[index], path_to(part.path, fmt::format("prefixItems/{}", index))});
      } else if (part.items != nullptr) {
        schemas.push_back({part.items, path_to(part.path, "items")});
      }
    }
    return schemas;
  };
  const auto impossible = [](const Places& schemas) { return std::any_of(schemas.begin(), schemas.end(), forbids); };
  std::uint32_t most = facts.max_items;
  for (std::size_t i = 0; i < places; ++i)
    if (impossible(schemas_at(i))) most = std::min(most, static_cast<std::uint32_t>(i));
  const Places others = schemas_at(places);
  const bool closed = impossible(others) || (!open && places > 0 && facts.min_items <= places);
  if (closed) most = std::min(most, static_cast<std::uint32_t>(places));
  if (facts.min_items > most) return std::nullopt;

  const Node start = b.add_node();
  const Node end = b.add_node();
  b.leave(end);
  // Before item i, with what separates it from the one before.
  Node at = b.text(start, "[");
  for (std::uint32_t i = 0; i < std::min(most, static_cast<std::uint32_t>(places)); ++i) {
    if (b.nodes() > kMaxNodes) break;
    if (i >= facts.min_items) b.add_edge(at, ']', ']', end);
    const Node item = b.add_node();
    const Node after = b.add_node();
    if (i == 0) {
      b.go(at, item);
    } else {
      const Node comma = b.add_node();
      b.add_edge(at, ',', ',', comma);
      blank(comma, item);
    }
    b.call(item, rule_of(schemas_at(i)), after);
    at = after;
  }
  const auto written_items = static_cast<std::uint32_t>(places);
  if (most <= written_items) {
    b.add_edge(at, ']', ']', end);
    return start;
  }
  const Rule rule = rule_of(others);
  const bool unlimited = most == SchemaFacts::kUnlimited;
  std::uint32_t least_more = facts.min_items - std::min(facts.min_items, written_items);
  std::uint32_t most_more = unlimited ? GrammarNode::kUnlimited : most - written_items;
  const Node again = b.add_node();
  if (places == 0) {
    // The first item has no comma.
    if (least_more == 0) b.add_edge(at, ']', ']', end);
    const Node first = b.add_node();
    b.go(at, first);
    b.call(first, rule, again);
    least_more -= std::min(least_more, 1U);
    if (!unlimited) --most_more;
  } else {
    b.go(at, again);
  }
  const Node comma = b.add_node();
  const Node behind_comma = b.add_node();
  const Node item = b.add_node();
  const Node done = b.add_node();
  b.repeat(again, least_more, most_more, comma, done, rule);
  b.add_edge(comma, ',', ',', behind_comma);
  blank(behind_comma, item);
  b.call(item, rule, again);
  b.add_edge(done, ']', ']', end);
  return start;
}

std::vector<SchemaRules::Property> SchemaRules::properties(const SchemaFacts& facts, bool& possible) {
  std::vector<std::string> names;
  std::set<std::string_view> known;
  const auto name = [&](const std::string& text) {
    if (known.contains(text)) return;
    names.push_back(text);
    known.insert(text);
  };
  std::size_t most = facts.required.size();
  for (const auto& part : facts.objects)
    if (part.properties != nullptr) most += part.properties->size();
  names.reserve(most);  // `known` points into it
  for (const auto& part : facts.objects) {
    if (part.properties == nullptr) continue;
    for (const auto& item : part.properties->items()) name(item.key());
  }
  for (const std::string& text : facts.required) name(text);
  if (!budget_.spend(16 * names.size() * (1 + facts.objects.size()))) {
    fail(path_ + " makes the schema too complex");
    return {};
  }

  const std::set<std::string_view> required(facts.required.begin(), facts.required.end());
  std::vector<std::map<std::string_view, const Json*>> tables;
  for (const auto& part : facts.objects) {
    auto& table = tables.emplace_back();
    if (part.properties == nullptr) continue;
    for (auto item = part.properties->begin(); item != part.properties->end(); ++item)
      table.emplace(item.key(), &*item);
  }
  std::vector<Property> result;
  possible = true;
  for (const std::string& text : names) {
    Property property{text, {}, required.contains(text)};
    for (std::size_t i = 0; i < facts.objects.size(); ++i) {
      const auto& part = facts.objects[i];
      const auto own = tables[i].find(text);
      if (own != tables[i].end()) {
        property.schemas.push_back({own->second, path_to(part.path, "properties/" + text)});
      } else if (part.additional != nullptr) {
        property.schemas.push_back({part.additional, path_to(part.path, "additionalProperties")});
      }
    }
    const bool never = std::any_of(property.schemas.begin(), property.schemas.end(), forbids);
    if (never && property.required) possible = false;
    if (!never) result.push_back(std::move(property));
  }
  return result;
}

std::optional<SchemaRules::Places> SchemaRules::additional(const SchemaFacts& facts, bool named) const {
  Places schemas;
  for (const auto& part : facts.objects)
    if (part.additional != nullptr) schemas.push_back({part.additional, path_to(part.path, "additionalProperties")});
  if (std::any_of(schemas.begin(), schemas.end(), forbids) || (schemas.empty() && named)) return std::nullopt;
  return schemas;
}

// Names that are none of the properties': those have schemas of their own.
GrammarBuilder::Rule SchemaRules::other_names(const std::vector<Property>& properties) {
  if (properties.empty()) return free_string();
  std::vector<std::string> names;
  for (const Property& property : properties) names.push_back(quoted(property.name));
  const auto all = compile_pattern(Pattern::any_text(0, Pattern::kUnlimited), Spelling::json, budget_);
  const auto others = all ? subtract(*all, any_of(names), budget_) : std::nullopt;
  const Rule rule = builder_.add_rule();
  if (others) {
    builder_.begin(rule, builder_.automaton(*others));
  } else {
    fail(path_ + " makes the schema too complex");
  }
  return rule;
}

std::optional<GrammarBuilder::Node> SchemaRules::object(const SchemaFacts& facts) {
  GrammarBuilder& b = builder_;
  bool possible = true;
  const std::vector<Property> named = properties(facts, possible);
  if (!possible || !error_.empty()) return std::nullopt;
  bool names_any = !facts.required.empty();
  for (const auto& part : facts.objects) names_any = names_any || part.properties != nullptr;
  const auto more = additional(facts, names_any);

  const Node start = b.add_node();
  const Node end = b.add_node();
  b.leave(end);
  const auto value_behind_name = [&](Node name_end, Rule rule, Node after) {
    const Node value = b.add_node();
    blank(b.text(name_end, ":"), value);
    b.call(value, rule, after);
  };
  Node first = b.text(start, "{");  // no property stands before
  Node later = b.add_node();
  for (const Property& property : named) {
    if (b.nodes() > kMaxNodes) {
      fail(path_ + " makes the schema too complex");
      return std::nullopt;
    }
    const Node name = b.add_node();
    const Node after = b.add_node();
    value_behind_name(b.text(name, quoted(property.name)), rule_of(property.schemas), after);
    const Node comma = b.add_node();
    const Node behind_comma = b.add_node();
    b.add_edge(comma, ',', ',', behind_comma);
    blank(behind_comma, name);
    b.go(first, name);
    b.go(later, comma);
    const Node next_first = b.add_node();
    if (!property.required) {
      b.go(first, next_first);
      b.go(later, after);
    }
    first = next_first;
    later = after;
  }
  b.add_edge(first, '}', '}', end);
  b.add_edge(later, '}', '}', end);
  if (!more) return start;
  const Node name = b.add_node();
  const Node name_end = b.add_node();
  b.call(name, other_names(named), name_end);
  value_behind_name(name_end, rule_of(*more), later);
  const Node comma = b.add_node();
  b.add_edge(later, ',', ',', comma);
  blank(comma, name);
  b.go(first, name);
  return start;
}

GrammarBuilder::Node SchemaRules::keyword(std::string_view text) {
  const Node start = builder_.add_node();
  builder_.leave(builder_.text(start, text));
  return start;
}

void SchemaRules::blank(Node from, Node to) {
  builder_.add_edge(from, ' ', ' ', to);
  builder_.go(from, to);
}

}  // namespace kvasir::engine
