// A word taken apart into its letters and what is written over and under them.
#pragma once

#include <string>
#include <string_view>

namespace kvasir::cache {

// "dừa" is "dua" with horn and grave. Only combining diacritics (U+0300 to U+036F) and the stroke of đ are marks: vowel
// signs of other scripts are letters.
struct Spelling {
  std::string plain;
  // The marks and where they stand. A single Vietnamese tone counts for the whole syllable: "hoá" is spelt like "hóa".
  std::string marks;

  bool operator==(const Spelling&) const = default;
};

// `word` is folded.
Spelling spell(std::string_view word);

}  // namespace kvasir::cache
