// What an answer may look like: a context-free grammar over bytes, as a recursive transition network (Woods, 1970).
//
// A rule is a small automaton whose nodes read bytes, branch, count, or call another rule and go on where it returns.
// Together with the stack of returns that is a pushdown automaton over bytes; grammar_states.hpp runs it.
#pragma once

#include "engine/byte_automaton.hpp"

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace kvasir::engine {

struct GrammarNode {
  // What can be done here without reading a byte.
  enum class Then : std::uint8_t {
    nothing,
    go,      // to any of `targets`
    call,    // the rule `rule`, then to targets[0]
    leave,   // the rule is read
    repeat,  // to targets[0], its body, up to `max` times, and to targets[1] after `min` of them
  };
  static constexpr std::uint32_t kNoRule = UINT32_MAX;
  static constexpr std::uint32_t kUnlimited = UINT32_MAX;
  static constexpr std::uint16_t kNever = UINT16_MAX;

  std::vector<ByteEdge> edges;
  Then then = Then::nothing;
  std::vector<std::uint32_t> targets;
  std::uint32_t rule = kNoRule;  // repeat: the rule that each round calls, if it calls one
  std::uint32_t min = 0;
  std::uint32_t max = 0;
  // Reads any one character of a JSON string as it stands (and escapes), at most `max` times. Said of a node so that
  // most of a vocabulary need not be walked there.
  bool any_character = false;
  // Rules inside each other that the way from here to the end of the rule needs at least; kNever: it has no end.
  std::uint16_t height = kNever;
};

// Immutable; any thread.
class Grammar {
 public:
  // Deeper answers are not made: bounds the memory of a stack, and what a client's parser must stand.
  static constexpr std::uint16_t kMaxHeight = 64;

  const GrammarNode& node(std::uint32_t index) const { return nodes_[index]; }
  // Where a rule begins.
  std::uint32_t start(std::uint32_t rule) const { return starts_[rule]; }
  // The rule of the whole answer.
  std::uint32_t root() const { return root_; }
  std::size_t nodes() const { return nodes_.size(); }

 private:
  friend class GrammarBuilder;
  std::vector<GrammarNode> nodes_;
  std::vector<std::uint32_t> starts_;
  std::uint32_t root_ = 0;
};

// Writes rules node by node. A node continues with one thing only; later calls add to `go` and to edges.
class GrammarBuilder {
 public:
  using Node = std::uint32_t;
  using Rule = std::uint32_t;

  // To be filled in later: rules may call each other.
  Rule add_rule();
  void begin(Rule rule, Node start) { grammar_.starts_[rule] = start; }

  Node add_node();
  void add_edge(Node from, std::uint8_t first, std::uint8_t last, Node to) {
    at(from).edges.push_back({first, last, to});
  }
  void go(Node from, Node to);
  void call(Node from, Rule rule, Node next);
  void leave(Node node) { at(node).then = GrammarNode::Then::leave; }
  void repeat(Node node, std::uint32_t min, std::uint32_t max, Node body, Node done,
              Rule called = GrammarNode::kNoRule);
  // The node's edges read any character of a string with at most `max` of them.
  void mark_any_character(Node node, std::uint32_t max) {
    at(node).any_character = true;
    at(node).max = max;
  }
  // A path that reads `text`; returns where it ends.
  Node text(Node from, std::string_view text);
  // Reads what the automaton accepts and leaves the rule; returns where that begins.
  Node automaton(const ByteDfa& dfa);

  std::size_t nodes() const { return grammar_.nodes_.size(); }
  std::size_t rules() const { return grammar_.starts_.size(); }

  // Works out the heights. Nothing if `root` has no text of allowed height.
  std::shared_ptr<const Grammar> finish(Rule root);

 private:
  GrammarNode& at(Node node) { return grammar_.nodes_[node]; }
  std::uint16_t height_of(const GrammarNode& node) const;

  Grammar grammar_;
};

}  // namespace kvasir::engine
