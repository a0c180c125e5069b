// Regular languages over bytes: Thompson's construction, subset construction, products (Hopcroft & Ullman,
// "Introduction to Automata Theory", chapters 2 and 3). What a schema says about one string or number becomes one of
// these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// Work that may still be spent, so that a hostile schema ends with an error instead of a long wait. About 10 ns a unit.
class WorkBudget {
 public:
  explicit WorkBudget(std::size_t units) : left_(units) {}
  bool spend(std::size_t units) {
    if (units > left_)
      left_ = 0;
    else
      left_ -= units;
    return left_ > 0;
  }

 private:
  std::size_t left_;
};

// Bytes first..last lead to `target`.
struct ByteEdge {
  std::uint8_t first = 0;
  std::uint8_t last = 0;
  std::uint32_t target = 0;
};

// Nondeterministic, with empty moves. State 0 is the start, state 1 the only accepting one.
class ByteNfa {
 public:
  using State = std::uint32_t;
  static constexpr State kStart = 0;
  static constexpr State kAccept = 1;

  ByteNfa() : states_(2) {}
  State add_state();
  void add_edge(State from, std::uint8_t first, std::uint8_t last, State to) {
    states_[from].edges.push_back({first, last, to});
  }
  void add_empty(State from, State to) { states_[from].empty_moves.push_back(to); }
  // A path that spells `text`; returns where it ends.
  State add_text(State from, std::string_view text);

  struct Node {
    std::vector<ByteEdge> edges;
    std::vector<State> empty_moves;
  };
  const std::vector<Node>& states() const { return states_; }

 private:
  std::vector<Node> states_;
};

// Deterministic; from every state an accepting one can be reached. State 0 is the start; no states: the empty language.
struct ByteDfa {
  struct State {
    std::vector<ByteEdge> edges;  // ascending, disjoint
    bool accepting = false;
  };
  std::vector<State> states;

  bool empty() const { return states.empty(); }
  bool accepts(std::string_view text) const;
};

// Nothing when the budget ends first.
std::optional<ByteDfa> determinize(const ByteNfa& nfa, WorkBudget& budget);
std::optional<ByteDfa> intersect(const ByteDfa& a, const ByteDfa& b, WorkBudget& budget);
// What `a` accepts and `b` does not.
std::optional<ByteDfa> subtract(const ByteDfa& a, const ByteDfa& b, WorkBudget& budget);
// Accepts these texts.
ByteDfa any_of(const std::vector<std::string>& texts);
// Drops states from which nothing can be accepted.
ByteDfa trim(ByteDfa dfa);

}  // namespace kvasir::engine
