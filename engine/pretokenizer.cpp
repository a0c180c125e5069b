#include "engine/pretokenizer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <unicode/uchar.h>

namespace kvasir::engine {
namespace {

using Text = PreTokenizerText;
using Pattern = PreTokenizer::Pattern;

// The first index from `at` on that is not of the class.
template <typename OfClass>
std::size_t run_end(std::size_t at, std::size_t end, OfClass of_class) {
  while (at < end && of_class(at)) ++at;
  return at;
}

std::size_t letters_end(const Text& text, std::size_t at, std::size_t end) {
  return run_end(at, end, [&](std::size_t i) { return text.letter(i); });
}
std::size_t numbers_end(const Text& text, std::size_t at, std::size_t end) {
  return run_end(at, end, [&](std::size_t i) { return text.number(i); });
}
std::size_t others_end(const Text& text, std::size_t at, std::size_t end) {
  return run_end(at, end, [&](std::size_t i) { return text.other(i); });
}
std::size_t spaces_end(const Text& text, std::size_t at, std::size_t end) {
  return run_end(at, end, [&](std::size_t i) { return text.space(i); });
}
std::size_t newlines_end(const Text& text, std::size_t at, std::size_t end) {
  return run_end(at, end, [&](std::size_t i) { return text.newline(i); });
}

enum class Case { exact, folded };

// 's|'t|'re|'ve|'m|'ll|'d
std::size_t contraction(const Text& text, std::size_t at, std::size_t end, Case letter_case) {
  if (text[at] != '\'' || at + 1 >= end) return 0;
  const auto letter = [&](std::size_t i) {
    return letter_case == Case::exact
               ? text[i]
               : static_cast<char32_t>(u_foldCase(static_cast<UChar32>(text[i]), U_FOLD_CASE_DEFAULT));
  };
  const char32_t first = letter(at + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (at + 2 >= end) return 0;
  const char32_t second = letter(at + 2);
  const bool two = (second == 'e' && (first == 'r' || first == 'v')) || (first == 'l' && second == 'l');
  return two ? 3 : 0;
}

// \s+(?!\S)|\s+ : the last space of a run is left for the word behind it.
std::size_t white_space(const Text& text, std::size_t at, std::size_t end) {
  const std::size_t length = spaces_end(text, at, end) - at;
  return at + length < end && length > 1 ? length - 1 : length;
}

// GPT-2: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t gpt2_word(const Text& text, std::size_t at, std::size_t end) {
  if (const std::size_t length = contraction(text, at, end, Case::exact)) return length;
  const std::size_t first = text[at] == ' ' && at + 1 < end ? at + 1 : at;
  if (text.letter(first)) return letters_end(text, first, end) - at;
  if (text.number(first)) return numbers_end(text, first, end) - at;
  if (text.other(first)) return others_end(text, first, end) - at;
  return white_space(text, at, end);
}

// Llama 3: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,MaxDigits}| ?[^\s\p{L}\p{N}]+[\r\n]*
//          |\s*[\r\n]+|\s+(?!\S)|\s+
template <std::size_t MaxDigits>
std::size_t llama3_word(const Text& text, std::size_t at, std::size_t end) {
  if (const std::size_t length = contraction(text, at, end, Case::folded)) return length;
  if (text.letter(at)) return letters_end(text, at, end) - at;
  if (text.number(at)) return numbers_end(text, at, std::min(end, at + MaxDigits)) - at;
  const bool more = at + 1 < end;
  if (more && !text.newline(at) && text.letter(at + 1)) return letters_end(text, at + 1, end) - at;
  const std::size_t first = more && text[at] == ' ' ? at + 1 : at;
  if (text.other(first)) return newlines_end(text, others_end(text, first, end), end) - at;
  for (std::size_t i = spaces_end(text, at, end); i > at; --i) {
    if (text.newline(i - 1)) return i - at;
  }
  return white_space(text, at, end);
}

// \p{N}
std::size_t one_number(const Text& text, std::size_t at, std::size_t) {
  return text.number(at) ? 1 : 0;
}

// [\r\n]
std::size_t one_newline(const Text& text, std::size_t at, std::size_t) {
  return text.newline(at) ? 1 : 0;
}

// \s?\p{L}+
std::size_t spaced_letters(const Text& text, std::size_t at, std::size_t end) {
  const std::size_t first = text.space(at) ? at + 1 : at;
  const std::size_t last = letters_end(text, first, end);
  return last > first ? last - at : 0;
}

// \s?\p{P}+
std::size_t spaced_punctuation(const Text& text, std::size_t at, std::size_t end) {
  const std::size_t first = text.space(at) ? at + 1 : at;
  const std::size_t last = run_end(first, end, [&](std::size_t i) { return text.punctuation(i); });
  return last > first ? last - at : 0;
}

// [一-龥ࠀ-一가-퟿]+
std::size_t east_asian(const Text& text, std::size_t at, std::size_t end) {
  return run_end(at, end,
                 [&](std::size_t i) {
                   return (text[i] >= 0x0800 && text[i] <= 0x9FA5) || (text[i] >= 0xAC00 && text[i] <= 0xD7FF);
                 }) -
         at;
}

// [\p{P}\$\+<=>\^~\|`]+
std::size_t falcon_punctuation(const Text& text, std::size_t at, std::size_t end) {
  constexpr std::u32string_view kSymbols = U"$+<=>^~|`";
  return run_end(at, end,
                 [&](std::size_t i) { return text.punctuation(i) || kSymbols.find(text[i]) != kSymbols.npos; }) -
         at;
}

// [0-9][0-9][0-9]
std::size_t three_digits(const Text& text, std::size_t at, std::size_t end) {
  const std::size_t last = run_end(at, std::min(end, at + 3), [&](std::size_t i) { return text[i] - U'0' < 10; });
  return last == at + 3 ? 3 : 0;
}

constexpr std::array<Pattern, 1> kGpt2{gpt2_word};
constexpr std::array<Pattern, 2> kSmolLm{one_number, gpt2_word};
constexpr std::array<Pattern, 1> kLlama3{llama3_word<3>};
constexpr std::array<Pattern, 1> kQwen2{llama3_word<1>};
constexpr std::array<Pattern, 5> kDeepSeekCoder{one_newline, spaced_letters, spaced_punctuation, east_asian,
                                                one_number};
constexpr std::array<Pattern, 3> kFalcon{falcon_punctuation, gpt2_word, three_digits};

struct Named {
  std::string_view name;
  PreTokenizer pre_tokenizer;
};

constexpr std::array kKnown{
    Named{"gpt-2", PreTokenizer(kGpt2)},       Named{"phi-2", PreTokenizer(kGpt2)},
    Named{"smollm", PreTokenizer(kSmolLm)},    Named{"starcoder", PreTokenizer(kSmolLm)},
    Named{"refact", PreTokenizer(kSmolLm)},    Named{"command-r", PreTokenizer(kSmolLm)},
    Named{"llama-bpe", PreTokenizer(kLlama3)}, Named{"llama3", PreTokenizer(kLlama3)},
    Named{"llama-v3", PreTokenizer(kLlama3)},  Named{"qwen2", PreTokenizer(kQwen2)},
    Named{"falcon", PreTokenizer(kFalcon)},    Named{"deepseek-coder", PreTokenizer(kDeepSeekCoder)},
};

struct Piece {
  std::size_t begin = 0;
  std::size_t end = 0;
};

void split_piece(const Text& text, Piece piece, Pattern pattern, std::vector<Piece>& pieces) {
  std::size_t gap = piece.begin;
  for (std::size_t at = piece.begin; at < piece.end;) {
    const std::size_t length = pattern(text, at, piece.end);
    if (length == 0) {
      ++at;
      continue;
    }
    if (gap < at) pieces.push_back({gap, at});
    pieces.push_back({at, at + length});
    at += length;
    gap = at;
  }
  if (gap < piece.end) pieces.push_back({gap, piece.end});
}

}  // namespace

const PreTokenizer* PreTokenizer::named(std::string_view pre) {
  const auto* found = std::find_if(kKnown.begin(), kKnown.end(), [&](const Named& known) { return known.name == pre; });
  return found == kKnown.end() ? nullptr : &found->pre_tokenizer;
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  const Text decoded(text);
  std::vector<Piece> pieces{{0, decoded.size()}};
  for (const Pattern pattern : patterns_) {
    std::vector<Piece> finer;
    finer.reserve(pieces.size());
    for (const Piece piece : pieces) split_piece(decoded, piece, pattern, finer);
    pieces = std::move(finer);
  }
  std::vector<std::string_view> words;
  words.reserve(pieces.size());
  for (const Piece piece : pieces) words.push_back(decoded.bytes(piece.begin, piece.end));
  return words;
}

}  // namespace kvasir::engine
