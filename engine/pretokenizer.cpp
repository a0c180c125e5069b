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

// \s*[\r\n]+|\s+(?!\S)|\s+
std::size_t lines_or_white_space(const Text& text, std::size_t at, std::size_t end) {
  for (std::size_t i = spaces_end(text, at, end); i > at; --i) {
    if (text.newline(i - 1)) return i - at;
  }
  return white_space(text, at, end);
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
  return lines_or_white_space(text, at, end);
}

// [upper]*[lower]+, and if there is none [upper]+[lower]*: a word up to where its case changes. What has no case is in
// both classes.
std::size_t cased_end(const Text& text, std::size_t at, std::size_t end) {
  const std::size_t uppers = run_end(at, end, [&](std::size_t i) { return text.upper(i); });
  const std::size_t lowers = run_end(uppers, end, [&](std::size_t i) { return text.lower(i); });
  if (lowers > uppers) return lowers;
  // The first class gives back what the second can take.
  for (std::size_t i = uppers; i > at; --i) {
    if (text.lower(i - 1)) return i;
  }
  return at;
}

// Tekken: [^\r\n\p{L}\p{N}]?[upper]*[lower]+|[^\r\n\p{L}\p{N}]?[upper]+[lower]*|\p{N}{1,MaxDigits}
//         | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
// GPT-4o: the same with contractions behind words.
template <std::size_t MaxDigits, bool Contractions>
std::size_t cased_word(const Text& text, std::size_t at, std::size_t end) {
  const auto with_contraction = [&](std::size_t last) {
    return last - at + (Contractions && last < end ? contraction(text, last, end, Case::folded) : 0);
  };
  const bool prefix = !text.newline(at) && !text.letter(at) && !text.number(at) && at + 1 < end;
  if (prefix) {
    if (const std::size_t last = cased_end(text, at + 1, end); last > at + 1) return with_contraction(last);
  }
  if (const std::size_t last = cased_end(text, at, end); last > at) return with_contraction(last);
  const std::size_t first = prefix ? at + 1 : at;
  const std::size_t uppers = run_end(first, end, [&](std::size_t i) { return text.upper(i); });
  if (uppers > first) return with_contraction(uppers);
  if (text.number(at)) return numbers_end(text, at, std::min(end, at + MaxDigits)) - at;
  const std::size_t other = text[at] == ' ' && at + 1 < end ? at + 1 : at;
  if (text.other(other)) {
    const std::size_t last = others_end(text, other, end);
    return run_end(last, end, [&](std::size_t i) { return text.newline(i) || text[i] == '/'; }) - at;
  }
  return lines_or_white_space(text, at, end);
}

// DeepSeek-V3: [!-/:-@[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
// ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t deepseek3_word(const Text& text, std::size_t at, std::size_t end) {
  const auto ascii_letter = [&](std::size_t i) { return (text[i] | 0x20U) - U'a' < 26; };
  const auto letter = [&](std::size_t i) { return text.letter(i) || text.mark(i); };
  const auto sign = [&](std::size_t i) { return text.punctuation(i) || text.symbol(i); };
  if (text[at] < 0x7F && sign(at)) {
    if (const std::size_t last = run_end(at + 1, end, ascii_letter); last > at + 1) return last - at;
  }
  const bool prefix = !text.newline(at) && !text.letter(at) && !sign(at);
  if (prefix && at + 1 < end && letter(at + 1)) return run_end(at + 1, end, letter) - at;
  if (letter(at)) return run_end(at, end, letter) - at;
  const std::size_t first = text[at] == ' ' && at + 1 < end ? at + 1 : at;
  if (sign(first)) return newlines_end(text, run_end(first, end, sign), end) - at;
  return lines_or_white_space(text, at, end);
}

// [一-龥぀-ゟ゠-ヿ]+
std::size_t han_and_kana(const Text& text, std::size_t at, std::size_t end) {
  return run_end(at, end,
                 [&](std::size_t i) {
                   return (text[i] >= 0x4E00 && text[i] <= 0x9FA5) || (text[i] >= 0x3040 && text[i] <= 0x30FF);
                 }) -
         at;
}

