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
  return term.kind == Kind::content || term.kind == Kind::number || term.kind == Kind::date;
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
    auto found = theirs.find(text);
    if (found == theirs.end() && language == Language::english) {
      found = std::ranges::find_if(theirs, [&](const auto& other) {
        return !mine.contains(other.first) && english_words().are_synonyms(text, other.first);
      });
    }
    if (found != theirs.end())
      shared.push_back({&asked.list[place], &stored.list[found->second], place, found->second});
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
    if (term.block == block) texts.insert(term.text);
  }
  return texts;
}

// "A and B", "B and A"; the parts themselves must not mix: "red cars and blue bikes".
bool is_list(const Terms& asked, const Terms& stored, const Shared& x, const Shared& y) {
  return are_joined(asked, x.mine->block, y.mine->block) && are_joined(stored, x.theirs->block, y.theirs->block) &&
         texts_of(asked, x.mine->block).size() <= 4 && texts_of(stored, x.theirs->block).contains(x.theirs->text) &&
         !texts_of(stored, y.theirs->block).contains(x.theirs->text);
}

bool keeps_role(const Shared& term) {
  return !term.mine->role.empty() && term.mine->role == term.theirs->role;
}

bool is_symmetric(const Terms& terms) {
  constexpr std::array<std::string_view, 14> relations = {"marry",     "engage",     "relate",     "similar", "equal",
                                                          "identical", "compatible", "adjacent",   "date",    "friend",
                                                          "sibling",   "cousin",     "equivalent", "engaged"};
  return std::ranges::any_of(terms.list, [&](const Term& term) {
    return term.kind == Kind::content && std::ranges::find(relations, term.text) != relations.end();
  });
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

bool may_change_places(const Terms& asked, const Terms& stored, const Shared& x, const Shared& y, Language language) {
  if (keeps_role(x) || keeps_role(y) || is_list(asked, stored, x, y)) return true;
  if (language != Language::english) return false;
  if (is_turned(asked, stored, x, y)) return true;
  // "Is it safe to eat raw eggs", "are raw eggs safe to eat".
  const auto quality = [](const Shared& term) {
    return term.mine->role != "than" && english_words().is_quality(term.mine->text);
  };
  return quality(x) != quality(y) && x.mine->role != "than" && y.mine->role != "than";
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

bool is_opposite_way(const Shared& term) {
  const auto way = [](const Term& one, const Term& other) { return one.role == "from" && other.role == "to"; };
  return way(*term.mine, *term.theirs) || way(*term.theirs, *term.mine);
}

}  // namespace

std::string_view order_objection(const Terms& asked, const Terms& stored, Language language) {
  const std::vector<Shared> shared = shared_terms(asked, stored, language);
  if (std::ranges::any_of(shared, is_opposite_way)) return "guard_direction";
  if (language == Language::english && asked.by != stored.by) {
    Passive passive;
    const Terms& with = asked.by ? asked : stored;
    const Terms& without = asked.by ? stored : asked;
    if (with.passive && read_passive(with, passive)) return agrees(without, with, passive) ? "" : "guard_role";
  }
  if (is_symmetric(asked) && is_symmetric(stored)) return {};
  if (language != Language::english && is_rotated(asked, stored)) return {};
  for (std::size_t i = 0; i < shared.size(); ++i) {
    for (std::size_t k = i + 1; k < shared.size(); ++k) {
      if (shared[i].their_place < shared[k].their_place) continue;
      if (may_change_places(asked, stored, shared[i], shared[k], language)) continue;
      const bool way = shared[i].mine->role != shared[i].theirs->role || shared[k].mine->role != shared[k].theirs->role;
      return way ? "guard_direction" : "guard_order";
    }
  }
  return {};
}

}  // namespace kvasir::cache
