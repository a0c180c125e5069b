#include "engine/token_masks.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::engine {
namespace {

// Up to so many tokens are cheaper as a list.
constexpr std::size_t kFew = 256;

}  // namespace

bool TokenMask::contains(TokenId token) const {
  if (bits.empty()) return std::binary_search(few.begin(), few.end(), token);
  const auto at = static_cast<std::size_t>(token);
  return at / 64 < bits.size() && ((bits[at / 64] >> (at % 64)) & 1U) != 0;
}

TokenMasks::TokenMasks(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie)
    : trie_(std::move(trie)),
      states_(std::move(grammar)),
      rows_(trie_->max_depth() + 1),
      bits_((static_cast<std::size_t>(trie_->vocabulary()) + 63) / 64) {}

const TokenMask& TokenMasks::mask(GrammarStates::StateId state) {
  if (state >= masks_.size()) masks_.resize(states_.size());
  auto& mask = masks_[state];
  if (!mask) {
    auto made = compute(state);  // may add states, never moves masks
    bytes_ +=
        sizeof(TokenMask) + made->few.capacity() * sizeof(TokenId) + made->bits.capacity() * sizeof(std::uint64_t);
    mask = std::move(made);
  }
  return *mask;
}

std::unique_ptr<TokenMask> TokenMasks::compute(GrammarStates::StateId state) {
  std::fill(bits_.begin(), bits_.end(), 0);
  std::size_t count = 0;
  const auto allow = [&](TokenId token) {
    bits_[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (static_cast<std::size_t>(token) % 64);
    ++count;
  };
  if (states_.accepting(state))
    for (const TokenId token : trie_->ends()) allow(token);
  // In the middle of a string nearly all tokens are text: those need no walk.
  const std::uint32_t room = states_.text_room(state);
  for (const TokenId token : trie_->plain(room)) allow(token);
  const TokenTree& tree = room > 0 ? trie_->not_plain() : trie_->all();
  rows_[0] = &states_.row(state);
  for (std::size_t i = 0; i < tree.nodes.size();) {
    const TokenTree::Node& node = tree.nodes[i];
    const GrammarStates::StateId next = (*rows_[node.depth - 1U])[node.byte];
    if (next == GrammarStates::kDead) {
      i = node.end;
      continue;
    }
    for (std::uint32_t token = 0; token < node.count; ++token) allow(tree.tokens[node.first_token + token]);
    if (node.end > i + 1) rows_[node.depth] = &states_.row(next);
    ++i;
  }
  auto mask = std::make_unique<TokenMask>();
  if (count > kFew) {
    mask->bits = bits_;
  } else {
    mask->few.reserve(count);
    TokenMask all;
    all.bits.swap(bits_);
    all.for_each([&](TokenId token) { mask->few.push_back(token); });
    all.bits.swap(bits_);
  }
  return mask;
}

TokenConstraint::TokenConstraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie)
    : grammar_(std::move(grammar)), trie_(std::move(trie)), masks_(std::make_shared<TokenMasks>(grammar_, trie_)) {}

const std::shared_ptr<TokenMasks>& TokenConstraint::masks() {
  if (masks_->bytes() > kMaxBytes) masks_ = std::make_shared<TokenMasks>(grammar_, trie_);
  return masks_;
}

TokenMatcher::TokenMatcher(std::shared_ptr<TokenConstraint> constraint)
    : constraint_(std::move(constraint)), masks_(constraint_->masks()), state_(masks_->states().start()) {}

void TokenMatcher::move_to_fresh_masks() {
  const auto& current = constraint_->masks();
  if (current == masks_) return;
  state_ = current->states().adopt(masks_->states(), state_);
  masks_ = current;
}

const TokenMask& TokenMatcher::allowed() {
  move_to_fresh_masks();
  return masks_->mask(state_);
}

void TokenMatcher::accept(std::string_view bytes) {
  for (const char c : bytes) {
    if (state_ == GrammarStates::kDead) return;
    state_ = masks_->states().row(state_)[static_cast<std::uint8_t>(c)];
  }
}

}  // namespace kvasir::engine