// \p{N}{1,3}
std::size_t numbers_by_three(const Text& text, std::size_t at, std::size_t end) {
  return numbers_end(text, at, std::min(end, at + 3)) - at;
}

// \p{N}+
std::size_t numbers(const Text& text, std::size_t at, std::size_t end) {
  return numbers_end(text, at, end) - at;
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

// [\p{P}\$\+<=>\^~\|`]+, the last with Backtick only
template <bool Backtick>
std::size_t punctuation_run(const Text& text, std::size_t at, std::size_t end) {
  constexpr std::u32string_view kSymbols = Backtick ? U"$+<=>^~|`" : U"$+<=>^~|";
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
constexpr std::array<Pattern, 3> kFalcon{punctuation_run<true>, gpt2_word, three_digits};
constexpr std::array<Pattern, 4> kDefault{punctuation_run<false>, gpt2_word, numbers, three_digits};
constexpr std::array<Pattern, 3> kDeepSeek3{numbers_by_three, han_and_kana, deepseek3_word};
constexpr std::array<Pattern, 1> kTekken{cased_word<1, false>};
constexpr std::array<Pattern, 1> kGpt4o{cased_word<3, true>};

struct Named {
  PreTokenizer pre_tokenizer;
  std::span<const std::string_view> names;
};

// Many families took over another one's rules.
constexpr std::array<std::string_view, 12> kGpt2Names{"gpt-2",           "phi-2",      "mpt",     "olmo",   "jais",
                                                      "trillion",        "gigachat",   "a.x-4.0", "mellum", "exaone4",
                                                      "granite-docling", "roberta-bpe"};
constexpr std::array<std::string_view, 8> kSmolLmNames{"smollm",    "starcoder", "refact",     "command-r",
                                                       "codeshell", "exaone",    "minerva-7b", "mellum2"};
constexpr std::array<std::string_view, 8> kLlama3Names{"llama-bpe", "llama3",  "llama-v3", "falcon3",
                                                       "falcon-h1", "pixtral", "midm-2.0", "lfm2"};
constexpr std::array<std::string_view, 4> kLlama3MergedNames{"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"};
constexpr std::array<std::string_view, 8> kQwen2Names{"qwen2",     "deepseek-r1-qwen", "megrez",     "kormo",
                                                      "stablelm2", "hunyuan",          "solar-open", "grok-2"};
constexpr std::array<std::string_view, 1> kFalconNames{"falcon"};
constexpr std::array<std::string_view, 1> kDefaultNames{"default"};
constexpr std::array<std::string_view, 1> kDeepSeekCoderNames{"deepseek-coder"};
constexpr std::array<std::string_view, 3> kDeepSeek3Names{"deepseek-v3", "hunyuan-dense", "joyai-llm"};
constexpr std::array<std::string_view, 1> kTekkenNames{"tekken"};
constexpr std::array<std::string_view, 4> kGpt4oNames{"gpt-4o", "llama4", "kanana2", "minimax-m2"};

constexpr auto kWholeFirst = PreTokenizer::Words::whole_first;
constexpr std::array kKnown{Named{PreTokenizer(kGpt2), kGpt2Names},
                            Named{PreTokenizer(kSmolLm), kSmolLmNames},
                            Named{PreTokenizer(kLlama3, kWholeFirst), kLlama3Names},
                            Named{PreTokenizer(kLlama3), kLlama3MergedNames},
                            Named{PreTokenizer(kQwen2), kQwen2Names},
                            Named{PreTokenizer(kFalcon), kFalconNames},
                            Named{PreTokenizer(kDefault), kDefaultNames},
                            Named{PreTokenizer(kDeepSeekCoder), kDeepSeekCoderNames},
                            Named{PreTokenizer(kDeepSeek3), kDeepSeek3Names},
                            Named{PreTokenizer(kTekken, kWholeFirst), kTekkenNames},
                            Named{PreTokenizer(kGpt4o), kGpt4oNames}};

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
  const auto* found = std::find_if(kKnown.begin(), kKnown.end(), [&](const Named& known) {
    return std::find(known.names.begin(), known.names.end(), pre) != known.names.end();
  });
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
