#include "engine/byte_automaton.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace kvasir::engine {
namespace {

using Set = std::vector<std::uint32_t>;  // sorted

// Follows empty moves. Marks are stamps, so that nothing is cleared between calls.
class Closure {
 public:
  explicit Closure(const ByteNfa& nfa) : nfa_(nfa), stamps_(nfa.states().size(), 0) {}

  void begin() {
    ++stamp_;
    found_.clear();
  }
  void add(std::uint32_t state) {
    open_.push_back(state);
    while (!open_.empty()) {
      const std::uint32_t next = open_.back();
      open_.pop_back();
      if (std::exchange(stamps_[next], stamp_) == stamp_) continue;
      found_.push_back(next);
      const auto& moves = nfa_.states()[next].empty_moves;
      open_.insert(open_.end(), moves.begin(), moves.end());
    }
  }
  Set take() {
    std::sort(found_.begin(), found_.end());
    return found_;
  }

 private:
  const ByteNfa& nfa_;
  std::vector<std::uint32_t> stamps_;
  std::uint32_t stamp_ = 0;
  Set found_;
  Set open_;
};

// The bytes at which the set of covering edges changes.
std::vector<int> boundaries(const std::vector<ByteEdge>& edges) {
  std::array<bool, 257> cut{};
  for (const ByteEdge& edge : edges) {
    cut[edge.first] = true;
    cut[static_cast<std::size_t>(edge.last) + 1] = true;
  }
  std::vector<int> cuts;
  for (int byte = 0; byte <= 256; ++byte)
    if (cut[static_cast<std::size_t>(byte)]) cuts.push_back(byte);
  return cuts;
}

void append_edge(ByteDfa::State& state, int first, int last, std::uint32_t target) {
  if (!state.edges.empty() && state.edges.back().target == target && state.edges.back().last + 1 == first) {
    state.edges.back().last = static_cast<std::uint8_t>(last);
  } else {
    state.edges.push_back({static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(last), target});
  }
}

const ByteEdge* edge_of(const ByteDfa::State& state, int byte) {
  const auto after = std::upper_bound(state.edges.begin(), state.edges.end(), byte,
                                      [](int value, const ByteEdge& edge) { return value < edge.first; });
  if (after == state.edges.begin()) return nullptr;
  const ByteEdge& edge = *(after - 1);
  return byte <= edge.last ? &edge : nullptr;
}

constexpr std::uint32_t kNowhere = UINT32_MAX;

// Both automata side by side; `b` may have fallen off where `b_optional`.
template <typename Accepts>
std::optional<ByteDfa> product(const ByteDfa& a, const ByteDfa& b, bool b_optional, Accepts accepts,
                               WorkBudget& budget) {
  ByteDfa result;
  if (a.empty() || (b.empty() && !b_optional)) return result;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> ids;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  const auto id_of = [&](std::uint32_t in_a, std::uint32_t in_b) {
    const auto [place, added] = ids.try_emplace({in_a, in_b}, static_cast<std::uint32_t>(pairs.size()));
    if (added) pairs.emplace_back(in_a, in_b);
    return place->second;
  };
  id_of(0, b.empty() ? kNowhere : 0);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto [in_a, in_b] = pairs[i];
    const ByteDfa::State& left = a.states[in_a];
    static const ByteDfa::State kNone;
    const ByteDfa::State& right = in_b == kNowhere ? kNone : b.states[in_b];
    if (!budget.spend(8 + left.edges.size() + right.edges.size())) return std::nullopt;
    ByteDfa::State& state = result.states.emplace_back();
    state.accepting = accepts(left.accepting, right.accepting);
    std::vector<ByteEdge> both = left.edges;
    both.insert(both.end(), right.edges.begin(), right.edges.end());
    const std::vector<int> cuts = boundaries(both);
    for (std::size_t cut = 0; cut + 1 < cuts.size(); ++cut) {
      const ByteEdge* edge_a = edge_of(left, cuts[cut]);
      const ByteEdge* edge_b = edge_of(right, cuts[cut]);
      if (edge_a == nullptr || (edge_b == nullptr && !b_optional)) continue;
      const std::uint32_t target = id_of(edge_a->target, edge_b == nullptr ? kNowhere : edge_b->target);
      append_edge(state, cuts[cut], cuts[cut + 1] - 1, target);
    }
  }
  return trim(std::move(result));
}

}  // namespace

ByteNfa::State ByteNfa::add_state() {
  states_.emplace_back();
  return static_cast<State>(states_.size() - 1);
}

ByteNfa::State ByteNfa::add_text(State from, std::string_view text) {
  for (const char c : text) {
    const State next = add_state();
    const auto byte = static_cast<std::uint8_t>(c);
    add_edge(from, byte, byte, next);
    from = next;
  }
  return from;
}

