#include "engine/grammar.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::engine {

using Then = GrammarNode::Then;

GrammarBuilder::Rule GrammarBuilder::add_rule() {
  grammar_.starts_.push_back(0);
  return static_cast<Rule>(grammar_.starts_.size() - 1);
}

GrammarBuilder::Node GrammarBuilder::add_node() {
  grammar_.nodes_.emplace_back();
  return static_cast<Node>(grammar_.nodes_.size() - 1);
}

void GrammarBuilder::go(Node from, Node to) {
  at(from).then = Then::go;
  at(from).targets.push_back(to);
}

void GrammarBuilder::call(Node from, Rule rule, Node next) {
  at(from).then = Then::call;
  at(from).rule = rule;
  at(from).targets = {next};
}

void GrammarBuilder::repeat(Node node, std::uint32_t min, std::uint32_t max, Node body, Node done, Rule called) {
  GrammarNode& repeating = at(node);
  repeating.then = Then::repeat;
  repeating.min = min;
  repeating.max = max;
  repeating.rule = called;
  repeating.targets = {body, done};
}

GrammarBuilder::Node GrammarBuilder::text(Node from, std::string_view text) {
  for (const char c : text) {
    const Node next = add_node();
    const auto byte = static_cast<std::uint8_t>(c);
    add_edge(from, byte, byte, next);
    from = next;
  }
  return from;
}

GrammarBuilder::Node GrammarBuilder::automaton(const ByteDfa& dfa) {
  const auto base = static_cast<Node>(nodes());
  for (const ByteDfa::State& state : dfa.states) {
    const Node node = add_node();
    for (const ByteEdge& edge : state.edges) add_edge(node, edge.first, edge.last, base + edge.target);
    if (state.accepting) leave(node);
  }
  return base;
}

std::uint16_t GrammarBuilder::height_of(const GrammarNode& node) const {
  const auto height = [&](Node other) { return grammar_.nodes_[other].height; };
  const auto inside = [&](Rule rule) {
    const std::uint16_t called = height(grammar_.starts_[rule]);
    return called >= Grammar::kMaxHeight ? GrammarNode::kNever : static_cast<std::uint16_t>(called + 1);
  };
  std::uint16_t least = GrammarNode::kNever;
  for (const ByteEdge& edge : node.edges) least = std::min(least, height(edge.target));
  switch (node.then) {
    case Then::nothing:
      break;
    case Then::go:
      for (const Node target : node.targets) least = std::min(least, height(target));
      break;
    case Then::call:
      least = std::min(least, std::max(inside(node.rule), height(node.targets[0])));
      break;
    case Then::leave:
      least = 0;
      break;
    case Then::repeat: {
      const bool must_call = node.min > 0 && node.rule != GrammarNode::kNoRule;
      least = std::min(least, std::max(height(node.targets[1]), must_call ? inside(node.rule) : std::uint16_t{0}));
      break;
    }
  }
  return least;
}

std::shared_ptr<const Grammar> GrammarBuilder::finish(Rule root) {
  // Heights only fall, and each is that of a real text at any time: where this stops early, a rule merely looks higher.
  bool changed = true;
  for (int round = 0; changed && round < 2 * Grammar::kMaxHeight; ++round) {
    changed = false;
    for (std::size_t i = grammar_.nodes_.size(); i-- > 0;) {
      const std::uint16_t height = height_of(grammar_.nodes_[i]);
      changed = changed || height != grammar_.nodes_[i].height;
      grammar_.nodes_[i].height = height;
    }
  }
  if (grammar_.nodes_[grammar_.start(root)].height > Grammar::kMaxHeight) return nullptr;
  grammar_.root_ = root;
  return std::make_shared<const Grammar>(std::move(grammar_));
}

}  // namespace kvasir::engine
