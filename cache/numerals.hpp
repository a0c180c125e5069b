// The numbers a text speaks of, in digits or in words.
#pragma once

#include "cache/words.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

// Canonical decimals, sorted, each once: "1,000.50" is "1000.50", "twenty-first" is "21", "第十二章" holds "12".
// `words` are those of `text`.
std::vector<std::string> find_numbers(std::string_view text, const Words& words);

}  // namespace kvasir::cache
