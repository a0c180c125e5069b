// In which language a question is asked, as far as the guards must know.
#pragma once

#include "cache/guard_lexicon.hpp"
#include "cache/words.hpp"

namespace kvasir::cache {

struct AskedIn {
  Language language = Language::english;
  // Nothing spoke for another language, nor for this one: names, numbers, a few bare words.
  bool uncertain = false;
};

// By script, by the marks that only Vietnamese has, and by the small words of English, Vietnamese (with and without its
// accents) and some other languages in Latin letters.
AskedIn language_of(const Words& words);

}  // namespace kvasir::cache
