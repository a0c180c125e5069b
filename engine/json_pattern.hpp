// `pattern` of JSON Schema: the regular part of ECMA-262's expressions, as an automaton over the bytes of JSON text.
#pragma once

#include "engine/byte_automaton.hpp"
#include "engine/error.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace kvasir::engine {

struct CharacterRange {
  char32_t first = 0;
  char32_t last = 0;
};

// The syntax tree of an expression. It describes whole texts: where the source has no anchor, there is "anything".
struct Pattern {
  enum class Kind : std::uint8_t { characters, sequence, choice, repeat };
  static constexpr int kUnlimited = -1;

  Kind kind = Kind::sequence;
  std::vector<CharacterRange> characters;  // ascending, disjoint
  std::vector<Pattern> parts;              // repeat: one
  int min = 0;
  int max = 0;  // kUnlimited: as often as it likes

  static Pattern any_text(int min, int max);
};

// Understands alternatives, groups, classes, . \d \w \s, escapes, quantifiers (lazy ones mean the same here), ^ at the
// beginning and $ at the end of an alternative. Error: bad_request for anything else (look-around, back-references,
// \b).
Result<Pattern> parse_pattern(std::string_view source);

enum class Spelling {
  plain,  // UTF-8
  json,   // inside of a JSON string: one way to write each character, the shortest (RFC 8259, section 7)
};

// Adds the texts of `pattern` between two states. Nothing if it gets too large.
std::optional<ByteNfa::State> append_pattern(ByteNfa& nfa, ByteNfa::State from, const Pattern& pattern,
                                             Spelling spelling);
// The whole language of a pattern; with Spelling::json between quotes. Nothing if it gets too large.
std::optional<ByteDfa> compile_pattern(const Pattern& pattern, Spelling spelling, WorkBudget& budget);

}  // namespace kvasir::engine
