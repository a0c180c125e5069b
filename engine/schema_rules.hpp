// JSON Schema to grammar rules.
//
// The text is JSON with one blank at most, after ':' and ','. Properties come in the schema's order, required ones
// always, the others or not. Where a schema says nothing about further properties (or items), there are none, unless it
// names none at all. Strings are valid UTF-8; with a pattern or format, and as free property names, each character is
// written in one way only.
#pragma once

#include "engine/grammar.hpp"
#include "engine/schema_facts.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kvasir::engine {

// Adds the rules of one schema, and those it needs, to a grammar. `schema` must live until then.
class SchemaRules {
 public:
  SchemaRules(GrammarBuilder& builder, WorkBudget& budget) : builder_(builder), budget_(budget) {}

  // Error: bad_request, "<place> <what is wrong there>".
  Result<GrammarBuilder::Rule> add(const Json& schema);

 private:
  using Node = GrammarBuilder::Node;
  using Rule = GrammarBuilder::Rule;
  // Schemas that a value must all fit.
  using Places = std::vector<SchemaPlace>;
  struct Property {
    std::string name;
    Places schemas;
    bool required = false;
  };
  struct Unwritten {
    Rule rule;
    Places schemas;
  };

  // The rule for values of these schemas, written later.
  Rule rule_of(Places schemas);
  bool write(const Unwritten& unwritten);
  // Each writes a value whose end leaves the rule, and returns where it begins; nothing: no such value, or an error.
  std::optional<Node> value(const SchemaFacts& facts);
  std::optional<Node> values(const SchemaFacts& facts);
  std::optional<Node> number(const SchemaFacts& facts);
  std::optional<Node> string(const SchemaFacts& facts);
  std::optional<Node> array(const SchemaFacts& facts);
  std::optional<Node> object(const SchemaFacts& facts);

  std::optional<ByteDfa> number_automaton(const SchemaFacts& facts);
  std::optional<ByteDfa> string_automaton(const SchemaFacts& facts);
  Rule free_string();
  std::vector<Property> properties(const SchemaFacts& facts, bool& possible);
  // Schemas of further properties; nothing: there are none.
  std::optional<Places> additional(const SchemaFacts& facts, bool named) const;
  Rule other_names(const std::vector<Property>& properties);

  Node keyword(std::string_view text);
  // Goes on at `to`, by way of a blank or not.
  void blank(Node from, Node to);
  bool fail(const std::string& message);

  GrammarBuilder& builder_;
  WorkBudget& budget_;
  SchemaReader* reader_ = nullptr;
  std::map<std::vector<const Json*>, Rule> rules_;
  std::vector<Unwritten> unwritten_;
  std::optional<Rule> free_string_;
  std::string path_;  // of what is being written, for errors
  std::string error_;
};

}  // namespace kvasir::engine
