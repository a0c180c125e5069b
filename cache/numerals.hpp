// The numbers a text speaks of, in digits or in words.
#pragma once

#include "cache/words.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

// A number written in words: which ones it takes.
struct WordNumber {
  std::size_t first = 0;  // index
  std::size_t count = 1;
  std::string value;
};

// By place, in English, Vietnamese or Chinese.
std::vector<WordNumber> find_word_numbers(const Words& words);

// Canonical decimals, sorted, each once: "1,000.50" is "1000.50", "twenty-first" is "21", "第十二章" holds "12".
// `words` are those of `text`.
std::vector<std::string> find_numbers(std::string_view text, const Words& words);

}  // namespace kvasir::cache
