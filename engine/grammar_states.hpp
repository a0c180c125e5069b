// A grammar made deterministic while it is used: each state is a set of places in the grammar with their stacks, each
// transition is computed once (Thompson, CACM 1968; the lazy automaton of RE2), stacks share what they have in common.
//
// The states of one grammar are shared by all sequences that use it. Used by one thread.
#pragma once

#include "engine/grammar.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

namespace kvasir::engine {

class GrammarStates {
 public:
  using StateId = std::uint32_t;
  static constexpr StateId kDead = 0;
  using Row = std::array<StateId, 256>;

  explicit GrammarStates(std::shared_ptr<const Grammar> grammar);

  StateId start() const { return start_; }
  // Where each byte leads.
  const Row& row(StateId state) { return states_[state].row ? *states_[state].row : make_row(state); }
  // The text may end here.
  bool accepting(StateId state) const { return states_[state].accepting; }
  // The text must end here.
  bool complete(StateId state) const { return states_[state].accepting && states_[state].places.empty(); }
  // How many characters of a JSON string may follow, if nothing else could read one of them here; 0: it is not so.
  std::uint32_t text_room(StateId state) const;
  // The same state of other states of the same grammar.
  StateId adopt(const GrammarStates& others, StateId state);
  std::size_t size() const { return states_.size(); }
  // Memory held, about.
  std::size_t bytes() const { return bytes_; }

 private:
  using PlaceId = std::uint32_t;
  static constexpr PlaceId kBottom = 0;
  // A node, how often the repetition around it went, and where the rule returns to.
  struct Place {
    std::uint32_t node = 0;
    std::uint32_t count = 0;
    PlaceId below = kBottom;
    bool operator==(const Place&) const = default;
  };
  struct PlaceHash {
    std::size_t operator()(const Place& place) const;
  };
  struct SetHash {
    std::size_t operator()(const std::vector<PlaceId>& set) const;
  };
  struct State {
    std::vector<PlaceId> places;  // that read bytes; ascending
    bool accepting = false;
    std::unique_ptr<Row> row;
  };

  PlaceId intern(const Place& place);
  // Everything that can be reached from a place without reading.
  void begin_closure();
  void reach(const Place& place);
  StateId end_closure();
  void step(const Place& place);
  const Row& make_row(StateId state);
  PlaceId adopt_place(const GrammarStates& others, PlaceId place);

  std::shared_ptr<const Grammar> grammar_;
  std::vector<Place> places_;          // [kBottom] is no place
  std::vector<std::uint16_t> depths_;  // stack below each
  std::vector<std::uint32_t> stamps_;  // of the closure that saw it last
  boost::unordered_flat_map<Place, PlaceId, PlaceHash> place_ids_;
  std::vector<State> states_;  // [kDead] has no places
  boost::unordered_flat_map<std::vector<PlaceId>, StateId, SetHash> state_ids_;
  std::uint32_t stamp_ = 0;
  bool reached_end_ = false;
  std::vector<PlaceId> reached_;
  std::vector<PlaceId> open_;
  StateId start_ = kDead;
  std::size_t bytes_ = 0;
};

}  // namespace kvasir::engine
