// JSON Schema (2020-12) taken apart: what all of a set of schemas say together about one value.
//
// Understood: type, enum, const, properties, required, additionalProperties, items, prefixItems, minItems, maxItems,
// minLength, maxLength, pattern, format, minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, anyOf, oneOf
// (read as anyOf), allOf, $ref inside of the document, true and false. Annotations are skipped. Everything else is
// refused by name: what cannot be kept must not be promised.
//
// A schema without `type` whose other keywords are about one type is taken to mean that type.
#pragma once

#include "engine/byte_automaton.hpp"
#include "engine/json_document.hpp"
#include "engine/json_numbers.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// A schema and where it stands: "#/properties/name".
struct SchemaPlace {
  const Json* schema = nullptr;
  std::string path;
};

// Where a part of what stands at `path` stands. Of a very long path only the end is kept: every schema inside has it.
std::string path_to(const std::string& path, std::string_view part);

enum JsonType : unsigned {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kFraction = 8,  // numbers that are no integers; `number` is both
  kString = 16,
  kArray = 32,
  kObject = 64,
  kAnyType = 127,
};

struct SchemaFacts {
  static constexpr std::uint32_t kUnlimited = UINT32_MAX;

  // The keywords of one schema that belong together.
  struct ObjectPart {
    const Json* properties = nullptr;
    const Json* additional = nullptr;
    std::string path;
  };
  struct ArrayPart {
    const Json* prefix = nullptr;
    const Json* items = nullptr;
    std::string path;
  };
  struct Choice {
    const Json* branches = nullptr;
    std::string path;
    std::vector<const Json*> inside;  // the schemas that this is a part of
  };

  bool impossible = false;
  unsigned types = kAnyType;
  bool typed = false;    // by `type`, `enum` or `const`
  unsigned implied = 0;  // types that other keywords speak of
  std::optional<std::vector<const Json*>> values;
  std::uint32_t min_length = 0;
  std::uint32_t max_length = kUnlimited;
  std::vector<SchemaPlace> patterns;  // places of strings: `pattern` and `format`
  NumberLimits number;
  std::vector<ObjectPart> objects;
  std::vector<std::string> required;
  std::vector<ArrayPart> arrays;
  std::uint32_t min_items = 0;
  std::uint32_t max_items = kUnlimited;
  std::vector<Choice> choices;
  std::vector<const Json*> seen;
};

class SchemaReader {
 public:
  SchemaReader(const Json& root, WorkBudget& budget) : root_(root), budget_(budget) {}

  // The facts of each alternative; a value must fit one of them. Empty: nothing fits.
  // Error: bad_request, a sentence that names the keyword and its place.
  Result<std::vector<SchemaFacts>> alternatives(const std::vector<SchemaPlace>& all_of);
  // A schema that only refers to another is that other one.
  SchemaPlace resolve(SchemaPlace place);

 private:
  using Handler = bool (SchemaReader::*)(SchemaFacts& facts, const Json& value, const std::string& path);
  struct Keyword {
    Handler handler;
    unsigned about;  // types that the keyword speaks of; 0: none in particular
  };
  static const Keyword* keyword(std::string_view name);

  bool gather(SchemaFacts& facts, const SchemaPlace& place);
  bool expand(SchemaFacts facts, std::vector<SchemaFacts>& out, int depth);
  const Json* find(const std::string& reference) const;
  bool fail(const std::string& path, const std::string& what);

  bool annotation(SchemaFacts& facts, const Json& value, const std::string& path);
  bool type(SchemaFacts& facts, const Json& value, const std::string& path);
  bool enumeration(SchemaFacts& facts, const Json& value, const std::string& path);
  bool constant(SchemaFacts& facts, const Json& value, const std::string& path);
  bool reference(SchemaFacts& facts, const Json& value, const std::string& path);
  bool all_of(SchemaFacts& facts, const Json& value, const std::string& path);
  bool any_of(SchemaFacts& facts, const Json& value, const std::string& path);
  bool required(SchemaFacts& facts, const Json& value, const std::string& path);
  bool expression(SchemaFacts& facts, const Json& value, const std::string& path);
  bool min_length(SchemaFacts& facts, const Json& value, const std::string& path);
  bool max_length(SchemaFacts& facts, const Json& value, const std::string& path);
  bool min_items(SchemaFacts& facts, const Json& value, const std::string& path);
  bool max_items(SchemaFacts& facts, const Json& value, const std::string& path);
  bool minimum(SchemaFacts& facts, const Json& value, const std::string& path);
  bool maximum(SchemaFacts& facts, const Json& value, const std::string& path);
  bool open_minimum(SchemaFacts& facts, const Json& value, const std::string& path);
  bool open_maximum(SchemaFacts& facts, const Json& value, const std::string& path);
  bool multiple_of(SchemaFacts& facts, const Json& value, const std::string& path);
  bool part(SchemaFacts& facts, const Json& value, const std::string& path);

  bool keep_values(SchemaFacts& facts, std::vector<const Json*> values);
  bool count(const Json& value, const std::string& path, std::uint32_t& target);
  void raise(NumberBound bound, std::optional<NumberBound>& min) const;
  void lower(NumberBound bound, std::optional<NumberBound>& max) const;
  void add_parts(SchemaFacts& facts, const SchemaPlace& place) const;

  const Json& root_;
  WorkBudget& budget_;
  std::vector<const Json*> inside_;  // the schemas that are being read, the outermost first
  std::string error_;
};

// The type of a value, as a set of one.
unsigned type_of(const Json& value);

}  // namespace kvasir::engine
