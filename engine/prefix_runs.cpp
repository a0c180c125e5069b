// What the prefix tree tells of its blocks, for those who keep them elsewhere.
#include "engine/prefix_tree.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <queue>
#include <utility>

namespace kvasir::engine {

bool PrefixTree::tell(const Node& node, int from_block, const Visit& visit) const {
  std::vector<const Node*> way;
  const Node* root = &node;
  for (; root->parent != nullptr; root = root->parent) way.push_back(root);
  std::vector<TokenId> prefix;
  std::vector<std::pair<int, std::string>> documents;
  for (auto at = way.rbegin(); at != way.rend(); ++at) {
    const Node& part = **at;
    // Whoever invalidates a document would not find it there.
    if (part.any_document) return true;
    prefix.insert(prefix.end(), part.tokens.begin(), part.tokens.end());
    for (const auto& [block, key] : part.documents) documents.emplace_back(part.depth / kernels::kKvBlock + block, key);
  }
  std::ranges::sort(documents);
  const auto space = std::ranges::find_if(roots_, [&](const auto& entry) { return entry.second.get() == root; });
  return visit({space->first, prefix, std::span(node.blocks).subspan(static_cast<std::size_t>(from_block)), documents});
}

void PrefixTree::visit(const Visit& visit) const {
  const auto less = [](const Node* a, const Node* b) { return a->priority < b->priority; };
  std::priority_queue<const Node*, std::vector<const Node*>, decltype(less)> next(less);
  const auto add_children = [&](const Node& node) {
    for (const auto& [hash, child] : node.children) next.push(child.get());
  };
  for (const auto& [space, root] : roots_) add_children(*root);
  while (!next.empty()) {
    const Node& node = *next.top();
    next.pop();
    if (!tell(node, 0, visit)) return;
    add_children(node);
  }
}

}  // namespace kvasir::engine
