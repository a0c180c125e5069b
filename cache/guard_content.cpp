#include "cache/guard_content.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace kvasir::cache {
namespace {

using Kind = Meaning::Kind;

constexpr std::array<std::string_view, 30> scope_words = {
    "all",    "some",      "any",        "most", "only",   "over",  "under",   "atleast", "atmost", "except",
    "always", "sometimes", "usually",    "both", "either", "every", "another", "tất cả",  "một số", "chỉ",
    "trừ",    "ít nhất",   "nhiều nhất", "trên", "dưới",   "所有",  "有些",    "至少",    "最多",   "除"};

bool is_scope(const Term& term) {
  return std::ranges::find(scope_words, term.text) != scope_words.end();
}

// One letter more, less, other, or two in the other order.
bool is_one_slip_away(std::string_view left, std::string_view right) {
  if (left.size() > right.size()) std::swap(left, right);
  if (right.size() - left.size() > 1) return false;
  std::size_t at = 0;
  while (at < left.size() && left[at] == right[at]) ++at;
  if (left.size() < right.size()) return left.substr(at) == right.substr(at + 1);
  if (at == left.size() || left.substr(at + 1) == right.substr(at + 1)) return true;
  return at + 1 < left.size() && left[at] == right[at + 1] && left[at + 1] == right[at] &&
         left.substr(at + 2) == right.substr(at + 2);
}

// A word that is none, beside a known one: "recieve" is "receive", but "Jon" is not "John".
bool is_misspelt(std::string_view left, std::string_view right) {
  constexpr std::size_t long_enough = 5;
  if (std::min(left.size(), right.size()) < long_enough) return false;
  return english_words().knows(left) != english_words().knows(right) && is_one_slip_away(left, right);
}

bool explains(const Term& one, const Term& other, Language language) {
  const bool properties = (one.kind == Kind::property || one.kind == Kind::content) &&
                          (other.kind == Kind::property || other.kind == Kind::content);
  if (one.kind != other.kind && !properties) return false;
  if (one.text == other.text) return true;
  if (language != Language::english || !properties || one.name || other.name) return false;
  return english_words().are_synonyms(one.text, other.text) || is_misspelt(one.text, other.text);
}

// Terms that say no more than what is said already, in this question or in the other.
bool asks_property(const Terms& terms) {
  return std::ranges::any_of(terms.list, [](const Term& term) { return term.kind == Kind::property; });
}

// "What time", "which year": more exactly than "when".
bool asks_for_a_time(const Terms& terms) {
  return terms.asks("hour") || terms.asks("day") || terms.asks("month") || terms.asks("year");
}

bool computes(const Terms& terms) {
  return std::ranges::any_of(terms.list, [](const Term& term) { return term.kind == Kind::number; });
}

// "What is X": open, and nothing else is asked.
bool asks_only_what(const Terms& terms) {
  return terms.open && std::ranges::none_of(terms.list, [](const Term& term) { return term.kind == Kind::asked; });
}

bool is_implied(const Term& term, const Terms& mine, const Terms& other) {
  const auto here = [&](std::string_view text) { return mine.holds(text) || other.holds(text); };
  if (term.kind == Kind::asked) {
    // "What is 15 % of 200" and "how much is 15 % of 200"; "how much does it cost" and "what is its price".
    if (term.text == "amount") return asks_property(mine) || (other.open && computes(mine));
    if (term.text == "when") return asks_for_a_time(other);
    if (term.text == "hour" || term.text == "day" || term.text == "month" || term.text == "year") {
      return other.asks("when");
    }
    if (term.text == "far") return other.holds("distance");
    if (term.text == "where") return mine.holds("capital");
    // "How do I delete my account" and "delete my account".
    if (term.text == "how") return !other.open && !other.yes_or_no;
    return false;
  }
  const std::string_view text = term.text;
  if (text == "must" || text == "should") return mine.asks("how") || mine.holds("todo");
  if (text == "take" || text == "mất") return mine.asks("long") || asks_property(mine);
  if (text == "ngày") return mine.asks("when") || mine.asks("day");
  if (text == "location") return mine.asks("where");
  if (text == "list" || text == "recommend") return &term == &mine.list.front() && asks_only_what(other);
  if (text == "happen" || text == "occur") return mine.asks("why") || mine.asks("when") || asks_for_a_time(mine);
  constexpr std::size_t short_name = 4;
  if (text == "meaning") return asks_only_what(other) && other.list.size() <= short_name;
  if (text == "some") return !std::ranges::any_of(other.list, is_scope);
  if (text == "any") return !std::ranges::any_of(other.list, is_scope);
  if (text == "city" || text == "thành" || text == "phố" || text == "城" || text == "市")
    return here("capital") || here("首");
  return false;
}

// "Singer" and "sing", "director" and "direct": the same where it is asked who does it.
bool is_doer(std::string_view doer, std::string_view verb) {
  constexpr std::string_view ending = "er";
  if (doer.size() < verb.size() + 1 || !(doer.ends_with(ending) || doer.ends_with("or"))) return false;
  const std::string_view stem = doer.substr(0, doer.size() - ending.size());
  const bool silent = verb.ends_with('e') && stem == verb.substr(0, verb.size() - 1);
  const bool doubled = stem.size() == verb.size() + 1 && stem.starts_with(verb) && stem.back() == verb.back();
  return stem == verb || silent || doubled;
}

bool explains_who(const Term& one, const Term& other) {
  return one.kind == Kind::content && other.kind == Kind::content && !one.name && !other.name &&
         (is_doer(one.text, other.text) || is_doer(other.text, one.text));
}

std::vector<const Term*> left_over(const Terms& mine, const Terms& other, Language language) {
  std::vector<const Term*> left;
  const bool who = mine.asks("who") && other.asks("who");
  for (const Term& term : mine.list) {
    if (term.kind == Kind::number) continue;  // compared on their own
    const bool explained = std::ranges::any_of(
        other.list, [&](const Term& one) { return explains(term, one, language) || (who && explains_who(term, one)); });
    if (!explained && !is_implied(term, mine, other)) left.push_back(&term);
  }
  return left;
}

std::string_view reason_of(const std::vector<const Term*>& mine, const std::vector<const Term*>& theirs) {
  const auto any = [&](auto holds) { return std::ranges::any_of(mine, holds) || std::ranges::any_of(theirs, holds); };
  if (any([](const Term* term) { return term->kind == Kind::unit; })) return "guard_unit";
  if (any([](const Term* term) { return term->kind == Kind::date; })) return "guard_date";
  const auto opposed = [&](const Term* one) {
    return std::ranges::any_of(
        theirs, [&](const Term* other) { return english_words().are_opposites(one->text, other->text); });
  };
  if (std::ranges::any_of(mine, opposed)) return "guard_antonym";
  if (any([](const Term* term) { return is_scope(*term); })) return "guard_scope";
  if (any([](const Term* term) { return term->kind == Kind::asked; })) return "guard_question";
  if (any([](const Term* term) { return term->name; })) return "guard_entity";
  return "guard_words";
}

// "Not unexpectedly, he was late" is not "unexpectedly, he was not late".
bool denials_differ(const Terms& asked, const Terms& stored, Language language) {
  const auto denied_in = [&](const Terms& one, const Terms& other) {
    return std::ranges::all_of(one.list, [&](const Term& term) {
      return !term.negated || std::ranges::any_of(other.list, [&](const Term& same) {
        return same.negated && explains(term, same, language);
      });
    });
  };
  return !denied_in(asked, stored) || !denied_in(stored, asked) ||
         (language == Language::english && asked.denials != stored.denials);
}

// "Is she a nurse" is not "was she a nurse".
bool times_differ(const Terms& asked, const Terms& stored) {
  const auto tense = [](const Terms& terms) { return terms.past ? 1 : terms.future ? 2 : terms.present ? 3 : 0; };
  return tense(asked) != tense(stored) && tense(asked) != 0 && tense(stored) != 0 &&
         (asked.past || stored.past || asked.yes_or_no || stored.yes_or_no);
}

}  // namespace

std::string_view content_objection(const Terms& asked, const Terms& stored, Language language) {
  const std::vector<const Term*> mine = left_over(asked, stored, language);
  const std::vector<const Term*> theirs = left_over(stored, asked, language);
  if (!mine.empty() || !theirs.empty()) return reason_of(mine, theirs);
  if ((asked.yes_or_no && stored.open && !asked.open) || (stored.yes_or_no && asked.open && !stored.open)) {
    return "guard_question";
  }
  if (denials_differ(asked, stored, language)) return "guard_negation";
  if (asked.mine != stored.mine && asked.yours != stored.yours && !asked.asks("how")) return "guard_question";
  return times_differ(asked, stored) ? "guard_tense" : std::string_view{};
}

}  // namespace kvasir::cache
