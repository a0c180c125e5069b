// Text to words, inside which BPE merges: what model files call `tokenizer.ggml.pre`.
#pragma once

#include "engine/pretokenizer_text.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// A chain of splits. Each looks for its pattern inside the pieces of the one before; matches become pieces of their
// own, and so does the text between them. Immutable; any thread.
class PreTokenizer {
 public:
  // Length of the match of a pattern at code point `at`, looking no further than `end`; 0: none.
  using Pattern = std::size_t (*)(const PreTokenizerText& text, std::size_t at, std::size_t end);

  enum class Words { merged, whole_first };

  explicit constexpr PreTokenizer(std::span<const Pattern> patterns, Words words = Words::merged)
      : patterns_(patterns), words_(words) {}

  // nullptr for a name that is not known.
  static const PreTokenizer* named(std::string_view pre);

  // The words of `text` in order; together they are all of it, byte for byte.
  std::vector<std::string_view> split(std::string_view text) const;
  // A word that is a token stays as it is, even where merges would not build it. Families with this rule also start
  // with BOS.
  bool whole_words_first() const { return words_ == Words::whole_first; }
  bool adds_bos() const { return words_ == Words::whole_first; }

 private:
  std::span<const Pattern> patterns_;
  Words words_;
};

}  // namespace kvasir::engine
