// The expressions of a template, by precedence climbing.
#pragma once

#include "engine/jinja_ast.hpp"
#include "engine/jinja_token_stream.hpp"

#include <set>
#include <string>

namespace kvasir::engine::jinja {

class ExpressionParser {
 public:
  // Both must outlive this. Names that expressions read are added to `names`.
  ExpressionParser(TokenStream& tokens, std::set<std::string, std::less<>>& names) : tokens_(tokens), names_(names) {}

  ExpressionPtr parse();           // with a, b, c as a list
  ExpressionPtr parse_iterable();  // the same, but `if` is not part of it
  ExpressionPtr parse_conditional();

 private:
  template <typename Node>
  ExpressionPtr make(int line, Node node) const;
  template <typename ParseElement>
  ExpressionPtr parse_tuple(ParseElement parse_element);
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_binary(int level);
  ExpressionPtr parse_unary(bool with_filters);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name();
  ExpressionPtr parse_parenthesized();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr object);
  ExpressionPtr parse_subscript(ExpressionPtr object);
  ExpressionPtr parse_filters(ExpressionPtr object);
  ExpressionPtr parse_test(ExpressionPtr object);
  Arguments parse_arguments();
  void count_chain(int& length) const;

  TokenStream& tokens_;
  std::set<std::string, std::less<>>& names_;
  int depth_ = 0;
};

}  // namespace kvasir::engine::jinja
