// Which tokens a grammar allows next.
//
// A token is allowed if its bytes lead from the state of the text so far to a live state. The vocabulary is walked once
// as a tree for each state that is met, and the result is kept for all sequences under the same grammar: XGrammar's
// masks (arXiv 2411.15100) of the states that really occur, stacks included, instead of a division into tokens that
// need the stack and those that do not.
#pragma once

#include "engine/grammar_states.hpp"
#include "engine/token_trie.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// A set of tokens.
struct TokenMask {
  std::vector<TokenId> few;         // ascending; used when `bits` is empty
  std::vector<std::uint64_t> bits;  // token t is bit t % 64 of word t / 64

  template <typename Use>
  void for_each(Use use) const {
    for (const TokenId token : few) use(token);
    for (std::size_t word = 0; word < bits.size(); ++word)
      for (std::uint64_t rest = bits[word]; rest != 0; rest &= rest - 1)
        use(static_cast<TokenId>(word * 64 + static_cast<std::size_t>(__builtin_ctzll(rest))));
  }
  bool contains(TokenId token) const;
  bool empty() const { return few.empty() && bits.empty(); }
};

// The states of one grammar with their masks. Used by one thread.
class TokenMasks {
 public:
  TokenMasks(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie);

  GrammarStates& states() { return states_; }
  // Valid as long as this object.
  const TokenMask& mask(GrammarStates::StateId state);
  std::size_t bytes() const { return states_.bytes() + bytes_; }

 private:
  std::unique_ptr<TokenMask> compute(GrammarStates::StateId state);

  std::shared_ptr<const TokenTrie> trie_;
  GrammarStates states_;
  std::vector<std::unique_ptr<TokenMask>> masks_;  // by state
  std::size_t bytes_ = 0;
  std::vector<const GrammarStates::Row*> rows_;  // by depth, during a walk
  std::vector<std::uint64_t> bits_;
};

// A grammar for one vocabulary, as sequences share it. May be made and dropped on any thread; what it holds is used by
// the engine's thread only. When the masks outgrow their bound, sequences move over to fresh ones.
class TokenConstraint {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{8} << 20;

  TokenConstraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie);
  const std::shared_ptr<TokenMasks>& masks();
  const TokenTrie& trie() const { return *trie_; }

 private:
  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenTrie> trie_;
  std::shared_ptr<TokenMasks> masks_;
};

// One sequence's place in its grammar.
class TokenMatcher {
 public:
  explicit TokenMatcher(std::shared_ptr<TokenConstraint> constraint);

  // What may come next. Valid until the next call. Empty if the vocabulary lacks a byte that the grammar asks for (the
  // first of a rare character in an enum, say).
  const TokenMask& allowed();
  // `bytes` of a token that was allowed.
  void accept(std::string_view bytes);
  // The text may end here.
  bool may_end() { return masks_->states().accepting(state_); }
  // Nothing can follow.
  bool complete() { return masks_->states().complete(state_); }
  // False once the text has left the grammar.
  bool alive() const { return state_ != GrammarStates::kDead; }

 private:
  void move_to_fresh_masks();

  std::shared_ptr<TokenConstraint> constraint_;
  std::shared_ptr<TokenMasks> masks_;
  GrammarStates::StateId state_;
};

}  // namespace kvasir::engine
