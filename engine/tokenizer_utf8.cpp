#include "engine/tokenizer_utf8.hpp"

#include <cassert>

namespace kvasir::engine {
namespace {

// What may follow a lead byte: how many bytes, and the range of the first of them (no overlong forms, no surrogates).
struct Continuation {
  std::uint8_t count = 0;
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
};

Continuation continuation(std::uint8_t lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return {1};
  if (lead == 0xE0) return {2, 0xA0};
  if (lead == 0xED) return {2, 0x80, 0x9F};
  if (lead >= 0xE1 && lead <= 0xEF) return {2};
  if (lead == 0xF0) return {3, 0x90};
  if (lead == 0xF4) return {3, 0x80, 0x8F};
  if (lead >= 0xF1 && lead <= 0xF3) return {3};
  return {0};
}

}  // namespace

Utf8Character decode_utf8(std::string_view text) {
  assert(!text.empty());
  const auto lead = static_cast<std::uint8_t>(text[0]);
  if (lead < 0x80) return {Utf8Status::valid, lead, 1};
  const Continuation expected = continuation(lead);
  if (expected.count == 0) return {Utf8Status::invalid, 0xFFFD, 1};
  char32_t code_point = lead & (0x3FU >> expected.count);
  for (std::uint8_t i = 1; i <= expected.count; ++i) {
    if (i == text.size()) return {Utf8Status::incomplete, 0xFFFD, i};
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const std::uint8_t low = i == 1 ? expected.low : 0x80;
    const std::uint8_t high = i == 1 ? expected.high : 0xBF;
    if (byte < low || byte > high) return {Utf8Status::invalid, 0xFFFD, i};
    code_point = code_point << 6 | (byte & 0x3FU);
  }
  return {Utf8Status::valid, code_point, static_cast<std::uint8_t>(expected.count + 1)};
}

}  // namespace kvasir::engine
