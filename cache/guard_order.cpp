#include "cache/guard_order.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace kvasir::cache {
namespace {

using Kind = Meaning::Kind;

// A term that both questions hold once, and its place in each.
struct Shared {
  const Term* mine;
  const Term* theirs;
  std::size_t my_place;
  std::size_t their_place;
};

// Questions and properties are asked of the whole: they may stand anywhere.
bool has_place(const Term& term) {
  return term.block != Terms::nowhere && (term.kind == Kind::content || term.kind == Kind::number ||
                                          term.kind == Kind::date || term.kind == Kind::unit);
}

// The places of terms that stand once.
std::map<std::string_view, std::size_t> places_of(const Terms& terms) {
  std::map<std::string_view, std::size_t> places;
  std::set<std::string_view> repeated;
  for (std::size_t i = 0; i < terms.list.size(); ++i) {
    const Term& term = terms.list[i];
    if (has_place(term) && !places.emplace(term.text, i).second) repeated.insert(term.text);
  }
  for (const std::string_view text : repeated) places.erase(text);
  return places;
}

std::vector<Shared> shared_terms(const Terms& asked, const Terms& stored, Language language) {
  const auto mine = places_of(asked);
  const auto theirs = places_of(stored);
  std::vector<Shared> shared;
  for (const auto& [text, place] : mine) {
    const auto share = [&](std::size_t their_place) {
      shared.push_back({&asked.list[place], &stored.list[their_place], place, their_place});
    };
    if (const auto found = theirs.find(text); found != theirs.end()) {
      share(found->second);
    } else if (language == Language::english) {
      for (const auto& [other, their_place] : theirs) {
        if (!mine.contains(other) && english_words().are_synonyms(text, other)) share(their_place);
      }
    }
  }
  std::ranges::sort(shared, {}, &Shared::my_place);
  return shared;
}

bool are_joined(const Terms& terms, std::size_t left, std::size_t right) {
  for (std::size_t block = std::min(left, right); block < std::max(left, right); ++block) {
    if (std::ranges::find(terms.joined, block) == terms.joined.end()) return false;
  }
  return left != right;
}

std::set<std::string_view> texts_of(const Terms& terms, std::size_t block) {
  std::set<std::string_view> texts;
  for (const Term& term : terms.list) {
    if (term.block == block && has_place(term)) texts.insert(term.text);
  }
  return texts;
}

// "A and B", "B and A"; the parts themselves must not mix: "red cars and blue bikes".
bool is_list(const Terms& asked, const Terms& stored, const Shared& x, const Shared& y) {
  return are_joined(asked, x.mine->block, y.mine->block) && are_joined(stored, x.theirs->block, y.theirs->block) &&
         texts_of(asked, x.mine->block) == texts_of(stored, x.theirs->block) &&
         texts_of(asked, y.mine->block) == texts_of(stored, y.theirs->block);
}

bool keeps_role(const Shared& term) {
  const std::string_view mine = term.mine->role;
  const std::string_view theirs = term.theirs->role;
  // "The provinces of Vietnam", "the provinces in Vietnam".
  const auto holds = [](std::string_view role) { return role == "of" || role == "in"; };
  return !mine.empty() && (mine == theirs || (holds(mine) && holds(theirs)));
}

// "Is Ann married to Bob": it does not matter who is named first, if nothing else is said.
bool is_symmetric(const Terms& terms) {
  constexpr std::array<std::string_view, 22> relations = {
      "close",    "connect", "acquaintance", "colleague", "neighbor",   "partner", "roommate",  "classmate",
      "spouse",   "marry",   "engage",       "relate",    "similar",    "equal",   "identical", "compatible",
      "adjacent", "friend",  "sibling",      "cousin",    "equivalent", "engaged"};
  bool related = false;
  bool of_people = false;  // a date is a day, too
  bool only_names = true;
  std::size_t others = 0;
  for (const Term& term : terms.list) {
    if (!has_place(term)) continue;
    if (std::ranges::find(relations, term.text) != relations.end()) {
      related = true;
    } else if (term.text == "date") {
      related = of_people = true;
    } else {
      ++others;
      only_names &= term.name;
    }
  }
  return related && terms.be && (only_names || (!of_people && others == 2));
}

// "Was the car bought by Ann": the term before "by" is the verb, those behind are who acts, those before who suffers.
struct Passive {
  std::size_t verb = 0;
  std::set<std::string_view> actors;
  std::set<std::string_view> others;
};

bool read_passive(const Terms& terms, Passive& passive) {
  const auto actor = std::ranges::find_if(terms.list, [](const Term& term) { return term.role == "by"; });
  if (actor == terms.list.end() || actor == terms.list.begin()) return false;
  passive.verb = static_cast<std::size_t>(actor - terms.list.begin()) - 1;
  for (std::size_t i = 0; i < terms.list.size(); ++i) {
    const Term& term = terms.list[i];
    if (!has_place(term) || i == passive.verb) continue;
    if (term.block == actor->block)
      passive.actors.insert(term.text);
    else if (i < passive.verb)
      passive.others.insert(term.text);
  }
  return true;
}

// The passive turned round says what the active says.
bool agrees(const Terms& active, const Terms& other, const Passive& passive) {
  const std::string_view verb = other.list[passive.verb].text;
  const auto at = std::ranges::find(active.list, verb, &Term::text);
  if (at == active.list.end()) return false;
  return std::ranges::all_of(active.list, [&](const Term& term) {
    if (passive.actors.contains(term.text)) return &term < &*at;
    if (passive.others.contains(term.text)) return &term > &*at;
    return true;
  });
}

// "How is cheese made" and "how do you make cheese": the verb changes sides where nobody in particular acts.
bool is_turned(const Terms& asked, const Terms& stored, const Shared& x, const Shared& y) {
  if (asked.passive == stored.passive) return false;
  const Terms& passive = asked.passive ? asked : stored;
  const Terms& active = asked.passive ? stored : asked;
  if (passive.by || active.by || active.does) return false;
  const auto verb = [&](const Shared& term) { return (asked.passive ? term.mine : term.theirs)->participle; };
  return verb(x) != verb(y);
}

// The term that an adjective stands before.
std::string_view described(const Terms& terms, std::size_t place) {
  const bool followed = place + 1 < terms.list.size() && terms.list[place + 1].block == terms.list[place].block;
  return followed ? std::string_view(terms.list[place + 1].text) : std::string_view{};
}

bool may_change_places(const Terms& asked, const Terms& stored, const Shared& x, const Shared& y, Language language) {
  // "France's capital", "the capital of France"; but "Ann's dislike of Bob" is not Bob's of Ann.
  const bool both = keeps_role(x) && keeps_role(y) && x.mine->role == y.mine->role;
  if ((keeps_role(x) || keeps_role(y)) && !both) return true;
  if (is_list(asked, stored, x, y)) return true;
  if (language != Language::english) return false;
  if (is_turned(asked, stored, x, y)) return true;
  // "Is it safe to eat raw eggs", "are raw eggs safe to eat"; but not "an old dog and a man", "a dog and an old man".
  const auto quality = [&](const Shared& term) {
    if (term.mine->name || term.theirs->name || term.mine->role != term.theirs->role) return false;
    if (!english_words().is_quality(term.mine->text) && !english_words().is_quality(term.theirs->text)) return false;
    const std::string_view here = described(asked, term.my_place);
    const std::string_view there = described(stored, term.their_place);
    return here.empty() || there.empty() || here == there;
  };
  const auto compared = [](const Shared& term) { return term.mine->role == "than" || term.theirs->role == "than"; };
  return quality(x) != quality(y) && !compared(x) && !compared(y);
}

// "How is rice cooked" in languages that put the question first or last: "怎么做米饭", "米饭怎么做".
bool is_rotated(const Terms& asked, const Terms& stored) {
  const auto parts = [](const Terms& terms) {
    std::vector<std::string_view> before;
    std::vector<std::string_view> after;
    bool seen = false;
    for (const Term& term : terms.list) {
      if (term.kind == Kind::asked && (term.text == "how" || term.text == "why"))
        seen = true;
      else if (has_place(term))
        (seen ? after : before).push_back(term.text);
    }
    if (!seen) after.clear();
    after.insert(after.end(), before.begin(), before.end());
    return seen ? after : std::vector<std::string_view>{};
  };
  const auto mine = parts(asked);
  return !mine.empty() && mine == parts(stored);
}

// "Flights to Paris", "flights from Paris", "flights in Paris".
bool changes_role(const Shared& term) {
  constexpr std::array<std::string_view, 4> telling = {"from", "to", "by", "than"};
  const std::string_view mine = term.mine->role;
  const std::string_view theirs = term.theirs->role;
  if (mine == theirs || mine.empty() || theirs.empty()) return false;
  const auto tells = [&](std::string_view role) { return std::ranges::find(telling, role) != telling.end(); };
  return tells(mine) || tells(theirs);
}

}  // namespace

std::string_view order_objection(const Terms& asked, const Terms& stored, Language language) {
  const std::vector<Shared> shared = shared_terms(asked, stored, language);
  if (is_symmetric(asked) && is_symmetric(stored)) return {};
  if (std::ranges::any_of(shared, changes_role)) return "guard_direction";
  if (language == Language::english && asked.by != stored.by) {
    Passive passive;
    const Terms& with = asked.by ? asked : stored;
    const Terms& without = asked.by ? stored : asked;
    if (with.be && read_passive(with, passive)) return agrees(without, with, passive) ? "" : "guard_role";
  }
  if (language != Language::english && is_rotated(asked, stored)) return {};
  std::string_view reason;
  for (std::size_t i = 0; i < shared.size(); ++i) {
    for (std::size_t k = i + 1; k < shared.size(); ++k) {
      if (shared[i].their_place < shared[k].their_place) continue;
      if (may_change_places(asked, stored, shared[i], shared[k], language)) continue;
      const bool way = shared[i].mine->role != shared[i].theirs->role || shared[k].mine->role != shared[k].theirs->role;
      if (way) return "guard_direction";
      reason = "guard_order";
    }
  }
  return reason;
}

}  // namespace kvasir::cache
