#include "cache/guard_language.hpp"

#include "cache/spelling.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>

#include <unicode/uscript.h>
#include <unicode/utf8.h>

namespace kvasir::cache {
namespace {

using List = std::unordered_set<std::string_view>;

const List& english_words_seen() {
  static const List list = {"the", "a",    "an",     "is",    "are",    "what",  "which", "who",     "how",
                            "why", "when", "where",  "does",  "did",    "do",    "of",    "in",      "for",
                            "to",  "and",  "or",     "can",   "should", "will",  "my",    "i",       "you",
                            "it",  "was",  "were",   "with",  "on",     "at",    "this",  "that",    "from",
                            "not", "have", "has",    "there", "be",     "by",    "about", "than",    "your",
                            "if",  "me",   "what's", "how's", "don't",  "can't", "than",  "between", "best"};
  return list;
}

// Without accents; short words that are English too are left out.
const List& vietnamese_words_seen() {
  static const List list = {"la",   "cua",  "gi",    "khong", "nao", "nhu", "cach", "lam",  "sao",   "nhung", "cac",
                            "duoc", "bao",  "nhieu", "tai",   "vi",  "thi", "nen",  "cho",  "nguoi", "tieng", "viet",
                            "thu",  "nhat", "ngay",  "thang", "nam", "gia", "dau",  "khi",  "tu",    "den",   "nuoc",
                            "mot",  "hai",  "trong", "voi",   "ve",  "va",  "bi",   "phai", "cai",   "con",   "chua",
                            "toi",  "ban",  "minh",  "mua",   "doi", "mo",  "tat",  "bat",  "hon",   "dien",  "thoai",
                            "an",   "o",    "di",    "do",    "ai",  "nay", "de",   "the",  "mat",   "khau",  "khoa"};
  return list;
}

const List& other_words_seen() {
  static const List list = {
      // German
      "der", "das", "ist", "wie", "ich", "und", "ein", "eine", "wer", "wo", "warum", "wann", "wird", "nicht", "mit",
      "für", "von", "zu", "auf", "sind", "den", "dem", "kann", "mein", "meine", "welche", "welcher", "wieviel", "viele",
      // French
      "le", "les", "est", "quelle", "quel", "quels", "quelles", "comment", "pourquoi", "où", "qui", "que", "des", "une",
      "un", "du", "dans", "sur", "pour", "avec", "je", "mon", "ma", "mes", "combien", "sont", "et",
      // Spanish, Portuguese, Italian
      "el", "los", "las", "es", "cuál", "cómo", "qué", "quién", "dónde", "cuándo", "cuánto", "cuántos", "por", "para",
      "una", "mi", "y", "como", "qual", "quem", "onde", "quando", "quanto", "o", "os", "um", "uma", "do", "da", "é",
      "não", "il", "lo", "gli", "che", "chi", "dove", "perché", "di", "del", "della", "cos'è", "con", "puedo", "la",
      "come", "per", "cual", "quien",
      // Dutch, Indonesian
      "het", "een", "hoe", "wat", "waarom", "waar", "wanneer", "zijn", "apa", "bagaimana", "siapa", "di", "mana",
      "kapan", "yang", "adalah", "dan", "untuk", "berapa", "cara",
      // Swedish, Polish, Turkish
      "är", "hur", "vad", "och", "jag", "jak", "co", "jest", "gdzie", "kiedy", "dlaczego", "nasıl", "nedir", "ne",
      "kim", "nerede"};
  return list;
}

bool is_vietnamese(std::u32string_view word) {
  // Letters that Vietnamese has and its Latin neighbours do not: ă đ ơ ư, and all of the block of its accented letters.
  return std::ranges::any_of(word, [](char32_t c) {
    return c == 0x103 || c == 0x111 || c == 0x1A1 || c == 0x1B0 || (c >= 0x1EA0 && c <= 0x1EF9);
  });
}

bool is_marked(std::u32string_view word) {
  return std::ranges::any_of(word, [](char32_t c) { return c > 0x7F; });
}

struct Votes {
  std::size_t english = 0;
  std::size_t vietnamese = 0;        // marks that only Vietnamese has
  std::size_t plain_vietnamese = 0;  // words that it has, without marks
  std::size_t other = 0;
  std::size_t marked = 0;  // other words with marks
  std::size_t han = 0;
  std::size_t latin = 0;
  std::size_t foreign = 0;  // scripts besides Latin and Han
};

void count(std::string_view word, Votes& votes) {
  const std::u32string letters = compose(word);
  UErrorCode status = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(static_cast<UChar32>(letters.front()), &status);
  if (script == USCRIPT_HAN) {
    ++votes.han;
    return;
  }
  if (script == USCRIPT_COMMON || script == USCRIPT_INHERITED) return;
  if (script != USCRIPT_LATIN) {
    ++votes.foreign;
    return;
  }
  ++votes.latin;
  if (is_vietnamese(letters))
    ++votes.vietnamese;
  else if (is_marked(letters))
    ++votes.marked;
  if (english_words_seen().contains(word)) ++votes.english;
  if (vietnamese_words_seen().contains(word)) ++votes.plain_vietnamese;
  if (other_words_seen().contains(word)) ++votes.other;
}

}  // namespace

AskedIn language_of(const Words& words) {
  Votes votes;
  // Enough to tell, however long the text.
  constexpr std::size_t looked_at = 200;
  for (std::size_t i = 0; i < std::min(words.size(), looked_at); ++i) count(words[i], votes);
  // Japanese writes Han between its own letters.
  if (votes.foreign > 0 && votes.foreign >= std::min(votes.latin, votes.han + 1)) return {Language::other};
  if (votes.han > 0 && 2 * votes.han >= votes.latin) return {Language::chinese};
  if (votes.vietnamese > 0 && votes.vietnamese + votes.marked >= votes.english) return {Language::vietnamese};
  const std::size_t most = std::max({votes.english, votes.plain_vietnamese, votes.other});
  if (votes.other == most && votes.other > votes.english && votes.other + votes.marked > votes.plain_vietnamese) {
    return {Language::other};
  }
  constexpr std::size_t enough = 2;
  if (votes.plain_vietnamese >= enough && votes.plain_vietnamese > votes.english) return {Language::vietnamese};
  return {Language::english, votes.english == 0};
}

}  // namespace kvasir::cache
