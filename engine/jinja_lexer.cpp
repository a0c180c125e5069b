#include "engine/jinja_lexer.hpp"

#include "engine/jinja_value.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include <fmt/core.h>

namespace kvasir::engine::jinja {
namespace {

constexpr std::string_view kWhitespace = " \t\n\r\v\f";
constexpr std::array<std::string_view, 6> kLongOperators{"==", "!=", "<=", ">=", "//", "**"};
constexpr std::string_view kOperators = "+-*/%~<>=()[]{},.:|";

bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool name_part(char c) {
  return name_start(c) || digit(c);
}

void append_utf8(std::string& text, std::uint32_t c) {
  const auto byte = [&](std::uint32_t value) { text.push_back(static_cast<char>(value)); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xC0 | c >> 6);
    byte(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    byte(0xE0 | c >> 12);
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  } else {
    byte(0xF0 | c >> 18);
    byte(0x80 | (c >> 12 & 0x3F));
    byte(0x80 | (c >> 6 & 0x3F));
    byte(0x80 | (c & 0x3F));
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) {
    source_.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
      const bool carriage_return = source[i] == '\r';
      if (carriage_return && i + 1 < source.size() && source[i + 1] == '\n') continue;
      source_.push_back(carriage_return ? '\n' : source[i]);
    }
    if (source_.ends_with('\n')) source_.pop_back();
  }

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const std::size_t tag = find_tag();
      const std::string_view marker = view().substr(tag, 2);
      take_text(tag, marker);
      if (tag == source_.size()) break;
      if (marker == "{#") {
        skip_comment();
      } else {
        take_tag(marker == "{%");
      }
    }
    add(TokenKind::end, {});
    return std::move(tokens_);
  }

 private:
  std::string_view view() const { return source_; }
  std::string_view rest() const { return view().substr(at_); }

  [[noreturn]] void fail(std::string_view message) const {
    throw TemplateError(TemplateError::Kind::syntax, fmt::format("line {}: {}", line_, message));
  }

  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void advance(std::size_t bytes) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
  }

  std::size_t find_tag() const {
    for (std::size_t i = source_.find('{', at_); i != std::string::npos; i = source_.find('{', i + 1)) {
      if (i + 1 < source_.size() && (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#')) return i;
    }
    return source_.size();
  }

  // Text up to the tag, without the white space that the tag takes away on its left.
  void take_text(std::size_t tag, std::string_view marker) {
    std::string_view text = view().substr(at_, tag - at_);
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (tag < source_.size() && sign == '-') {
      text = text.substr(0, text.find_last_not_of(kWhitespace) + 1);
    } else if (tag < source_.size() && sign != '+' && marker != "{{") {
      const std::size_t line_start = text.rfind('\n') + 1;  // 0: no newline
      const bool starts_line = line_start > 0 || at_ == 0 || source_[at_ - 1] == '\n';
      if (starts_line && text.find_first_not_of(kWhitespace, line_start) == text.npos)
        text = text.substr(0, line_start);
    }
    if (!text.empty()) add(TokenKind::text, std::string(text));
    advance(tag - at_);
  }

  void skip_comment() {
    const std::size_t end = source_.find("#}", at_ + 2);
    if (end == std::string::npos) fail("a comment is not closed with #}");
    const char sign = end > at_ + 2 ? source_[end - 1] : '\0';
    advance(end + 2 - at_);
    trim_after_block(sign);
  }

  // White space that a closing tag takes away on its right.
  void trim_after_block(char sign) {
    if (sign == '-') {
      advance(std::min(rest().find_first_not_of(kWhitespace), rest().size()));
    } else if (sign != '+' && rest().starts_with('\n')) {
      advance(1);
    }
  }

  void take_tag(bool block) {
    add(block ? TokenKind::block_begin : TokenKind::output_begin, {});
    const int opened = line_;
    advance(2);
    if (rest().starts_with('-') || rest().starts_with('+')) advance(1);
    const std::string_view closing = block ? "%}" : "}}";
    for (int braces = 0;;) {
      advance(std::min(rest().find_first_not_of(kWhitespace), rest().size()));
      if (rest().empty()) {
        line_ = opened;
        fail(fmt::format("a tag is not closed with {}", closing));
      }
      if (braces == 0 && close_tag(block, closing)) return;
      take_token(braces);
    }
  }

  bool close_tag(bool block, std::string_view closing) {
    const char sign = rest()[0] == '-' || rest()[0] == '+' ? rest()[0] : '\0';
    const std::size_t skip = sign == '\0' ? 0 : 1;
    if (!rest().substr(skip).starts_with(closing)) return false;
    add(block ? TokenKind::block_end : TokenKind::output_end, {});
    advance(skip + closing.size());
    if (block || sign == '-') trim_after_block(sign);
    return true;
  }

  void take_token(int& braces) {
    const char c = rest()[0];
    if (name_start(c)) return take_run(TokenKind::name, name_part);
    if (digit(c)) return take_number();
    if (c == '\'' || c == '"') return take_string(c);
    for (const std::string_view op : kLongOperators) {
      if (rest().starts_with(op)) return take(TokenKind::op, op.size());
    }
    if (kOperators.find(c) == std::string_view::npos) fail(fmt::format("'{}' is not part of an expression", c));
    if (c == '{' || c == '[' || c == '(') ++braces;
    if ((c == '}' || c == ']' || c == ')') && braces-- == 0) fail(fmt::format("'{}' closes nothing", c));
    take(TokenKind::op, 1);
  }

  void take(TokenKind kind, std::size_t bytes) {
    add(kind, std::string(rest().substr(0, bytes)));
    advance(bytes);
  }

  template <typename Part>
  void take_run(TokenKind kind, Part part) {
    const std::string_view text = rest();
    const auto end = std::find_if_not(text.begin(), text.end(), part);
    take(kind, static_cast<std::size_t>(end - text.begin()));
  }

  void take_number() {
    const std::string_view text = rest();
    std::size_t end = 0;
    const auto digits = [&] {
      while (end < text.size() && digit(text[end])) ++end;
    };
    digits();
    const bool floating = end + 1 < text.size() && text[end] == '.' && digit(text[end + 1]);
    if (floating) {
      ++end;
      digits();
    }
    take(floating ? TokenKind::floating : TokenKind::integer, end);
  }

  void take_string(char mark) {
    std::string value;
    std::size_t i = 1;
    for (const std::string_view text = rest(); i < text.size() && text[i] != mark; ++i) {
      if (text[i] == '\\' && i + 1 < text.size()) {
        i = take_escape(text, i + 1, value);
      } else {
        value.push_back(text[i]);
      }
    }
    if (i >= rest().size()) fail("a string is not closed");
    add(TokenKind::string, std::move(value));
    advance(i + 1);
  }

  // `i` is behind the backslash; returns the index of the escape's last character.
  static std::size_t take_escape(std::string_view text, std::size_t i, std::string& value) {
    constexpr std::string_view kLetters = "ntrbfv'\"\\\n";
    constexpr std::string_view kMeanings("\n\t\r\b\f\v'\"\\\0", 10);
    if (const std::size_t simple = kLetters.find(text[i]); simple != std::string_view::npos) {
      if (text[i] != '\n') value.push_back(kMeanings[simple]);  // a backslash before a line end joins the lines
      return i;
    }
    const std::size_t digits = text[i] == 'x' ? 2 : text[i] == 'u' ? 4 : text[i] == 'U' ? 8 : 0;
    if (const auto c = hexadecimal(text.substr(i + 1, digits), digits); c && digits > 0) {
      append_utf8(value, *c);
      return i + digits;
    }
    value.push_back('\\');
    value.push_back(text[i]);
    return i;
  }

  static std::optional<std::uint32_t> hexadecimal(std::string_view text, std::size_t digits) {
    std::uint32_t value = 0;
    for (const char c : text) {
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
      const int nibble = digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
      value = value << 4 | static_cast<std::uint32_t>(nibble);
    }
    return text.size() == digits && value <= 0x10FFFF ? std::optional(value) : std::nullopt;
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace kvasir::engine::jinja
