#include "engine/prefix_tree.hpp"

#include "kernels/kernels.hpp"

#include <algorithm>
#include <queue>

namespace kvasir::engine {
namespace {

constexpr std::size_t kTokens = kernels::kKvBlock;

std::uint64_t hash_block(std::span<const TokenId> tokens) {
  std::uint64_t hash = 0x9E3779B97F4A7C15ULL;
  for (const TokenId token : tokens.first(kTokens)) {
    hash ^= static_cast<std::uint32_t>(token);
    hash *= 0xFF51AFD7ED558CCDULL;
    hash ^= hash >> 32;
  }
  return hash;
}

}  // namespace

template <typename F>
void PrefixTree::for_each(F f) const {
  std::vector<Node*> stack;
  for (const auto& [space, node] : roots_) stack.push_back(node.get());
  while (!stack.empty()) {
    Node* node = stack.back();
    stack.pop_back();
    for (const auto& [hash, next] : node->children) stack.push_back(next.get());
    if (node->parent != nullptr) f(*node);
  }
}

const PrefixTree::Node* PrefixTree::root(std::string_view space) const {
  const auto found = roots_.find(space);
  return found == roots_.end() ? nullptr : found->second.get();
}

PrefixTree::Node* PrefixTree::child(const Node& node, std::span<const TokenId> tokens) {
  if (tokens.size() < kTokens) return nullptr;
  const auto [first, last] = node.children.equal_range(hash_block(tokens));
  for (auto it = first; it != last; ++it)
    if (std::equal(tokens.begin(), tokens.begin() + kTokens, it->second->tokens.begin())) return it->second.get();
  return nullptr;
}

int PrefixTree::common_blocks(const Node& node, std::span<const TokenId> tokens) {
  const std::size_t limit = std::min(node.tokens.size(), tokens.size());
  const auto end = node.tokens.begin() + static_cast<std::ptrdiff_t>(limit);
  const auto differs = std::mismatch(node.tokens.begin(), end, tokens.begin()).first;
  return static_cast<int>(static_cast<std::size_t>(differs - node.tokens.begin()) / kTokens);
}

void PrefixTree::touch(Node& node) {
  ++node.uses;
  const double cost = 1.0 + depth_cost_ * (node.depth + static_cast<double>(node.tokens.size()) / 2);
  node.priority = clock_ + static_cast<double>(node.uses) * cost;
}

PrefixMatch PrefixTree::match(std::string_view space, std::span<const TokenId> tokens) {
  PrefixMatch result;
  const Node* node = root(space);
  while (node != nullptr) {
    Node* next = child(*node, tokens);
    if (next == nullptr) break;
    touch(*next);
    const int whole = common_blocks(*next, tokens);
    for (int i = 0; i < whole; ++i) result.blocks.push_back(next->blocks[static_cast<std::size_t>(i)].share());
    tokens = tokens.subspan(static_cast<std::size_t>(whole) * kTokens);
    node = next;
    if (static_cast<std::size_t>(whole) < next->blocks.size()) break;
  }
  if (node == nullptr || tokens.empty()) return result;

  // The best block that begins like what is left: inside the node where the walk ended, or one of its children's first.
  const auto consider = [&](const Node& owner, std::size_t block) {
    const auto from = owner.tokens.begin() + static_cast<std::ptrdiff_t>(block * kTokens);
    const auto until = from + static_cast<std::ptrdiff_t>(std::min(kTokens, tokens.size()));
    const int same = static_cast<int>(std::mismatch(from, until, tokens.begin()).first - from);
    if (same > result.partial_tokens) {
      result.partial_tokens = same;
      result.partial = owner.blocks[block].share();
    }
  };
  // Tokens that were matched below this node's beginning, in blocks.
  std::size_t inside = 0;
  if (node->parent != nullptr) {
    const std::size_t before = static_cast<std::size_t>(node->depth) / kTokens;
    inside = result.blocks.size() - before;
  }
  if (inside < node->blocks.size())
    consider(*node, inside);
  else
    for (const auto& [hash, next] : node->children) consider(*next, 0);
  return result;
}

PrefixTree::Resident PrefixTree::resident(std::string_view space, std::span<const TokenId> tokens) const {
  Resident found;
  const Node* node = root(space);
  while (node != nullptr) {
    const Node* next = child(*node, tokens);
    if (next == nullptr) break;
    const auto whole = static_cast<std::size_t>(common_blocks(*next, tokens));
    found.tokens += static_cast<int>(whole * kTokens);
    for (std::size_t i = 0; i < whole; ++i) found.unheld_blocks += next->blocks[i].references() == 1 ? 1 : 0;
    if (whole < next->blocks.size()) break;
    tokens = tokens.subspan(whole * kTokens);
    node = next;
  }
  return found;
}

void PrefixTree::split(Node& node, int blocks) {
  const auto at = static_cast<std::size_t>(blocks);
  auto lower = std::make_unique<Node>();
  lower->parent = &node;
  lower->depth = node.depth + static_cast<int>(at * kTokens);
  lower->tokens.assign(node.tokens.begin() + static_cast<std::ptrdiff_t>(at * kTokens), node.tokens.end());
  std::move(node.blocks.begin() + blocks, node.blocks.end(), std::back_inserter(lower->blocks));
  node.tokens.resize(at * kTokens);
  node.blocks.resize(at);
  for (auto& [block, key] : node.documents)
    if (block >= blocks) lower->documents.emplace_back(block - blocks, key);
  std::erase_if(node.documents, [&](const auto& mark) { return mark.first >= blocks; });
  lower->children = std::move(node.children);
  node.children.clear();
  for (auto& [hash, grandchild] : lower->children) grandchild->parent = lower.get();
  lower->uses = node.uses;
  lower->priority = node.priority;
  const std::uint64_t hash = hash_block(lower->tokens);
  node.children.emplace(hash, std::move(lower));
}

PrefixTree::Node& PrefixTree::append(Node& parent, std::span<const TokenId> tokens, std::span<Block> blocks) {
  auto node = std::make_unique<Node>();
  node->parent = &parent;
  node->depth = parent.depth + static_cast<int>(parent.tokens.size());
  node->tokens.assign(tokens.begin(), tokens.end());
  for (const Block& block : blocks) node->blocks.push_back(block.share());
  block_count_ += static_cast<int>(blocks.size());
  touch(*node);
  return *parent.children.emplace(hash_block(tokens), std::move(node))->second;
}

void PrefixTree::insert(std::string_view space, std::span<const TokenId> tokens, std::span<Block> blocks,
                        std::span<const DocumentMark> documents) {
  auto found = roots_.find(space);
  if (found == roots_.end()) found = roots_.emplace(std::string(space), std::make_unique<Node>()).first;
  Node* node = found->second.get();
  const auto mark = [&](Node& in) {
    const int blocks_before = in.depth / static_cast<int>(kTokens);
    for (const DocumentMark& document : documents) {
      const int block = document.token / static_cast<int>(kTokens) - blocks_before;
      if (block < 0 || block >= static_cast<int>(in.blocks.size())) continue;
      const std::pair<int, std::string> entry{block, document.key};
      if (std::find(in.documents.begin(), in.documents.end(), entry) == in.documents.end())
        in.documents.push_back(entry);
    }
  };
  while (!blocks.empty()) {
    Node* next = child(*node, tokens);
    if (next == nullptr) {
      mark(append(*node, tokens, blocks));
      return;
    }
    const int whole = common_blocks(*next, tokens);
    for (std::size_t i = 0; i < static_cast<std::size_t>(whole); ++i)
      if (blocks[i].id() != next->blocks[i].id()) blocks[i] = next->blocks[i].share();
    tokens = tokens.subspan(static_cast<std::size_t>(whole) * kTokens);
    blocks = blocks.subspan(static_cast<std::size_t>(whole));
    if (!blocks.empty() && static_cast<std::size_t>(whole) < next->blocks.size()) split(*next, whole);
    mark(*next);
    node = next;
  }
}

int PrefixTree::count_blocks(const Node& node) {
  int blocks = static_cast<int>(node.blocks.size());
  for (const auto& [hash, next] : node.children) blocks += count_blocks(*next);
  return blocks;
}

int PrefixTree::cut(Node& node, int from_block) {
  int removed = static_cast<int>(node.blocks.size()) - from_block;
  for (const auto& [hash, next] : node.children) removed += count_blocks(*next);
  block_count_ -= removed;
  if (from_block > 0) {
    node.children.clear();
    node.blocks.resize(static_cast<std::size_t>(from_block));
    node.tokens.resize(static_cast<std::size_t>(from_block) * kTokens);
    std::erase_if(node.documents, [&](const auto& mark) { return mark.first >= from_block; });
    return removed;
  }
  Children& siblings = node.parent->children;
  const auto [first, last] = siblings.equal_range(hash_block(node.tokens));
  siblings.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second.get() == &node; }));
  return removed;
}

