// Template text to tokens, with Jinja's whitespace control as Hugging Face sets it: trim_blocks, lstrip_blocks, no
// trailing newline. (Jinja documentation, "Whitespace Control")
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine::jinja {

enum class TokenKind {
  text,          // outside of tags
  output_begin,  // {{
  output_end,
  block_begin,  // {%
  block_end,
  name,
  string,
  integer,
  floating,
  op,  // an operator or a bracket
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;  // of a string: its value
  int line = 0;      // from 1
};

// The last token is `end`. Throws TemplateError (syntax).
std::vector<Token> tokenize(std::string_view source);

}  // namespace kvasir::engine::jinja
