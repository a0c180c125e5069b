#include "cache/guard_lexicon.hpp"

#include "cache/spelling.hpp"
#include "cache/words.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace kvasir::cache {
namespace {

constexpr char english_data[] =
#include "cache/data/english.inc"
    ;
constexpr char phrases_data[] =
#include "cache/data/phrases.inc"
    ;
// Their lengths need not be counted.
constexpr std::string_view english_text(english_data, sizeof(english_data) - 1);
constexpr std::string_view phrases_text(phrases_data, sizeof(phrases_data) - 1);

// Cuts `text` at `separator`; the rest stays in `text`.
std::string_view take(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// "'s" is a token of its own here, and would be none in Words.
std::vector<std::string> tokens_of(std::string_view phrase) {
  std::vector<std::string> tokens;
  if (phrase == "'s") return {"'s"};
  const Words words(phrase);
  for (std::size_t i = 0; i < words.size(); ++i) tokens.emplace_back(words[i]);
  return tokens;
}

// "?how @distance": two meanings. A mark alone stands for nothing more than its kind.
std::vector<Meaning> meanings_of(std::string_view text) {
  constexpr std::string_view marks = "-?@%*#><&!~";
  std::vector<Meaning> meanings;
  while (!text.empty()) {
    const std::string_view one = take(text, ' ');
    if (one.empty()) continue;
    const bool marked = marks.find(one.front()) != marks.npos;
    meanings.push_back({marked ? static_cast<Meaning::Kind>(one.front()) : Meaning::Kind::content,
                        std::string(marked ? one.substr(1) : one)});
  }
  return meanings;
}

// Without its accents each of these is a filler and a word of meaning: "tôi" and "tối", "sang" and "sáng", "cả" and
// "cá".
constexpr std::array<std::string_view, 24> ambiguous = {"toi", "sang", "cho", "con", "ma",  "em",   "minh", "ra",
                                                        "do",  "bang", "a",   "ban", "bi",  "muon", "ca",   "ve",
                                                        "su",  "chua", "vay", "thi", "voi", "can",  "tu",   "nho"};

struct Tables {
  PhraseTable english;
  PhraseTable vietnamese;
  PhraseTable plain_vietnamese;
  PhraseTable chinese;

  Tables() {
    std::string_view rest = phrases_text;
    std::string_view section;
    while (!rest.empty()) {
      const std::string_view line = trimmed(take(rest, '\n'));
      if (line.starts_with('[')) {
        section = line;
      } else if (const std::size_t sign = line.find(" = "); sign != line.npos && !line.starts_with("# ")) {
        add(section, meanings_of(line.substr(0, sign)), line.substr(sign + 3));
      }
    }
  }

  void add(std::string_view section, const std::vector<Meaning>& meanings, std::string_view forms) {
    PhraseTable& table = section == "[en]" ? english : section == "[vi]" ? vietnamese : chinese;
    const std::size_t index = table.add_meanings(meanings);
    std::optional<std::size_t> plain_index;
    while (!forms.empty()) {
      const std::string form(trimmed(take(forms, '|')));
      if (section != "[vi]") {
        table.add(tokens_of(form), index);
        continue;
      }
      table.add(vietnamese_tokens(form, false), index);
      if (!plain_index) plain_index = plain_vietnamese.add_meanings(without_marks(meanings));
      const std::string plain_form = without_accents(form);
      const bool dropped = !meanings.empty() && meanings.front().kind != Meaning::Kind::content;
      if (dropped && std::ranges::find(ambiguous, plain_form) != ambiguous.end()) continue;
      plain_vietnamese.add(vietnamese_tokens(form, true), *plain_index);
    }
  }

  static std::vector<std::string> vietnamese_tokens(std::string_view form, bool plain) {
    std::vector<std::string> tokens = tokens_of(form);
    for (std::string& token : tokens) token = vietnamese_token(token, plain);
    return tokens;
  }

  static std::vector<Meaning> without_marks(std::vector<Meaning> meanings) {
    for (Meaning& meaning : meanings) meaning.text = without_accents(meaning.text);
    return meanings;
  }
};

// Forms that only look like inflected ones.
constexpr std::array<std::string_view, 24> uninflected = {
    "news",       "evening", "morning", "during",  "ceiling", "species", "series",    "means",
    "sales",      "physics", "glasses", "hundred", "wedding", "nothing", "something", "anything",
    "everything", "being",   "thing",   "united",  "states",  "gas",     "bus",       "as"};

bool is_vowel(char c) {
  return std::string_view("aeiou").find(c) != std::string_view::npos;
}

}  // namespace

std::size_t PhraseTable::add_meanings(std::vector<Meaning> meanings) {
  meanings_.push_back(std::move(meanings));
  return meanings_.size() - 1;
}

void PhraseTable::add(const std::vector<std::string>& tokens, std::size_t meanings) {
  if (tokens.empty()) return;
  std::vector<Rest>& rests = by_first_[tokens.front()];
  std::vector<std::string> rest(tokens.begin() + 1, tokens.end());
  if (std::ranges::find(rests, rest, &Rest::tokens) != rests.end()) return;
  const auto place = std::ranges::find_if(rests, [&](const Rest& other) { return other.tokens.size() < rest.size(); });
  rests.insert(place, {std::move(rest), meanings});
}

PhraseTable::Match PhraseTable::find(std::span<const std::string> tokens, std::size_t at) const {
  const auto found = by_first_.find(tokens[at]);
  if (found == by_first_.end()) return {};
  const std::span<const std::string> behind = tokens.subspan(at + 1);
  for (const Rest& rest : found->second) {
    if (rest.tokens.size() > behind.size()) continue;
    if (std::equal(rest.tokens.begin(), rest.tokens.end(), behind.begin())) {
      return {rest.tokens.size() + 1, &meanings_[rest.meanings]};
    }
  }
  return {};
}

std::string vietnamese_token(std::string_view word, bool plain) {
  Spelling spelling = spell(word);
  return plain ? std::move(spelling.plain) : std::move(spelling.plain).append(spelling.marks);
}

const PhraseTable& phrases_of(Language language, bool plain) {
  static const Tables tables;
  static const PhraseTable none;
  switch (language) {
    case Language::english:
      return tables.english;
    case Language::vietnamese:
      return plain ? tables.plain_vietnamese : tables.vietnamese;
    case Language::chinese:
      return tables.chinese;
    case Language::other:
      break;
  }
  return none;
}

EnglishWords::EnglishWords() {
  // Synonyms and opposites are filed under lemmas, so the words come first.
  for (const bool relations : {false, true}) {
    std::string_view rest = english_text;
    std::string_view section;
    std::uint32_t number = 0;
    while (!rest.empty()) {
      const std::string_view line = take(rest, '\n');
      if (line.starts_with('['))
        section = line;
      else if (!line.empty() && relations)
        read_line(section, line, number);
      else if (section == "[irregular]" && !line.empty()) {
        std::string_view pair = line;
        const std::string_view form = take(pair, ' ');
        irregular_.emplace(form, pair);
        words_[pair];
      } else {
        for (std::string_view words = line; !words.empty();) words_[take(words, ' ')];
      }
      ++number;
    }
  }
}

void EnglishWords::read_line(std::string_view section, std::string_view line, std::uint32_t number) {
  if (section == "[irregular]" || section == "[words]") return;
  const auto entry = [&](std::string_view word) -> std::pair<const std::string_view, Word>& {
    const auto found = words_.find(lemma(std::string(word)));
    return found == words_.end() ? *words_.find(word) : *found;
  };
  const std::string_view first = take(line, ' ');
  if (section == "[qualities]") {
    words_[first].quality = true;
    return;
  }
  auto& left = entry(first);
  if (section == "[synonyms]") left.second.groups.push_back(number);
  while (!line.empty()) {
    auto& right = entry(take(line, ' '));
    if (section == "[synonyms]") {
      right.second.groups.push_back(number);
    } else {
      left.second.opposites.push_back(right.first);
      right.second.opposites.push_back(left.first);
    }
  }
}

const EnglishWords::Word* EnglishWords::find(std::string_view lemma) const {
  const auto found = words_.find(lemma);
  return found == words_.end() ? nullptr : &found->second;
}

bool EnglishWords::is_quality(std::string_view lemma) const {
  const Word* word = find(lemma);
  if (word != nullptr && (word->quality || !lemma.ends_with("est"))) return word->quality;
  // "Tallest", "wider", "bigger", "happiest".
  const std::size_t ending = lemma.ends_with("est") ? 3 : lemma.ends_with("er") ? 2 : 0;
  if (ending == 0 || lemma.size() < ending + 3) return false;
  std::string stem(lemma.substr(0, lemma.size() - ending));
  if (stem.back() == 'i') stem.back() = 'y';
  const auto known = [&](const std::string& base) {
    const Word* found = find(base);
    return found != nullptr && found->quality;
  };
  return known(stem) || known(std::string(stem).append("e")) || known(stem.substr(0, stem.size() - 1));
}

bool EnglishWords::are_synonyms(std::string_view left, std::string_view right) const {
  const Word* mine = find(left);
  const Word* theirs = find(right);
  if (mine == nullptr || theirs == nullptr) return false;
  return std::ranges::any_of(mine->groups, [&](std::uint32_t group) {
    return std::ranges::find(theirs->groups, group) != theirs->groups.end();
  });
}

bool EnglishWords::are_opposites(std::string_view left, std::string_view right) const {
  const Word* mine = find(left);
  return mine != nullptr && std::ranges::find(mine->opposites, right) != mine->opposites.end();
}

std::string EnglishWords::lemma(const std::string& word) const {
  if (const auto found = irregular_.find(word); found != irregular_.end()) return std::string(found->second);
  if (std::ranges::find(uninflected, word) != uninflected.end()) return word;
  return base_of(word);
}

std::string EnglishWords::base_of(const std::string& word) const {
  constexpr std::size_t shortest = 2;
  const auto without = [&](std::string_view ending, std::string_view instead) {
    return word.substr(0, word.size() - ending.size()).append(instead);
  };
  const auto ends = [&](std::string_view ending) {
    return word.size() > ending.size() + shortest - 1 && word.ends_with(ending);
  };
  std::vector<std::string> bases;
  if (ends("ies")) bases.push_back(without("ies", "y"));
  if (ends("es")) bases.push_back(without("es", ""));
  if (ends("s") && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is")) {
    bases.insert(bases.begin(), without("s", ""));
  }
  if (ends("ied")) bases.push_back(without("ied", "y"));
  for (const std::string_view ending : {"ing", "ed"}) {
    if (!ends(ending) || word.ends_with("eed")) continue;
    const std::string stem = without(ending, "");
    if (std::ranges::none_of(stem, [](char c) { return is_vowel(c) || c == 'y'; })) continue;
    // "stopping" is of "stop", "baking" of "bake", "cooking" of "cook".
    const bool doubled = stem.size() > 2 && stem.back() == stem[stem.size() - 2];
    if (doubled && !words_.contains(stem)) bases.push_back(stem.substr(0, stem.size() - 1));
    const bool short_stem = !is_vowel(stem.back()) && stem.size() >= 2 && is_vowel(stem[stem.size() - 2]) &&
                            (stem.size() < 3 || !is_vowel(stem[stem.size() - 3]));
    if (short_stem) bases.push_back(std::string(stem).append("e"));
    bases.push_back(stem);
    bases.push_back(std::string(stem).append("e"));
  }
  const auto known = std::ranges::find_if(bases, [&](const std::string& base) { return words_.contains(base); });
  return known == bases.end() ? word : *known;
}

const EnglishWords& english_words() {
  static const EnglishWords loaded;
  return loaded;
}

}  // namespace kvasir::cache