bool ByteDfa::accepts(std::string_view text) const {
  if (empty()) return false;
  const State* state = &states[0];
  for (const char c : text) {
    const ByteEdge* edge = edge_of(*state, static_cast<std::uint8_t>(c));
    if (edge == nullptr) return false;
    state = &states[edge->target];
  }
  return state->accepting;
}

std::optional<ByteDfa> determinize(const ByteNfa& nfa, WorkBudget& budget) {
  if (!budget.spend(nfa.states().size())) return std::nullopt;
  Closure closure(nfa);
  std::map<Set, std::uint32_t> ids;
  std::vector<const Set*> sets;
  const auto id_of = [&](Set set) {
    const auto [place, added] = ids.try_emplace(std::move(set), static_cast<std::uint32_t>(sets.size()));
    if (added) sets.push_back(&place->first);
    return place->second;
  };
  closure.begin();
  closure.add(ByteNfa::kStart);
  id_of(closure.take());
  ByteDfa dfa;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const Set& set = *sets[i];
    ByteDfa::State state;
    state.accepting = std::binary_search(set.begin(), set.end(), ByteNfa::kAccept);
    std::vector<ByteEdge> edges;
    for (const std::uint32_t member : set) {
      const auto& more = nfa.states()[member].edges;
      edges.insert(edges.end(), more.begin(), more.end());
    }
    const std::vector<int> cuts = boundaries(edges);
    if (!budget.spend(8 + set.size() + edges.size() * cuts.size())) return std::nullopt;
    for (std::size_t cut = 0; cut + 1 < cuts.size(); ++cut) {
      closure.begin();
      for (const ByteEdge& edge : edges)
        if (edge.first <= cuts[cut] && cuts[cut] <= edge.last) closure.add(edge.target);
      Set target = closure.take();
      if (target.empty()) continue;
      if (!budget.spend(4 * target.size())) return std::nullopt;
      append_edge(state, cuts[cut], cuts[cut + 1] - 1, id_of(std::move(target)));
    }
    dfa.states.push_back(std::move(state));
  }
  return trim(std::move(dfa));
}

std::optional<ByteDfa> intersect(const ByteDfa& a, const ByteDfa& b, WorkBudget& budget) {
  return product(
      a, b, false, [](bool in_a, bool in_b) { return in_a && in_b; }, budget);
}

std::optional<ByteDfa> subtract(const ByteDfa& a, const ByteDfa& b, WorkBudget& budget) {
  return product(
      a, b, true, [](bool in_a, bool in_b) { return in_a && !in_b; }, budget);
}

ByteDfa any_of(const std::vector<std::string>& texts) {
  if (texts.empty()) return {};
  std::vector<std::map<std::uint8_t, std::uint32_t>> tree(1);
  std::vector<bool> ends(1, false);
  for (const std::string& text : texts) {
    std::uint32_t at = 0;
    for (const char c : text) {
      const auto [child, added] =
          tree[at].try_emplace(static_cast<std::uint8_t>(c), static_cast<std::uint32_t>(tree.size()));
      at = child->second;
      if (!added) continue;
      tree.emplace_back();
      ends.push_back(false);
    }
    ends[at] = true;
  }
  ByteDfa dfa;
  dfa.states.resize(tree.size());
  for (std::size_t i = 0; i < tree.size(); ++i) {
    dfa.states[i].accepting = ends[i];
    for (const auto& [byte, child] : tree[i]) dfa.states[i].edges.push_back({byte, byte, child});
  }
  return dfa;
}

ByteDfa trim(ByteDfa dfa) {
  const std::size_t count = dfa.states.size();
  std::vector<std::vector<std::uint32_t>> before(count);
  std::vector<bool> useful(count, false);
  std::vector<std::uint32_t> open;
  for (std::uint32_t i = 0; i < count; ++i) {
    for (const ByteEdge& edge : dfa.states[i].edges) before[edge.target].push_back(i);
    if (dfa.states[i].accepting) open.push_back(i);
  }
  while (!open.empty()) {
    const std::uint32_t state = open.back();
    open.pop_back();
    if (useful[state]) continue;
    useful[state] = true;
    open.insert(open.end(), before[state].begin(), before[state].end());
  }
  if (count == 0 || !useful[0]) return {};
  std::vector<std::uint32_t> ids(count, kNowhere);
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < count; ++i)
    if (useful[i]) ids[i] = next++;
  ByteDfa trimmed;
  trimmed.states.resize(next);
  for (std::size_t i = 0; i < count; ++i) {
    if (!useful[i]) continue;
    ByteDfa::State& state = trimmed.states[ids[i]];
    state.accepting = dfa.states[i].accepting;
    for (const ByteEdge& edge : dfa.states[i].edges)
      if (useful[edge.target]) state.edges.push_back({edge.first, edge.last, ids[edge.target]});
  }
  return trimmed;
}

}  // namespace kvasir::engine
