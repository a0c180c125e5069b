// The syntax tree of a template.
#pragma once

#include "engine/jinja_value.hpp"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace kvasir::engine::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListLiteral {
  std::vector<ExpressionPtr> elements;
};
struct DictLiteral {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct Attribute {
  ExpressionPtr object;
  std::string name;
};
struct Index {
  ExpressionPtr object;
  ExpressionPtr key;
};
struct Slice {
  ExpressionPtr object;
  ExpressionPtr start, stop, step;  // each may be null
};
struct Call {
  ExpressionPtr callee;
  Arguments arguments;
};
struct Filter {
  ExpressionPtr object;
  std::string name;
  Arguments arguments;
};
struct Test {
  ExpressionPtr object;
  std::string name;
  Arguments arguments;
  bool negated = false;
};
enum class UnaryOperator { negate, plus, logical_not };
struct Unary {
  UnaryOperator op;
  ExpressionPtr operand;
};
enum class BinaryOperator {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  concat,
  logical_and,
  logical_or
};
struct Binary {
  BinaryOperator op;
  ExpressionPtr left, right;
};
enum class Comparison { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };
// a < b < c holds if both do, as in Python.
struct Compare {
  ExpressionPtr first;
  std::vector<std::pair<Comparison, ExpressionPtr>> rest;
};
struct Conditional {
  ExpressionPtr condition, then;
  ExpressionPtr otherwise;  // may be null
};

struct Expression {
  int line = 0;
  std::variant<Literal, Name, ListLiteral, DictLiteral, Attribute, Index, Slice, Call, Filter, Test, Unary, Binary,
               Compare, Conditional>
      node;
};

struct Statement;
using Block = std::vector<Statement>;

struct Text {
  std::string text;
};
struct Output {
  ExpressionPtr value;
};
struct Branch {
  ExpressionPtr condition;  // null: else
  Block body;
};
struct If {
  std::vector<Branch> branches;
};
struct For {
  std::vector<std::string> targets;
  ExpressionPtr iterable;
  ExpressionPtr condition;  // may be null
  Block body, otherwise;
};
struct Set {
  std::vector<std::string> targets;  // several: the value is taken apart
  std::string attribute;             // not empty: of the namespace that the target names
  ExpressionPtr value;               // null: the text of `body`
  Block body;
};
struct Parameter {
  std::string name;
  ExpressionPtr otherwise;  // may be null
};
struct Macro {
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
};
struct MacroDefinition {
  std::unique_ptr<Macro> macro;
};
// {% generation %}: marks what a model is trained on; only its content counts here.
struct Group {
  Block body;
};
struct LoopControl {
  bool leave = false;  // break; else continue
};

struct Statement {
  int line = 0;
  std::variant<Text, Output, If, For, Set, MacroDefinition, Group, LoopControl> node;
};

struct Template {
  Block body;
  std::set<std::string, std::less<>> names;  // variables that it reads or sets
};

}  // namespace kvasir::engine::jinja
