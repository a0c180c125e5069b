// Second looks at a near neighbour. Embeddings put "enable 2FA" next to "disable 2FA"; a guard compares what must not
// differ and names itself when it does.
#pragma once

#include "cache/guard_language.hpp"
#include "cache/guard_terms.hpp"
#include "cache/identifiers.hpp"
#include "cache/spelling.hpp"
#include "cache/words.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

// Which sides of one pair of opposites ("enable" and "disable") occur in a question.
struct Poles {
  std::size_t pair = 0;
  bool left = false;
  bool right = false;

  bool operator==(const Poles&) const = default;
};

// A word that a question holds once, and its place there.
struct Placed {
  std::string word;
  std::size_t place = 0;
};

// What guards look at, taken out of a question once and compared with many candidates.
class GuardedQuestion {
 public:
  explicit GuardedQuestion(std::string_view question);

  // Folded.
  const std::string& text() const { return text_; }
  AskedIn asked_in() const { return asked_in_; }
  // As of asked_in(); empty for a text too long to be compared.
  const Terms& terms() const { return terms_; }
  // Read as of that language; `plain`: Vietnamese without its accents.
  Terms terms(Language language, bool plain) const;
  // As find_numbers gives them. Units do not count.
  const std::vector<std::string>& numbers() const { return numbers_; }
  // Negating words: "not", "n't", "without", "không", "不" …
  int negations() const { return negations_; }
  // The pairs of opposites that the question speaks of, by ascending pair.
  const std::vector<Poles>& poles() const { return poles_; }
  const Identifiers& identifiers() const { return identifiers_; }
  // Folded words in their order.
  const std::vector<std::string>& words() const { return words_; }
  // The spelling of each word, sorted by letters.
  const std::vector<Spelling>& spellings() const { return spellings_; }
  // Some word carries a mark: the question was typed with accents.
  bool accented() const { return accented_; }
  // In a language that the guards do not know: words that carry meaning and occur once, sorted by word; `plain`:
  // compared without their marks.
  const std::vector<Placed>& content(bool plain) const { return plain ? plain_content_ : content_; }

 private:
  std::string text_;
  Words read_;
  AskedIn asked_in_;
  Terms terms_;
  std::vector<std::string> numbers_;
  int negations_ = 0;
  std::vector<Poles> poles_;
  Identifiers identifiers_;
  std::vector<std::string> words_;
  std::vector<Spelling> spellings_;
  bool accented_ = false;
  std::vector<Placed> content_;
  std::vector<Placed> plain_content_;
};

// A guard says whether two questions can still mean the same.
struct Guard {
  std::string_view reason;
  bool (*admits)(const GuardedQuestion& asked, const GuardedQuestion& stored);
};

// Reads the guards' data, which otherwise the first question would wait for.
void load_guards();

// The reason of the first guard that objects, or empty.
std::string_view guard_objection(const GuardedQuestion& asked, const GuardedQuestion& stored, float similarity = 1.0F);

}  // namespace kvasir::cache
