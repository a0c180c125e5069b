// What a text calls by a sign of its own: letters, codes, acronyms, quotations.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

// All folded, sorted, each once.
struct Identifiers {
  // "clause 12(b)": b. "C++", "gpt4", "node.js", "max_tokens". Not the article "a", the pronoun "I", an ordinal "2nd".
  // "he" and "her" count too: they say who is meant.
  std::vector<std::string> codes;
  // Words in capitals in a text that has small letters too; "U.S." is "us".
  std::vector<std::string> capitals;
  // Words with a capital within a sentence.
  std::vector<std::string> names;
  // What stands between quotation marks of any kind.
  std::vector<std::string> quotations;
  // The text is all capitals or all small: its case says nothing.
  bool one_case = false;
};

Identifiers find_identifiers(std::string_view text);

}  // namespace kvasir::cache
