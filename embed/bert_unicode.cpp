#include "embed/bert_unicode.hpp"

#include <algorithm>
#include <iterator>

#include <unicode/uchar.h>

namespace kvasir::embed {
namespace {

struct Recategorized {
  char32_t character;
  UCharCategory category;  // in Unicode 8
};

// What ICU knows differently today.
constexpr Recategorized kRecategorized[] = {
    {U'\u166d', U_OTHER_PUNCTUATION}, {U'\u1734', U_NON_SPACING_MARK},       {U'\u1885', U_OTHER_LETTER},
    {U'\u1886', U_OTHER_LETTER},      {U'\ua9bd', U_COMBINING_SPACING_MARK}, {U'\U000111c9', U_OTHER_PUNCTUATION},
};

// The category as of Unicode 8.0, U_UNASSIGNED for later characters: the reference tokenizer (Hugging Face
// `tokenizers`) has the tables of that version, and ids must be equal to its ids.
std::uint32_t category_mask(char32_t c) {
  const auto* changed = std::ranges::find(kRecategorized, c, &Recategorized::character);
  if (changed != std::end(kRecategorized)) return U_MASK(changed->category);
  const auto point = static_cast<UChar32>(c);
  UVersionInfo age;
  u_charAge(point, age);
  return age[0] > 8 ? U_GC_CN_MASK : U_GET_GC_MASK(point);
}

bool is_ascii_symbol(char32_t c) {
  return (c > U' ' && c < U'0') || (c > U'9' && c < U'A') || (c > U'Z' && c < U'a') || (c > U'z' && c < 0x7f);
}

}  // namespace

bool is_space(char32_t c) {
  if (c < 0x80) return c == U' ' || (c >= U'\t' && c <= U'\r');
  return u_isUWhiteSpace(static_cast<UChar32>(c)) != 0;
}

bool is_dropped(char32_t c) {
  if (c < 0x80) return (c < U' ' && c != U'\t' && c != U'\n' && c != U'\r') || c == 0x7f;
  if (c == U'\ufffd') return true;
  return (category_mask(c) & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK | U_GC_CS_MASK)) != 0;
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return is_ascii_symbol(c);
  return (category_mask(c) & U_GC_P_MASK) != 0;
}

bool is_ideograph(char32_t c) {
  struct Range {
    char32_t first;
    char32_t last;
  };
  // U+2B820–U+2B91F is missing in the reference tokenizer as well.
  static constexpr Range kRanges[] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df}, {0x2a700, 0x2b73f},
                                      {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
  return std::ranges::any_of(kRanges, [c](const Range& range) { return c >= range.first && c <= range.last; });
}

bool is_accent(char32_t c) {
  return c >= 0x300 && (category_mask(c) & U_GC_MN_MASK) != 0;
}

}  // namespace kvasir::embed
