#include "cache/spelling.hpp"

#include "cache/words.hpp"

namespace kvasir::cache {
namespace {

constexpr char32_t first_mark = 0x300;
constexpr char32_t last_mark = 0x36F;
constexpr char32_t stroke = 0x335;
constexpr char32_t d_with_stroke = 0x111;

// Grave, acute, tilde, hook above, dot below.
bool is_tone(char32_t mark) {
  return mark == 0x300 || mark == 0x301 || mark == 0x303 || mark == 0x309 || mark == 0x323;
}

}  // namespace

Spelling spell(std::string_view word) {
  std::u32string letters;
  std::u32string marks;
  std::u32string tones;
  std::u32string placed_tones;
  const auto place = [&](std::u32string& into, char32_t mark) {
    into += static_cast<char32_t>(letters.size());
    into += mark;
  };
  for (const char32_t c : decompose(word)) {
    if (c == d_with_stroke) {
      letters += U'd';
      place(marks, stroke);
    } else if (c < first_mark || c > last_mark) {
      letters += c;
    } else if (is_tone(c)) {
      tones += c;
      place(placed_tones, c);
    } else {
      place(marks, c);
    }
  }
  marks += tones.size() == 1 ? tones : placed_tones;
  return {to_utf8(letters), to_utf8(marks)};
}

}  // namespace kvasir::cache
