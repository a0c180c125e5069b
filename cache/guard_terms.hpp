// A question as terms: what is left of it when forms, fillers and known phrases are taken out of account.
#pragma once

#include "cache/guard_language.hpp"
#include "cache/guard_lexicon.hpp"
#include "cache/identifiers.hpp"
#include "cache/words.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

// What stands before a term says which part it plays: "from Paris", "than Paris", "Paris's". Empty: nothing does.
struct Term {
  Meaning::Kind kind = Meaning::Kind::content;
  std::string text;  // canonical: "bake" for "baking", "buy" for "purchase"
  std::string role;
  std::size_t block = 0;  // terms without anything between them share one
  bool participle = false;
  bool negated = false;  // "not" stands before it
  bool name = false;     // written with a capital within a sentence
};

struct Terms {
  static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);  // block of signs
  std::vector<Term> list;
  // Blocks that the next one is joined to by "and", "or" or a comma's sign of a list.
  std::vector<std::size_t> joined;
  bool yes_or_no = false;  // "is", "can", "do" comes first
  bool open = false;       // asks what, who, when …
  bool present = false;    // of the verbs "be", "do", "will"
  bool past = false;
  bool future = false;
  bool by = false;          // "by", "bị", "被"
  bool be = false;          // a form of "be"
  bool passive = false;     // and a participle
  bool mine = false;        // "my", "our"
  bool yours = false;       // "your"
  std::size_t denials = 0;  // without a term to deny: "…, isn't it"
  bool does = false;        // "do", "does", "did": who acts stands before the verb

  bool asks(std::string_view what) const;
  bool holds(std::string_view content) const;
};

// `plain`: without accents (Vietnamese). `text` is the question, `words` are those of it, `identifiers` too.
Terms terms_of(std::string_view text, const Words& words, const Identifiers& identifiers, Language language,
               bool plain);

}  // namespace kvasir::cache
