#include "engine/jinja_expression_parser.hpp"

#include "engine/jinja_operations.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace kvasir::engine::jinja {
namespace {

constexpr int kMaxChain = 200;  // a + b + c + … leans to the left: its length is depth

struct BinarySign {
  std::string_view sign;
  BinaryOperator op;
  int level;
};

// Jinja's order: ~ binds tighter than + and looser than *.
constexpr std::array<BinarySign, 8> kBinarySigns{{
    {"+", BinaryOperator::add, 0},
    {"-", BinaryOperator::subtract, 0},
    {"~", BinaryOperator::concat, 1},
    {"*", BinaryOperator::multiply, 2},
    {"/", BinaryOperator::divide, 2},
    {"//", BinaryOperator::floor_divide, 2},
    {"%", BinaryOperator::modulo, 2},
    {"**", BinaryOperator::power, 3},
}};
constexpr int kTightest = 3;

constexpr std::array<std::pair<std::string_view, Comparison>, 6> kComparisons{{
    {"==", Comparison::equal},
    {"!=", Comparison::not_equal},
    {"<", Comparison::less},
    {"<=", Comparison::less_equal},
    {">", Comparison::greater},
    {">=", Comparison::greater_equal},
}};

std::optional<Comparison> take_comparison(TokenStream& tokens) {
  for (const auto& [sign, comparison] : kComparisons) {
    if (tokens.take_op(sign)) return comparison;
  }
  if (tokens.take_name("in")) return Comparison::in;
  if (tokens.is_name("not") && tokens.is(TokenKind::name, "in", 1)) {
    tokens.next();
    tokens.next();
    return Comparison::not_in;
  }
  return std::nullopt;
}

template <typename Number>
Number parse_number(const TokenStream& tokens, const std::string& text) {
  Number number{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
    tokens.fail("a number is out of range before");
  return number;
}

}  // namespace

template <typename Node>
ExpressionPtr ExpressionParser::make(int line, Node node) const {
  auto expression = std::make_unique<Expression>();
  expression->line = line;
  expression->node.template emplace<Node>(std::move(node));
  return expression;
}

void ExpressionParser::count_chain(int& length) const {
  if (++length > kMaxChain) tokens_.fail("an expression is too long at");
}

template <typename ParseElement>
ExpressionPtr ExpressionParser::parse_tuple(ParseElement parse_element) {
  const int line = tokens_.line();
  ExpressionPtr first = parse_element();
  if (!tokens_.is_op(",")) return first;
  ListLiteral list;
  list.elements.push_back(std::move(first));
  const auto ends = [&] { return tokens_.peek().kind == TokenKind::block_end || tokens_.is_op(")"); };
  while (tokens_.take_op(",") && !ends()) list.elements.push_back(parse_element());
  return make(line, std::move(list));
}

ExpressionPtr ExpressionParser::parse() {
  return parse_tuple([&] { return parse_conditional(); });
}

ExpressionPtr ExpressionParser::parse_iterable() {
  return parse_tuple([&] { return parse_or(); });
}

ExpressionPtr ExpressionParser::parse_conditional() {
  const Nesting nesting(depth_, tokens_);
  const int line = tokens_.line();
  ExpressionPtr value = parse_or();
  int length = 0;
  while (tokens_.take_name("if")) {
    count_chain(length);
    ExpressionPtr condition = parse_or();
    ExpressionPtr otherwise = tokens_.take_name("else") ? parse_conditional() : nullptr;
    value = make(line, Conditional{std::move(condition), std::move(value), std::move(otherwise)});
  }
  return value;
}

ExpressionPtr ExpressionParser::parse_or() {
  ExpressionPtr left = parse_and();
  for (int length = 0; tokens_.is_name("or"); count_chain(length)) {
    const int line = tokens_.next().line;
    ExpressionPtr right = parse_and();
    left = make(line, Binary{BinaryOperator::logical_or, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_and() {
  ExpressionPtr left = parse_not();
  for (int length = 0; tokens_.is_name("and"); count_chain(length)) {
    const int line = tokens_.next().line;
    ExpressionPtr right = parse_not();
    left = make(line, Binary{BinaryOperator::logical_and, std::move(left), std::move(right)});
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_not() {
  if (!tokens_.is_name("not")) return parse_compare();
  const Nesting nesting(depth_, tokens_);
  const int line = tokens_.next().line;
  ExpressionPtr operand = parse_not();
  return make(line, Unary{UnaryOperator::logical_not, std::move(operand)});
}

ExpressionPtr ExpressionParser::parse_compare() {
  const int line = tokens_.line();
  ExpressionPtr first = parse_binary(0);
  Compare compare;
  while (const auto comparison = take_comparison(tokens_)) compare.rest.emplace_back(*comparison, parse_binary(0));
  if (compare.rest.empty()) return first;
  compare.first = std::move(first);
  return make(line, std::move(compare));
}

ExpressionPtr ExpressionParser::parse_binary(int level) {
  if (level > kTightest) return parse_unary(true);
  ExpressionPtr left = parse_binary(level + 1);
  for (int length = 0;; count_chain(length)) {
    const auto* sign = std::find_if(kBinarySigns.begin(), kBinarySigns.end(), [&](const BinarySign& candidate) {
      return candidate.level == level && tokens_.is_op(candidate.sign);
    });
    if (sign == kBinarySigns.end()) return left;
    const int line = tokens_.next().line;
    ExpressionPtr right = parse_binary(level + 1);
    left = make(line, Binary{sign->op, std::move(left), std::move(right)});
  }
}

ExpressionPtr ExpressionParser::parse_unary(bool with_filters) {
  const Nesting nesting(depth_, tokens_);
  const int line = tokens_.line();
  ExpressionPtr value;
  if (tokens_.is_op("-") || tokens_.is_op("+")) {
    const UnaryOperator op = tokens_.next().text == "-" ? UnaryOperator::negate : UnaryOperator::plus;
    ExpressionPtr operand = parse_unary(false);
    value = make(line, Unary{op, std::move(operand)});
  } else {
    value = parse_primary();
  }
  value = parse_postfix(std::move(value));
  return with_filters ? parse_filters(std::move(value)) : std::move(value);
}

ExpressionPtr ExpressionParser::parse_primary() {
  const int line = tokens_.line();
  switch (tokens_.peek().kind) {
    case TokenKind::name:
      return parse_name();
    case TokenKind::integer:
      return make(line, Literal{parse_number<std::int64_t>(tokens_, tokens_.next().text)});
    case TokenKind::floating:
      return make(line, Literal{parse_number<double>(tokens_, tokens_.next().text)});
    case TokenKind::string: {
      std::string text;
      while (tokens_.peek().kind == TokenKind::string) text += tokens_.next().text;
      return make(line, Literal{std::move(text)});
    }
    default:
      if (tokens_.take_op("(")) return parse_parenthesized();
      if (tokens_.take_op("[")) return parse_list();
      if (tokens_.take_op("{")) return parse_dict();
      tokens_.fail("expected an expression before");
  }
}

ExpressionPtr ExpressionParser::parse_name() {
  const int line = tokens_.line();
  std::string name = tokens_.expect_name();
  if (name == "true" || name == "True") return make(line, Literal{true});
  if (name == "false" || name == "False") return make(line, Literal{false});
  if (name == "none" || name == "None") return make(line, Literal{None{}});
  names_.insert(name);
  return make(line, Name{std::move(name)});
}

ExpressionPtr ExpressionParser::parse_parenthesized() {
  const int line = tokens_.line();
  if (tokens_.take_op(")")) return make(line, ListLiteral{});
  ExpressionPtr value = parse();
  tokens_.expect_op(")");
  return value;
}

ExpressionPtr ExpressionParser::parse_list() {
  const int line = tokens_.line();
  ListLiteral list;
  while (!tokens_.is_op("]")) {
    list.elements.push_back(parse_conditional());
    if (!tokens_.take_op(",")) break;
  }
  tokens_.expect_op("]");
  return make(line, std::move(list));
}

ExpressionPtr ExpressionParser::parse_dict() {
  const int line = tokens_.line();
  DictLiteral dict;
  while (!tokens_.is_op("}")) {
    ExpressionPtr key = parse_conditional();
    tokens_.expect_op(":");
    dict.entries.emplace_back(std::move(key), parse_conditional());
    if (!tokens_.take_op(",")) break;
  }
  tokens_.expect_op("}");
  return make(line, std::move(dict));
}

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr object) {
  for (int length = 0;; count_chain(length)) {
    const int line = tokens_.line();
    if (tokens_.is_op(".") && tokens_.peek(1).kind == TokenKind::integer) {
      tokens_.next();
      ExpressionPtr key = parse_primary();
      object = make(line, Index{std::move(object), std::move(key)});
    } else if (tokens_.take_op(".")) {
      std::string name = tokens_.expect_name();
      object = make(line, Attribute{std::move(object), std::move(name)});
    } else if (tokens_.take_op("[")) {
      object = parse_subscript(std::move(object));
    } else if (tokens_.take_op("(")) {
      Arguments arguments = parse_arguments();
      object = make(line, Call{std::move(object), std::move(arguments)});
    } else {
      return object;
    }
  }
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr object) {
  const int line = tokens_.line();
  const auto part = [&]() -> ExpressionPtr {
    return tokens_.is_op(":") || tokens_.is_op("]") ? nullptr : parse_conditional();
  };
  ExpressionPtr start = part();
  if (!tokens_.is_op(":")) {
    if (start == nullptr) tokens_.fail("expected an index before");
    tokens_.expect_op("]");
    return make(line, Index{std::move(object), std::move(start)});
  }
  tokens_.next();
  ExpressionPtr stop = part();
  ExpressionPtr step = tokens_.take_op(":") ? part() : nullptr;
  tokens_.expect_op("]");
  return make(line, Slice{std::move(object), std::move(start), std::move(stop), std::move(step)});
}

ExpressionPtr ExpressionParser::parse_filters(ExpressionPtr object) {
  for (int length = 0;; count_chain(length)) {
    const int line = tokens_.line();
    if (tokens_.take_op("|")) {
      if (!is_filter(tokens_.peek().text)) tokens_.fail("there is no filter");
      std::string name = tokens_.expect_name();
      Arguments arguments;
      if (tokens_.take_op("(")) arguments = parse_arguments();
      object = make(line, Filter{std::move(object), std::move(name), std::move(arguments)});
    } else if (tokens_.take_name("is")) {
      object = parse_test(std::move(object));
    } else if (tokens_.take_op("(")) {
      Arguments arguments = parse_arguments();
      object = make(line, Call{std::move(object), std::move(arguments)});
    } else {
      return object;
    }
  }
}

ExpressionPtr ExpressionParser::parse_test(ExpressionPtr object) {
  const int line = tokens_.line();
  Test test;
  test.object = std::move(object);
  test.negated = tokens_.take_name("not");
  if (!is_test(tokens_.peek().text)) tokens_.fail("there is no test");
  test.name = tokens_.expect_name();
  const Token& next = tokens_.peek();
  const bool literal = next.kind == TokenKind::string || next.kind == TokenKind::integer ||
                       next.kind == TokenKind::floating || tokens_.is_op("[") || tokens_.is_op("{");
  const bool name = next.kind == TokenKind::name && next.text != "else" && next.text != "or" && next.text != "and" &&
                    next.text != "if" && next.text != "is" && next.text != "in" && next.text != "not";
  if (tokens_.take_op("(")) {
    test.arguments = parse_arguments();
  } else if (literal || name) {  // x is divisibleby 3
    test.arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  return make(line, std::move(test));
}

Arguments ExpressionParser::parse_arguments() {
  Arguments arguments;
  while (!tokens_.is_op(")")) {
    if (tokens_.peek().kind == TokenKind::name && tokens_.is(TokenKind::op, "=", 1)) {
      std::string name = tokens_.next().text;
      tokens_.next();
      arguments.named.emplace_back(std::move(name), parse_conditional());
    } else {
      if (!arguments.named.empty()) tokens_.fail("an argument without a name follows one with a name:");
      arguments.positional.push_back(parse_conditional());
    }
    if (!tokens_.take_op(",")) break;
  }
  tokens_.expect_op(")");
  return arguments;
}

}  // namespace kvasir::engine::jinja
