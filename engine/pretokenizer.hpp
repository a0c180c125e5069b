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

  explicit constexpr PreTokenizer(std::span<const Pattern> patterns) : patterns_(patterns) {}

  // nullptr for a name that is not known.
  static const PreTokenizer* named(std::string_view pre);

  // The words of `text` in order; together they are all of it, byte for byte.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  std::span<const Pattern> patterns_;
};

}  // namespace kvasir::engine
