#include "cache/guard_terms.hpp"

#include "cache/numerals.hpp"
#include "cache/spelling.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>

#include <unicode/translit.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

namespace kvasir::cache {
namespace {

using Kind = Meaning::Kind;

constexpr std::array<std::string_view, 8> forms_of_be = {"is", "are", "was", "were", "be", "been", "being", "am"};
constexpr std::array<std::string_view, 3> forms_of_do = {"do", "does", "did"};
constexpr std::array<std::string_view, 18> auxiliaries = {"is",  "are",  "was",   "were",   "do",   "does",
                                                          "did", "can",  "could", "should", "will", "would",
                                                          "may", "must", "has",   "have",   "had",  "am"};

bool is_one_of(std::span<const std::string_view> list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

bool is_number(std::string_view token) {
  return std::ranges::all_of(token, [](char c) { return c >= '0' && c <= '9'; });
}

// "what's" is "what is", "can't" is "can not", "Ann's" is "ann 's".
void add_english(std::string word, std::vector<std::string>& tokens) {
  const std::size_t apostrophe = word.find('\'');
  constexpr std::string_view bare = "nt";
  if (apostrophe == word.npos && word.size() > bare.size() && word.ends_with(bare)) {
    const std::string stem = word == "cant"   ? "can"
                             : word == "wont" ? "will"
                                              : word.substr(0, word.size() - bare.size());
    if (is_one_of(auxiliaries, stem)) {
      tokens.push_back(stem);
      tokens.emplace_back("not");
      return;
    }
  }
  if (apostrophe == word.npos) {
    tokens.push_back(std::move(word));
    return;
  }
  const std::string stem = word.substr(0, apostrophe);
  const std::string ending = word.substr(apostrophe + 1);
  constexpr std::array<std::string_view, 12> asking = {"what", "who",  "where", "when", "how", "why",
                                                       "it",   "that", "there", "here", "he",  "she"};
  if (ending == "s") {
    tokens.push_back(stem);
    tokens.emplace_back(is_one_of(asking, stem) ? "is" : "'s");
  } else if (ending == "t" && stem.ends_with('n')) {
    tokens.push_back(word == "can't" ? "can" : word == "won't" ? "will" : stem.substr(0, stem.size() - 1));
    tokens.emplace_back("not");
  } else if (ending == "re" || ending == "ll" || ending == "ve" || ending == "d" || ending == "m") {
    tokens.push_back(stem);
    if (ending == "re") tokens.emplace_back("are");
    if (ending == "m") tokens.emplace_back("am");
    if (ending == "ll") tokens.emplace_back("will");
    if (ending == "d") tokens.emplace_back("would");
  } else {
    std::erase(word, '\'');
    tokens.push_back(std::move(word));
  }
}

// "5kg" is "5 kg".
void add_measure(const std::string& word, std::vector<std::string>& tokens) {
  const std::size_t digits = std::min(word.find_first_not_of("0123456789"), word.size());
  if (digits > 0 && digits < word.size()) {
    constexpr std::array<std::string_view, 4> ordinals = {"st", "nd", "rd", "th"};
    if (is_one_of(ordinals, std::string_view(word).substr(digits))) {
      tokens.push_back(word.substr(0, digits));
      return;
    }
    const std::vector<std::string> unit = {word.substr(digits)};
    const PhraseTable::Match match = phrases_of(Language::english, false).find(unit, 0);
    if (match.length == 1 && match.meanings->front().kind == Kind::unit) {
      tokens.push_back(word.substr(0, digits));
      tokens.push_back(unit.front());
      return;
    }
  }
  tokens.push_back(word);
}

std::vector<std::string> tokens_of(const Words& words, Language language, bool plain) {
  std::vector<std::string> tokens;
  tokens.reserve(words.size() + 4);
  const std::vector<WordNumber> numbers = find_word_numbers(words);
  auto number = numbers.begin();
  for (std::size_t i = 0; i < words.size(); ++i) {
    while (number != numbers.end() && number->first < i) ++number;
    if (number != numbers.end() && number->first == i) {
      tokens.push_back(number->value);
      i += number->count - 1;
      continue;
    }
    std::string word(words[i]);
    if (language == Language::english) {
      add_english(spell(word).plain, tokens);
    } else if (language == Language::vietnamese) {
      tokens.push_back(vietnamese_token(word, plain));
    } else {
      tokens.push_back(std::move(word));
    }
    if (tokens.back().front() >= '0' && tokens.back().front() <= '9') {
      const std::string measure = std::move(tokens.back());
      tokens.pop_back();
      add_measure(measure, tokens);
    }
  }
  return tokens;
}

class Reader {
 public:
  Reader(std::vector<std::string> tokens, std::span<const std::string> names, std::span<const std::string> codes,
         Language language, bool plain)
      : tokens_(std::move(tokens)),
        names_(names),
        codes_(codes),
        language_(language),
        phrases_(phrases_of(language, plain)) {}

  Terms read() {
    for (std::size_t at = 0; at < tokens_.size();) {
      PhraseTable::Match match = phrases_.find(tokens_, at);
      // "Plan A" is a name, whatever "a" is elsewhere.
      const bool letter = tokens_[at].size() == 1 && std::ranges::binary_search(codes_, tokens_[at]);
      if (letter && match.length == 1) match = {};
      if (match.length == 0) {
        notice_first(at);
        read_word(tokens_[at]);
        ++at;
        continue;
      }
      const Kind kind = match.meanings->front().kind;
      // "Can you tell me" opens a question and is none.
      if (kind != Kind::empty || match.length == 1) notice_first(at);
      notice_forms(at, match.length);
      for (const Meaning& meaning : *match.meanings) read_meaning(meaning, tokens_[at]);
      at += match.length;
    }
    read_.passive = read_.be && participle_;
    read_.denials += denies_ ? 1 : 0;
    return std::move(read_);
  }

 private:
  void notice_first(std::size_t at) {
    if (seen_first_ || language_ != Language::english) return;
    if (!is_one_of(auxiliaries, tokens_[at]) && (phrases_.find(tokens_, at).length == 0 || tokens_[at] == "please")) {
      seen_first_ = tokens_[at] != "please";
      return;
    }
    seen_first_ = true;
    read_.yes_or_no = is_one_of(auxiliaries, tokens_[at]);
  }

  void notice_forms(std::size_t at, std::size_t length) {
    if (language_ != Language::english) return;
    for (std::size_t i = at; i < at + length; ++i) {
      read_.be |= is_one_of(forms_of_be, tokens_[i]);
      read_.mine |= tokens_[i] == "my" || tokens_[i] == "our";
      read_.yours |= tokens_[i] == "your";
    }
    if (length != 1) return;
    // "What does it do", "how do I do it": the second is the verb.
    if (tokens_[at] == "do" && read_.does) add(Kind::content, "do");
    read_.does |= is_one_of(forms_of_do, tokens_[at]);
    // "What is it for", "where is she from".
    constexpr std::array<std::string_view, 7> hanging = {"for", "of", "from", "with", "by", "to", "about"};
    if (at + 1 == tokens_.size() && is_one_of(hanging, tokens_[at])) add(Kind::content, tokens_[at]);
  }

  void read_word(const std::string& token) {
    if (is_number(token)) {
      add(Kind::number, token);
      return;
    }
    const bool name = std::ranges::binary_search(names_, token);
    if (language_ != Language::english) {
      add(Kind::content, token);
      read_.list.back().name = name;
      return;
    }
    const std::string lemma = english_words().lemma(token);
    const bool participle = is_participle(token, lemma);
    add(Kind::content, name ? token : lemma, participle);
    read_.list.back().name = name;
  }

  void read_meaning(const Meaning& meaning, const std::string& token) {
    switch (meaning.kind) {
      case Kind::empty:
        end_block();
        return;
      case Kind::asked:
        end_block();
        read_.open = true;
        if (meaning.text != "what") read_.list.push_back({Kind::asked, meaning.text, {}, block_});
        return;
      case Kind::next_role:
        end_block();
        role_ = meaning.text;
        read_.by |= meaning.text == "by";
        return;
      case Kind::last_role:
        give_last_role(meaning.text);
        return;
      case Kind::joins:
        if (!read_.list.empty() && read_.list.back().block == block_) {
          read_.joined.push_back(block_);
          const std::string kept = role_;
          end_block();
          role_ = kept;
        }
        return;
      case Kind::tense:
        end_block();
        read_.past |= meaning.text == "past";
        read_.present |= meaning.text == "present";
        read_.future |= meaning.text == "future";
        return;
      case Kind::content:
        add(Kind::content, meaning.text,
            language_ == Language::english && is_participle(token, english_words().lemma(token)));
        return;
      case Kind::negation:
        end_block();
        read_.denials += denies_ ? 1 : 0;
        denies_ = true;
        return;
      default:
        add(meaning.kind, meaning.text);
    }
  }

  static bool is_participle(std::string_view token, std::string_view lemma) {
    constexpr std::array<std::string_view, 9> unchanged = {"hurt", "put", "cut",  "set",  "read",
                                                           "hit",  "let", "cast", "built"};
    return (token != lemma && !token.ends_with('s') && !token.ends_with("ing")) || is_one_of(unchanged, token);
  }

  void give_last_role(const std::string& role) {
    if (!read_.list.empty()) {
      const std::size_t last = read_.list.back().block;
      for (Term& term : read_.list) {
        if (term.block == last) term.role = role;
      }
    }
    end_block();
  }

  void add(Kind kind, std::string text, bool participle = false) {
    if (kind == Kind::content) participle_ |= participle;
    read_.list.push_back({kind, std::move(text), role_, block_, participle, denies_});
    denies_ = false;
  }

  // The role of what follows ends with its block.
  void end_block() {
    if (!read_.list.empty() && read_.list.back().block == block_) {
      ++block_;
      role_.clear();
    }
  }

  std::vector<std::string> tokens_;
  std::span<const std::string> names_;
  std::span<const std::string> codes_;
  Language language_;
  const PhraseTable& phrases_;
  Terms read_;
  std::string role_;
  std::size_t block_ = 0;
  bool seen_first_ = false;
  bool participle_ = false;
  bool denies_ = false;
};

bool is_sign(char32_t c) {
  if (c < 0x80) return std::u32string_view(U"=+*<>^|~%$").find(c) != std::u32string_view::npos;
  constexpr std::uint32_t symbols =
      U_GC_SM_MASK | U_GC_SC_MASK | U_GC_SO_MASK | U_GC_SK_MASK | U_GC_CO_MASK | U_GC_CN_MASK;
  return (U_MASK(u_charType(static_cast<UChar32>(c))) & symbols) != 0;
}

// "5 - 3" and "6/2", but not "3-5 days" or "and/or".
bool is_between_numbers(std::u32string_view text, std::size_t at) {
  const bool minus = text[at] == U'-' || text[at] == U'\u2212';
  if (!minus && text[at] != U'/') return false;
  const auto digit = [&](std::size_t place) {
    return place < text.size() && text[place] >= U'0' && text[place] <= U'9';
  };
  const auto space = [&](std::size_t place) { return place < text.size() && text[place] == U' '; };
  const bool spaced = space(at - 1) && space(at + 1) && digit(at - 2) && digit(at + 2);
  return spaced || (!minus && digit(at - 1) && digit(at + 1));
}

// Signs that are no words: "%", "€", "==", "≤".
void add_signs(std::u32string_view text, Terms& terms) {
  constexpr std::pair<std::u32string_view, std::string_view> units[] = {
      {U"%", "percent"}, {U"$", "usd"}, {U"€", "eur"}, {U"£", "gbp"}, {U"¥", "jpy"}, {U"₫", "vnd"}};
  std::u32string run;
  const auto end_run = [&] {
    if (run.empty()) return;
    const auto unit = std::ranges::find(units, run, &std::pair<std::u32string_view, std::string_view>::first);
    const bool known = unit != std::end(units);
    terms.list.push_back(
        {known ? Kind::unit : Kind::content, known ? std::string(unit->second) : to_utf8(run), {}, Terms::nowhere});
    run.clear();
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (is_sign(text[at]) || is_between_numbers(text, at) ||
        (text[at] == U'!' && at + 1 < text.size() && text[at + 1] == U'=')) {
      run += text[at];
    } else {
      end_run();
    }
  }
  end_run();
}

std::string simplified(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  static const std::unique_ptr<icu::Transliterator> hans(
      icu::Transliterator::createInstance("Traditional-Simplified", UTRANS_FORWARD, status));
  if (!hans) return std::string(text);
  icu::UnicodeString held =
      icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
  hans->transliterate(held);
  std::string out;
  held.toUTF8String(out);
  return out;
}

}  // namespace

bool Terms::asks(std::string_view what) const {
  return std::ranges::any_of(list, [&](const Term& term) { return term.kind == Kind::asked && term.text == what; });
}

bool Terms::holds(std::string_view content) const {
  return std::ranges::any_of(list, [&](const Term& term) { return term.kind != Kind::asked && term.text == content; });
}

Terms terms_of(std::string_view text, const Words& words, const Identifiers& identifiers, Language language,
               bool plain) {
  const bool chinese = language == Language::chinese;
  const Words simple(chinese ? simplified(text) : std::string());
  std::vector<std::string> keys = identifiers.names;
  if (language == Language::vietnamese) {
    for (std::string& name : keys) name = vietnamese_token(name, plain);
    std::ranges::sort(keys);
  }
  Terms terms =
      Reader(tokens_of(chinese ? simple : words, language, plain), keys, identifiers.codes, language, plain).read();
  add_signs(compose(text), terms);
  return terms;
}

}  // namespace kvasir::cache
