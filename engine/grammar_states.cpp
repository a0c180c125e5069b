#include "engine/grammar_states.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::engine {
namespace {

// An ambiguous grammar may be in very many places at once. Those beyond this are given up: each of the others still
// leads to a valid end.
constexpr std::size_t kMaxPlaces = 4096;
constexpr std::uint32_t kEnd = UINT32_MAX;  // in a set: the text may end here

std::size_t mix(std::size_t hash, std::size_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 32);
}

}  // namespace

std::size_t GrammarStates::PlaceHash::operator()(const Place& place) const {
  return mix(mix((std::size_t{place.node} << 32) | place.count, place.below), 1);
}

std::size_t GrammarStates::SetHash::operator()(const std::vector<PlaceId>& set) const {
  std::size_t hash = set.size();
  for (const PlaceId place : set) hash = mix(hash, place);
  return hash;
}

GrammarStates::GrammarStates(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)), places_(1), depths_(1, 0), stamps_(1, 0), states_(1) {
  begin_closure();
  reach({grammar_->start(grammar_->root()), 0, kBottom});
  start_ = end_closure();
}

GrammarStates::PlaceId GrammarStates::intern(const Place& place) {
  const auto [found, added] = place_ids_.try_emplace(place, static_cast<PlaceId>(places_.size()));
  if (added) {
    places_.push_back(place);
    depths_.push_back(place.below == kBottom ? std::uint16_t{0} : static_cast<std::uint16_t>(depths_[place.below] + 1));
    stamps_.push_back(0);
    bytes_ += 2 * (sizeof(Place) + sizeof(PlaceId)) + 8;
  }
  return found->second;
}

void GrammarStates::begin_closure() {
  ++stamp_;
  reached_end_ = false;
  reached_.clear();
}

void GrammarStates::reach(const Place& place) {
  step(place);
  while (!open_.empty()) {
    const Place next = places_[open_.back()];
    open_.pop_back();
    const GrammarNode& node = grammar_->node(next.node);
    switch (node.then) {
      case GrammarNode::Then::nothing:
        break;
      case GrammarNode::Then::go:
        // Backwards, so that the first alternative is the first out of the stack.
        for (auto target = node.targets.rbegin(); target != node.targets.rend(); ++target)
          step({*target, next.count, next.below});
        break;
      case GrammarNode::Then::call: {
        const GrammarNode& after = grammar_->node(node.targets[0]);
        // Nothing to come back for.
        const bool last = after.edges.empty() && after.then == GrammarNode::Then::leave;
        const PlaceId below = last ? next.below : intern({node.targets[0], next.count, next.below});
        step({grammar_->start(node.rule), 0, below});
        break;
      }
      case GrammarNode::Then::leave:
        if (next.below == kBottom) {
          reached_end_ = true;
        } else {
          step(places_[next.below]);
        }
        break;
      case GrammarNode::Then::repeat:
        if (next.count >= node.min) step({node.targets[1], 0, next.below});
        if (node.max == GrammarNode::kUnlimited) {
          step({node.targets[0], std::min(next.count + 1, node.min), next.below});
        } else if (next.count < node.max) {
          step({node.targets[0], next.count + 1, next.below});
        }
        break;
    }
  }
}

// Takes a place into the closure, unless no answer of allowed height goes on from there.
void GrammarStates::step(const Place& place) {
  const GrammarNode& node = grammar_->node(place.node);
  const unsigned depth = place.below == kBottom ? 0U : depths_[place.below] + 1U;
  if (depth + node.height > Grammar::kMaxHeight || reached_.size() >= kMaxPlaces) return;
  const PlaceId id = intern(place);
  if (std::exchange(stamps_[id], stamp_) == stamp_) return;
  if (!node.edges.empty()) reached_.push_back(id);
  if (node.then != GrammarNode::Then::nothing) open_.push_back(id);
}

GrammarStates::StateId GrammarStates::end_closure() {
  if (reached_.empty() && !reached_end_) return kDead;
  std::sort(reached_.begin(), reached_.end());
  if (reached_end_) reached_.push_back(kEnd);
  const auto [found, added] = state_ids_.try_emplace(reached_, static_cast<StateId>(states_.size()));
  if (added) {
    if (reached_end_) reached_.pop_back();
    states_.push_back({reached_, reached_end_, nullptr});
    bytes_ += sizeof(State) + 2 * reached_.size() * sizeof(PlaceId) + 64;
  }
  return found->second;
}

std::uint32_t GrammarStates::text_room(StateId state) const {
  std::uint32_t room = 0;
  for (const PlaceId id : states_[state].places) {
    const Place& place = places_[id];
    const GrammarNode& node = grammar_->node(place.node);
    if (node.any_character) {
      // The count includes the character that is read here, or stands still where there is no bound.
      const bool unlimited = node.max == GrammarNode::kUnlimited;
      room = std::max(room, unlimited ? node.max : node.max - place.count + 1);
      continue;
    }
    for (const ByteEdge& edge : node.edges)
      if (edge.first != edge.last || (edge.first != '"' && edge.first != '\\')) return 0;
  }
  return room;
}

const GrammarStates::Row& GrammarStates::make_row(StateId state) {
  struct Way {
    ByteEdge edge;
    std::uint32_t count;
    PlaceId below;
  };
  std::vector<Way> ways;
  std::array<bool, 257> cut{};
  for (const PlaceId id : states_[state].places) {
    const Place place = places_[id];
    for (const ByteEdge& edge : grammar_->node(place.node).edges) {
      ways.push_back({edge, place.count, place.below});
      cut[edge.first] = true;
      cut[std::size_t{edge.last} + 1] = true;
    }
  }
  auto row = std::make_unique<Row>();
  row->fill(kDead);
  for (std::size_t first = 0; first < 256;) {
    std::size_t end = first + 1;
    while (end < 256 && !cut[end]) ++end;
    begin_closure();
    bool any = false;
    for (const Way& way : ways) {
      if (way.edge.first > first || way.edge.last < first) continue;
      any = true;
      reach({way.edge.target, way.count, way.below});
    }
    if (any)
      std::fill(row->begin() + static_cast<std::ptrdiff_t>(first), row->begin() + static_cast<std::ptrdiff_t>(end),
                end_closure());
    first = end;
  }
  bytes_ += sizeof(Row);
  states_[state].row = std::move(row);
  return *states_[state].row;
}

GrammarStates::PlaceId GrammarStates::adopt_place(const GrammarStates& others, PlaceId place) {
  // From the bottom up; the stack is no higher than Grammar::kMaxHeight.
  std::vector<PlaceId> stack;
  for (PlaceId id = place; id != kBottom; id = others.places_[id].below) stack.push_back(id);
  PlaceId below = kBottom;
  for (auto id = stack.rbegin(); id != stack.rend(); ++id) {
    Place copy = others.places_[*id];
    copy.below = below;
    below = intern(copy);
  }
  return below;
}

GrammarStates::StateId GrammarStates::adopt(const GrammarStates& others, StateId state) {
  const State& known = others.states_[state];
  begin_closure();
  for (const PlaceId place : known.places) reached_.push_back(adopt_place(others, place));
  reached_end_ = known.accepting;
  return end_closure();
}

}  // namespace kvasir::engine