int PrefixTree::evict(int wanted) {
  const auto later = [](const Node* a, const Node* b) { return a->priority > b->priority; };
  std::priority_queue<Node*, std::vector<Node*>, decltype(later)> leaves(later);
  const auto offer = [&](Node& node) {
    if (node.parent != nullptr && node.children.empty() && node.blocks.back().references() == 1) leaves.push(&node);
  };
  for_each(offer);
  int freed = 0;
  while (freed < wanted && !leaves.empty()) {
    Node* node = leaves.top();
    leaves.pop();
    clock_ = std::max(clock_, node->priority);
    int keep = static_cast<int>(node->blocks.size());
    while (keep > 0 && freed < wanted && node->blocks[static_cast<std::size_t>(keep - 1)].references() == 1) {
      --keep;
      ++freed;
    }
    Node* parent = node->parent;
    cut(*node, keep);
    if (keep == 0) offer(*parent);
  }
  return freed;
}

int PrefixTree::evictable() const {
  int count = 0;
  for_each([&](const Node& node) {
    for (const Block& block : node.blocks) count += block.references() == 1 ? 1 : 0;
  });
  return count;
}

std::uint64_t PrefixTree::invalidate(std::span<const std::string> documents) {
  std::uint64_t removed = 0;
  // A cut removes nodes, so each is followed by a new walk.
  for (;;) {
    Node* found = nullptr;
    int block = 0;
    for_each([&](Node& node) {
      for (const auto& [at, key] : node.documents)
        if (found == nullptr && std::find(documents.begin(), documents.end(), key) != documents.end()) {
          found = &node;
          block = at;
        }
    });
    if (found == nullptr) return removed;
    for (const auto& [at, key] : found->documents)
      if (std::find(documents.begin(), documents.end(), key) != documents.end()) block = std::min(block, at);
    removed += static_cast<std::uint64_t>(cut(*found, block));
  }
}

}  // namespace kvasir::engine
