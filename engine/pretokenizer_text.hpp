// A text as code points with the character classes that pre-tokenizers ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// Classes are Unicode general categories and White_Space. A piece of invalid UTF-8 is one code point without a class.
class PreTokenizerText {
 public:
  // `text` must outlive this.
  explicit PreTokenizerText(std::string_view text);

  std::size_t size() const { return code_points_.size(); }
  char32_t operator[](std::size_t i) const { return code_points_[i]; }
  std::string_view bytes(std::size_t begin, std::size_t end) const {
    return text_.substr(offsets_[begin], offsets_[end] - offsets_[begin]);
  }

  bool letter(std::size_t i) const { return (classes_[i] & kLetter) != 0; }            // \p{L}
  bool number(std::size_t i) const { return (classes_[i] & kNumber) != 0; }            // \p{N}
  bool punctuation(std::size_t i) const { return (classes_[i] & kPunctuation) != 0; }  // \p{P}
  bool space(std::size_t i) const { return (classes_[i] & kSpace) != 0; }              // \s
  bool mark(std::size_t i) const { return (classes_[i] & kMark) != 0; }                // \p{M}
  bool symbol(std::size_t i) const { return (classes_[i] & kSymbol) != 0; }            // \p{S}
  bool upper(std::size_t i) const { return (classes_[i] & kUpper) != 0; }  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
  bool lower(std::size_t i) const { return (classes_[i] & kLower) != 0; }  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  bool newline(std::size_t i) const { return code_points_[i] == '\r' || code_points_[i] == '\n'; }
  bool other(std::size_t i) const { return (classes_[i] & (kLetter | kNumber | kSpace)) == 0; }  // [^\s\p{L}\p{N}]

 private:
  static constexpr std::uint8_t kLetter = 1;
  static constexpr std::uint8_t kNumber = 2;
  static constexpr std::uint8_t kPunctuation = 4;
  static constexpr std::uint8_t kSpace = 8;
  static constexpr std::uint8_t kMark = 16;
  static constexpr std::uint8_t kSymbol = 32;
  static constexpr std::uint8_t kUpper = 64;
  static constexpr std::uint8_t kLower = 128;
  static std::uint8_t classes_of(char32_t code_point);

  std::string_view text_;
  std::vector<char32_t> code_points_;
  std::vector<std::uint8_t> classes_;
  std::vector<std::size_t> offsets_;  // of each code point in text_, and the end
};

}  // namespace kvasir::engine
