#include "cache/identifiers.hpp"

#include "cache/words.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include <unicode/uchar.h>

namespace kvasir::cache {
namespace {

// Words of one letter that name nothing, besides "a" and "I": Vietnamese, French, Russian.
constexpr std::u32string_view function_letters = U"ởýàạéвисукоя";

constexpr std::string_view pronouns[] = {"he", "him", "his", "himself", "she", "her", "hers", "herself"};

bool is_cased(char32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_CASED) != 0;
}

bool is_upper(char32_t c) {
  return u_isUUppercase(static_cast<UChar32>(c)) != 0;
}

bool is_digit(char32_t c) {
  return u_isdigit(static_cast<UChar32>(c)) != 0;
}

bool is_space(char32_t c) {
  return u_isUWhiteSpace(static_cast<UChar32>(c)) != 0;
}

// Letters without case are left to other guards: in their scripts one letter can be any word.
bool is_part(char32_t c) {
  const auto type = u_charType(static_cast<UChar32>(c));
  return is_cased(c) || is_digit(c) || c == U'_' || type == U_NON_SPACING_MARK;
}

bool is_apostrophe(char32_t c) {
  return c == U'\'' || c == U'\u2019';
}

void sort_unique(std::vector<std::string>& list) {
  std::ranges::sort(list);
  const auto repeated = std::ranges::unique(list);
  list.erase(repeated.begin(), repeated.end());
}

// One word of a text, dots, apostrophes and the signs of "C++" and "C#" included.
struct Token {
  std::size_t start = 0;
  std::size_t end = 0;
  std::u32string text;
};

class Finder {
 public:
  explicit Finder(std::u32string text) : text_(std::move(text)) {}

  Identifiers find() {
    const bool upper = std::ranges::any_of(text_, is_upper);
    const bool lower = std::ranges::any_of(text_, [](char32_t c) { return is_cased(c) && !is_upper(c); });
    found_.one_case = !upper || !lower;
    for (std::size_t at = 0; at < text_.size();) {
      if (is_part(text_[at])) {
        const Token token = read_token(at);
        classify(token);
        at = token.end;
      } else {
        ++at;
      }
    }
    find_quotations();
    sort_unique(found_.codes);
    sort_unique(found_.capitals);
    sort_unique(found_.names);
    sort_unique(found_.quotations);
    return std::move(found_);
  }

 private:
  bool part_at(std::size_t at) const { return at < text_.size() && is_part(text_[at]); }

  Token read_token(std::size_t at) const {
    Token token{at, at, {}};
    const auto joins = [&] { return text_[at] == U'.' || is_apostrophe(text_[at]); };
    while (part_at(at) || (part_at(at + 1) && joins())) ++at;
    std::size_t signs = at;
    while (signs < text_.size() && (text_[signs] == U'+' || text_[signs] == U'#')) ++signs;
    if (!part_at(signs)) at = signs;
    token.end = at;
    token.text = text_.substr(token.start, at - token.start);
    return token;
  }

  void classify(const Token& token) {
    std::u32string word = token.text;
    if (const std::size_t apostrophe = std::min(word.find(U'\''), word.find(U'\u2019')); apostrophe < word.size()) {
      const bool possessive = apostrophe + 2 == word.size() && (word.back() == U's' || word.back() == U'S');
      if (!possessive) return;
      word.resize(apostrophe);
    }
    const bool acronym = is_acronym(word);
    if (acronym) std::erase(word, U'.');
    const bool letters = std::ranges::any_of(word, is_cased);
    const bool only_letters =
        std::ranges::all_of(word, [](char32_t c) { return is_part(c) && !is_digit(c) && c != U'_'; });
    const std::string folded = fold(to_utf8(word));
    if (!letters || is_ordinal(word) || is_measure(folded) || folded == "eg" || folded == "ie") return;
    const bool capital = std::ranges::all_of(word, [](char32_t c) { return !is_cased(c) || is_upper(c); });
    if (is_upper(word.front()) && !found_.one_case && !begins_sentence(token.start)) found_.names.push_back(folded);
    const bool pronoun = std::ranges::find(pronouns, folded) != std::end(pronouns);
    if (pronoun || !only_letters || (acronym && !capital)) {
      found_.codes.push_back(folded);
    } else if (word.size() == 1) {
      if (!is_function_letter(token, word.front())) found_.codes.push_back(folded);
    } else if (capital && !found_.one_case) {
      found_.capitals.push_back(folded);
    }
  }

