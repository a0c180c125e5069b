// Character classes as BERT's tokenizer defines them, over ICU.
#pragma once

#include <cstdint>

namespace kvasir::embed {

// Control, format, private use and surrogate characters, NUL and U+FFFD: dropped before anything else.
bool is_dropped(char32_t c);
// Ends a word and is no part of any.
bool is_space(char32_t c);
// Every ASCII symbol and every character of category P: a word of its own.
bool is_punctuation(char32_t c);
// The CJK ideograph ranges, but not kana and not hangul: a word of its own.
bool is_ideograph(char32_t c);
// Category Mn: what is left of an accent after canonical decomposition; dropped.
bool is_accent(char32_t c);

}  // namespace kvasir::embed
