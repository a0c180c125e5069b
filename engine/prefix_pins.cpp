// Pins of the prefix tree.
#include "engine/prefix_tree.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>

namespace kvasir::engine {

PrefixTree::Node* PrefixTree::find_end(std::string_view space, std::span<const TokenId> tokens) {
  const auto found = roots_.find(space);
  if (found == roots_.end()) return nullptr;
  Node* node = found->second.get();
  tokens = tokens.first(tokens.size() / kernels::kKvBlock * kernels::kKvBlock);
  while (!tokens.empty()) {
    Node* next = child(*node, tokens);
    if (next == nullptr) return nullptr;
    const int whole = common_blocks(*next, tokens);
    tokens = tokens.subspan(static_cast<std::size_t>(whole) * kernels::kKvBlock);
    if (static_cast<std::size_t>(whole) < next->blocks.size()) {
      if (!tokens.empty()) return nullptr;
      split(*next, whole);
    }
    node = next;
  }
  return node->parent == nullptr ? nullptr : node;
}

int PrefixTree::unpinned_blocks_above(const Node& node) {
  int blocks = 0;
  for (const Node* at = &node; at != nullptr; at = at->parent)
    if (at->pins_below == 0) blocks += static_cast<int>(at->blocks.size());
  return blocks;
}

bool PrefixTree::pin(std::string_view space, std::span<const TokenId> tokens, std::chrono::seconds ttl) {
  expire_pins();
  Node* node = find_end(space, tokens);
  if (node == nullptr) return false;
  const int limit = pool_.total() / 2;
  if (node->depth / kernels::kKvBlock + static_cast<int>(node->blocks.size()) > limit) return false;
  while (pinned_blocks_ + unpinned_blocks_above(*node) > limit) give_up_pin();
  set_pin(*node, ttl);
  return true;
}

void PrefixTree::unpin(std::string_view space, std::span<const TokenId> tokens) {
  Node* node = find_end(space, tokens);
  if (node == nullptr || !node->pin) return;
  drop_pin(*node);
  list(*node);
}

void PrefixTree::set_pin(Node& node, std::chrono::seconds ttl) {
  if (node.pin) {
    pins_.erase(node.pin->at);
  } else {
    unlist(node);
    for (Node* at = &node; at != nullptr; at = at->parent) {
      if (at->pins_below++ > 0) continue;
      pinned_blocks_ += static_cast<int>(at->blocks.size());
      for (Block& block : at->blocks) block.set_hold(Hold::pinned);
    }
  }
  node.pin = Pin{ttl, pins_.emplace(now_() + ttl, &node)};
}

void PrefixTree::drop_pin(Node& node) {
  pins_.erase(node.pin->at);
  node.pin.reset();
  for (Node* at = &node; at != nullptr; at = at->parent) {
    if (--at->pins_below > 0) continue;
    pinned_blocks_ -= static_cast<int>(at->blocks.size());
    for (Block& block : at->blocks) block.set_hold(Hold::cached);
  }
}

void PrefixTree::expire_pins() {
  while (!pins_.empty() && pins_.begin()->first <= now_()) give_up_pin();
}

bool PrefixTree::give_up_pin() {
  if (pins_.empty()) return false;
  Node& node = *pins_.begin()->second;
  drop_pin(node);
  list(node);
  return true;
}

}  // namespace kvasir::engine
