// Where a parser stands in its tokens, and how it says what is wrong there.
#pragma once

#include "engine/jinja_lexer.hpp"
#include "engine/jinja_value.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

namespace kvasir::engine::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(std::size_t ahead = 0) const {
    return at_ + ahead < tokens_.size() ? tokens_[at_ + ahead] : tokens_.back();
  }
  int line() const { return peek().line; }
  Token next() {
    Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool is(TokenKind kind, std::string_view text, std::size_t ahead = 0) const {
    return peek(ahead).kind == kind && peek(ahead).text == text;
  }
  bool is_op(std::string_view text) const { return is(TokenKind::op, text); }
  bool is_name(std::string_view text) const { return is(TokenKind::name, text); }
  bool take_op(std::string_view text) { return is_op(text) && (next(), true); }
  bool take_name(std::string_view text) { return is_name(text) && (next(), true); }

  void expect(TokenKind kind, std::string_view what) {
    if (peek().kind != kind) fail(fmt::format("expected {} before", what));
    next();
  }
  void expect_op(std::string_view text) {
    if (!take_op(text)) fail(fmt::format("expected '{}' before", text));
  }
  std::string expect_name() {
    if (peek().kind != TokenKind::name) fail("expected a name before");
    return next().text;
  }

  // The message is followed by what stands here.
  [[noreturn]] void fail(std::string_view message) const {
    const Token& token = peek();
    throw TemplateError(TemplateError::Kind::syntax,
                        fmt::format("line {}: {} {}", token.line, message, describe(token)));
  }

 private:
  static std::string describe(const Token& token) {
    switch (token.kind) {
      case TokenKind::text:
        return "text outside of tags";
      case TokenKind::output_begin:
        return "{{";
      case TokenKind::output_end:
        return "}}";
      case TokenKind::block_begin:
        return "{%";
      case TokenKind::block_end:
        return "%}";
      case TokenKind::end:
        return "the end of the template";
      default:
        return fmt::format("'{}'", token.text);
    }
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

// Counts how deep the parser is; the tree's depth is the evaluator's and the destructor's.
class Nesting {
 public:
  Nesting(int& depth, const TokenStream& tokens) : depth_(&depth) {
    if (++depth > kMaxNesting) tokens.fail("nested too deeply at");
  }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() { --*depth_; }

  static constexpr int kMaxNesting = 200;

 private:
  int* depth_;
};

}  // namespace kvasir::engine::jinja
