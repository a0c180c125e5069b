// What the guards know about words: phrases of the same meaning in English, Vietnamese and Chinese (data/phrases.inc),
// and forms, synonyms and opposites of English words (data/english.inc, compiled from WordNet).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kvasir::cache {

struct TransparentHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

// What a phrase stands for. The kind is the mark that its line in phrases.inc begins with.
struct Meaning {
  enum class Kind : char {
    content = ' ',
    empty = '-',      // "please", "the": the question means the same without it
    asked = '?',      // "when", "how do I"
    property = '@',   // "how tall", "height of"
    unit = '%',       // "kg", "percent"
    date = '*',       // "Monday", "in the morning"
    number = '#',     // "two"
    next_role = '>',  // "from": the role of what follows
    last_role = '<',  // "'s", "has": the role of what stood before
    joins = '&',      // "and", "or"
    negation = '~',   // of the next term
    tense = '!',      // "was", "will"
  };
  Kind kind;
  std::string text;
};

// Finds the longest phrase that starts at a token.
class PhraseTable {
 public:
  struct Match {
    std::size_t length = 0;  // tokens; 0: none
    const std::vector<Meaning>* meanings = nullptr;
  };

  // The first meaning that a phrase was given stays.
  void add(const std::vector<std::string>& tokens, std::size_t meanings);
  std::size_t add_meanings(std::vector<Meaning> meanings);
  Match find(std::span<const std::string> tokens, std::size_t at) const;

 private:
  struct Rest {
    std::vector<std::string> tokens;
    std::size_t meanings;
  };
  std::vector<std::vector<Meaning>> meanings_;
  std::unordered_map<std::string, std::vector<Rest>, TransparentHash, std::equal_to<>> by_first_;
};

enum class Language { english, vietnamese, chinese, other };

// "hoá" and "hóa" are one token; `plain`: without any marks.
std::string vietnamese_token(std::string_view word, bool plain);

// `plain`: of Vietnamese typed without accents. None for Language::other.
const PhraseTable& phrases_of(Language language, bool plain);

// English, lower case.
class EnglishWords {
 public:
  EnglishWords();

  // "baking" is "bake", "went" is "go"; a word that is not known comes back as it is.
  std::string lemma(const std::string& word) const;
  bool knows(std::string_view lemma) const { return words_.contains(lemma); }
  // An adjective or adverb before all else.
  bool is_quality(std::string_view lemma) const;
  bool are_synonyms(std::string_view left, std::string_view right) const;
  bool are_opposites(std::string_view left, std::string_view right) const;

 private:
  struct Word {
    std::vector<std::uint32_t> groups;  // of synonyms
    std::vector<std::string_view> opposites;
    bool quality = false;
  };
  void read_line(std::string_view section, std::string_view line, std::uint32_t number);
  const Word* find(std::string_view lemma) const;
  std::string base_of(const std::string& word) const;

  std::unordered_map<std::string_view, std::string_view> irregular_;
  std::unordered_map<std::string_view, Word> words_;
};

const EnglishWords& english_words();

}  // namespace kvasir::cache
