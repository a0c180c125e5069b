// Texts as comparable words, and sets of phrases to look for in them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kvasir::cache {

// Unicode NFKC with case folding (UAX #15, UAX #44); invalid UTF-8 becomes U+FFFD.
std::string fold(std::string_view text);

// Removes accents: "giá vàng" becomes "gia vang", as many people type Vietnamese.
std::string without_accents(std::string_view text);

// Code points of the text in NFKC, its case kept, and in NFD; invalid UTF-8 becomes U+FFFD.
std::u32string compose(std::string_view text);
std::u32string decompose(std::string_view text);
std::string to_utf8(std::u32string_view code_points);

// Folded text cut into words: runs of letters, digits and inner apostrophes; each Han character is a word of its own.
class Words {
 public:
  explicit Words(std::string_view text);

  std::size_t size() const { return spans_.size(); }
  std::string_view operator[](std::size_t i) const {
    return std::string_view(text_).substr(spans_[i].first, spans_[i].second);
  }
  bool han(std::size_t i) const;

 private:
  std::string text_;
  std::vector<std::pair<std::size_t, std::size_t>> spans_;  // offset, length
};

// Phrases, found by their first word. Built once; safe to read from any thread.
class PhraseSet {
 public:
  void add(std::string_view phrase);
  // Words that the longest phrase starting at word `at` takes; 0 if none does.
  std::size_t match(const Words& words, std::size_t at) const;
  bool contains_any(const Words& words) const { return contains_any(words, 0, words.size()); }
  // Phrases that start in [from, to).
  bool contains_any(const Words& words, std::size_t from, std::size_t to) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  static std::uint32_t length_bit(std::string_view word) { return 1U << std::min<std::size_t>(word.size(), 31); }

  std::unordered_map<std::string, std::vector<std::vector<std::string>>, Hash, std::equal_to<>> rest_by_first_word_;
  // By first byte, the lengths of first words: most words of a text are none of them and need no look-up.
  std::array<std::uint32_t, 256> first_words_{};
};

}  // namespace kvasir::cache
