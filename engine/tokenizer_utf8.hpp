// UTF-8 one character at a time, from bytes that may be anything.
// (RFC 3629; invalid bytes are cut as Unicode 15, section 3.9, "maximal subparts" recommends.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kvasir::engine {

enum class Utf8Status {
  valid,
  invalid,     // no continuation can make these bytes a character
  incomplete,  // the text ends inside a character that is valid so far
};

struct Utf8Character {
  Utf8Status status = Utf8Status::invalid;
  char32_t code_point = 0xFFFD;
  std::uint8_t bytes = 0;  // to go on by; 1..4
};

// The first character of `text`, which is not empty.
Utf8Character decode_utf8(std::string_view text);

// How many bytes a character has that begins with `lead`; 1 for what begins none.
constexpr std::size_t utf8_bytes(char lead) {
  const auto byte = static_cast<std::uint8_t>(lead);
  if (byte < 0xC0) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace kvasir::engine