  // "U.S", "p.m": single letters between dots.
  static bool is_acronym(const std::u32string& word) {
    if (word.size() < 3 || word.size() % 2 == 0) return false;
    for (std::size_t i = 0; i < word.size(); ++i) {
      if (i % 2 == 0 ? !is_cased(word[i]) : word[i] != U'.') return false;
    }
    return true;
  }

  static bool is_ordinal(const std::u32string& word) {
    const std::size_t digits = static_cast<std::size_t>(std::ranges::find_if_not(word, is_digit) - word.begin());
    const std::string suffix = fold(to_utf8(std::u32string_view(word).substr(digits)));
    return digits > 0 && (suffix == "st" || suffix == "nd" || suffix == "rd" || suffix == "th");
  }

  // "5kg" is a number and its unit.
  static bool is_measure(std::string_view word) {
    constexpr std::string_view units[] = {"kg", "mg", "lb", "lbs", "oz", "km", "cm", "mm",  "mi",
                                          "ft", "ml", "gb", "mb",  "tb", "kb", "hr", "min", "sec"};
    const std::size_t digits = std::min(word.find_first_not_of("0123456789."), word.size());
    return digits > 0 && std::ranges::find(units, word.substr(digits)) != std::end(units);
  }

  bool is_function_letter(const Token& token, char32_t letter) const {
    if (function_letters.find(static_cast<char32_t>(u_tolower(static_cast<UChar32>(letter)))) !=
        function_letters.npos) {
      return true;
    }
    const std::size_t before = token.start;
    const std::size_t after = token.end;
    const bool opens = before == 0 || is_space(text_[before - 1]) || is_quote(text_[before - 1]);
    const auto follows = [&](std::u32string_view signs) {
      return after < text_.size() && signs.find(text_[after]) != signs.npos;
    };
    if (letter == U'I' || letter == U'i') {
      return opens && (after == text_.size() || is_space(text_[after]) || follows(U",?!;:"));
    }
    // "e-mail".
    if (letter == U'e' || letter == U'E') return follows(U"-") && part_at(after + 1);
    if (letter != U'a' && letter != U'A') return false;
    const bool before_word =
        after + 1 < text_.size() && is_space(text_[after]) && (part_at(after + 1) || is_quote(text_[after + 1]));
    return opens && before_word && (letter == U'a' || found_.one_case || begins_sentence(before));
  }

  bool begins_sentence(std::size_t at) const {
    while (at > 0 && is_space(text_[at - 1])) --at;
    return at == 0 || std::u32string_view(U".?!:;\"'“‘").find(text_[at - 1]) != std::u32string_view::npos;
  }

  static bool is_quote(char32_t c) { return closing_of(c).has_value(); }

  static std::optional<char32_t> closing_of(char32_t opening) {
    constexpr std::u32string_view pairs = U"\"\"''``“”‘’«»「」『』《》„“";
    for (std::size_t i = 0; i < pairs.size(); i += 2) {
      if (pairs[i] == opening) return pairs[i + 1];
    }
    return std::nullopt;
  }

  void find_quotations() {
    std::u32string never_closed;  // from here on
    for (std::size_t at = 0; at < text_.size(); ++at) {
      const std::optional<char32_t> closing = closing_of(text_[at]);
      const bool within_word = at > 0 && part_at(at - 1);
      if (!closing || (within_word && is_apostrophe(*closing))) continue;
      if (never_closed.find(*closing) != never_closed.npos) continue;
      const std::size_t end = find_closing(at + 1, *closing);
      if (end == text_.npos) {
        never_closed += *closing;
        continue;
      }
      found_.quotations.push_back(trimmed(at + 1, end));
      at = end;
    }
  }

  // An apostrophe within a word closes nothing.
  std::size_t find_closing(std::size_t at, char32_t closing) const {
    for (; at < text_.size(); ++at) {
      if (text_[at] == closing && !(is_apostrophe(closing) && part_at(at + 1))) return at;
    }
    return text_.npos;
  }

  std::string trimmed(std::size_t from, std::size_t to) const {
    while (from < to && is_space(text_[from])) ++from;
    while (to > from && is_space(text_[to - 1])) --to;
    return fold(to_utf8(std::u32string_view(text_).substr(from, to - from)));
  }

  std::u32string text_;
  Identifiers found_;
};

}  // namespace

Identifiers find_identifiers(std::string_view text) {
  return Finder(compose(text)).find();
}

}  // namespace kvasir::cache
