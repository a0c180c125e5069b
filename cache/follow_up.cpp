#include "cache/follow_up.hpp"

#include "cache/guard_language.hpp"
#include "cache/words.hpp"

#include <cstddef>
#include <initializer_list>

namespace kvasir::cache {
namespace {

constexpr std::size_t kFewestWords = 4;
constexpr std::size_t kFewestHanCharacters = 6;

PhraseSet phrases(std::initializer_list<std::string_view> list) {
  PhraseSet set;
  for (const std::string_view phrase : list) set.add(phrase);
  return set;
}

// Words that point to something said before, wherever they stand.
const PhraseSet& pointers() {
  static const PhraseSet set = phrases(
      {"it",      "its",      "it's",    "itself", "that",      "this",      "these",    "those",    "they",
       "them",    "their",    "theirs",  "he",     "him",       "his",       "she",      "her",      "hers",
       "one",     "ones",     "there",   "here",   "same",      "else",      "another",  "other",    "others",
       "above",   "previous", "earlier", "former", "latter",    "again",     "too",      "also",     "instead",
       "more",    "less",     "such",    "both",   "neither",   "either",    "rest",     "said",     "mentioned",
       "explain", "continue", "shorter", "longer", "summarize", "summarise", "rephrase", "translate"});
  return set;
}

const PhraseSet& vietnamese_pointers() {
  static const PhraseSet set =
      phrases({"nó",       "họ",    "đó",      "này",     "kia",      "ấy",       "vậy", "thế",   "đấy",     "đây",
               "ở trên",   "trên",  "vừa rồi", "vừa nói", "nói trên", "trước đó", "còn", "khác",  "nữa",     "cũng",
               "tương tự", "chúng", "ông ta",  "bà ta",   "cô ta",    "anh ta",   "hắn", "y vậy", "thì sao", "tiếp"});
  return set;
}

const PhraseSet& chinese_pointers() {
  static const PhraseSet set = phrases({"它",   "他",   "她",   "这",   "這",   "那",   "该",   "該",   "此",   "其",
                                        "上述", "前者", "后者", "後者", "刚才", "剛才", "之前", "还有", "還有", "另外",
                                        "呢",   "也",   "再",   "继续", "繼續", "同样", "同樣", "上面", "前面"});
  return set;
}

// Words with which one goes on.
const PhraseSet& openings() {
  static const PhraseSet set =
      phrases({"and",     "or",   "but",  "so",   "then", "what about", "how about", "why not", "how come",
               "what if", "ok",   "okay", "yes",  "no",   "thanks",     "và",        "hay",     "hoặc",
               "nhưng",   "thế",  "vậy",  "thì",  "rồi",  "vì sao vậy", "那么",      "那麼",    "所以",
               "但是",    "然后", "然後", "好的", "谢谢", "謝謝",       "如果"});
  return set;
}

}  // namespace

bool stands_alone(std::string_view question) {
  const Words words(question);
  std::size_t han = 0;
  for (std::size_t i = 0; i < words.size(); ++i) han += words.han(i) ? 1 : 0;
  if (han > 0 ? han < kFewestHanCharacters : words.size() < kFewestWords) return false;
  if (openings().match(words, 0) > 0) return false;
  // Without its accents "đó" is any "do", and what points back cannot be told.
  const AskedIn asked = language_of(words);
  const bool plain = question.size() == without_accents(question).size();
  if (asked.language == Language::other || (asked.language == Language::vietnamese && plain)) return false;
  for (const PhraseSet* set : {&pointers(), &vietnamese_pointers(), &chinese_pointers()}) {
    if (set->contains_any(words)) return false;
  }
  return true;
}

}  // namespace kvasir::cache
