#include "engine/prefix_tree.hpp"

#include "kernels/kernels.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <tuple>
#include <utility>

namespace kvasir::engine {
namespace {

constexpr std::size_t kTokens = kernels::kKvBlock;
constexpr std::size_t kMostMarks = 256;  // of a node; the same text may come under any number of names

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

// Where a node was split, two have the same use: the depth tells them apart.
bool PrefixTree::LessValuable::operator()(const Node* a, const Node* b) const {
  return std::tie(a->priority, a->moment, a->depth) < std::tie(b->priority, b->moment, b->depth);
}

PrefixTree::PrefixTree(BlockPool& pool, std::unique_ptr<EvictionPolicy> policy, Now now)
    : pool_(pool), policy_(std::move(policy)), now_(std::move(now)) {}

PrefixTree::~PrefixTree() {
  for (const auto& [space, node] : roots_) cut(*node, 0);
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

void PrefixTree::list(Node& node) {
  if (node.parent == nullptr || !node.children.empty() || node.pin) return;
  [[maybe_unused]] const bool alone = leaves_.insert(&node).second;
  assert(alone);
}

void PrefixTree::touch(Node& node) {
  unlist(node);
  ++node.uses;
  node.moment = ++moment_;
  node.priority = policy_->priority({node.depth, static_cast<int>(node.tokens.size()), node.uses, node.moment});
  list(node);
  if (node.pin) set_pin(node, node.pin->ttl);
}

PrefixMatch PrefixTree::match(std::string_view space, std::span<const TokenId> tokens) {
  PrefixMatch result;
  const auto found = roots_.find(space);
  Node* node = found == roots_.end() ? nullptr : found->second.get();
  while (node != nullptr) {
    Node* next = child(*node, tokens);
    if (next == nullptr) break;
    const int whole = common_blocks(*next, tokens);
    if (static_cast<std::size_t>(whole) < next->blocks.size()) split(*next, whole);
    touch(*next);
    for (const Block& block : next->blocks) result.blocks.push_back(block.share());
    tokens = tokens.subspan(next->tokens.size());
    node = next;
  }
  if (node == nullptr) return result;
  // What is left begins like one of the children's first blocks, if like any.
  for (const auto& [hash, next] : node->children) {
    const auto until = next->tokens.begin() + static_cast<std::ptrdiff_t>(std::min(kTokens, tokens.size()));
    const auto same =
        static_cast<int>(std::mismatch(next->tokens.begin(), until, tokens.begin()).first - next->tokens.begin());
    if (same <= result.partial_tokens) continue;
    result.partial_tokens = same;
    result.partial = next->blocks.front().share();
  }
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
    for (std::size_t i = 0; i < whole; ++i) {
      const Block& block = next->blocks[i];
      found.evictable_blocks += block.hold() == Hold::cached && block.references() == 1 ? 1 : 0;
    }
    if (whole < next->blocks.size()) break;
    tokens = tokens.subspan(whole * kTokens);
    node = next;
  }
  return found;
}

// What ends at the node's end or follows it belongs to the lower part then.
void PrefixTree::split(Node& node, int blocks) {
  unlist(node);
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
  if (node.any_document && *node.any_document >= blocks) lower->any_document = *node.any_document - blocks;
  drop_marks(node, blocks);
  lower->children = std::move(node.children);
  node.children.clear();
  for (auto& [hash, grandchild] : lower->children) grandchild->parent = lower.get();
  lower->uses = node.uses;
  lower->moment = node.moment;
  lower->priority = node.priority;
  lower->pins_below = node.pins_below;
  lower->pin = std::exchange(node.pin, std::nullopt);
  if (lower->pin) lower->pin->at->second = lower.get();
  list(*lower);
  const std::uint64_t hash = hash_block(lower->tokens);
  node.children.emplace(hash, std::move(lower));
}

void PrefixTree::mark(Node& node, std::span<const DocumentMark> documents) {
  const int blocks_before = node.depth / static_cast<int>(kTokens);
  for (const DocumentMark& document : documents) {
    const int block = document.token / static_cast<int>(kTokens) - blocks_before;
    if (block < 0 || block >= node.any_document.value_or(static_cast<int>(node.blocks.size()))) continue;
    const std::pair<int, std::string> entry{block, document.key};
    if (std::find(node.documents.begin(), node.documents.end(), entry) != node.documents.end()) continue;
    node.documents.push_back(entry);
    if (node.documents.size() <= kMostMarks) continue;
    node.any_document = std::ranges::min_element(node.documents)->first;
    node.documents.clear();
  }
}

void PrefixTree::drop_marks(Node& node, int from_block) {
  std::erase_if(node.documents, [&](const auto& mark) { return mark.first >= from_block; });
  if (node.any_document && *node.any_document >= from_block) node.any_document.reset();
}

void PrefixTree::append(Node& parent, std::span<const TokenId> tokens, std::span<Block> blocks,
                        std::span<const DocumentMark> documents) {
  Node* node = &parent;
  // A sequence that grows, chunk by chunk or by decoding, is one node as long as nobody else uses it.
  const bool grows = parent.parent != nullptr && parent.children.empty() && !parent.pin && parent.uses == 1;
  unlist(parent);
  if (grows) {
    parent.uses = 0;
  } else {
    auto fresh = std::make_unique<Node>();
    node = fresh.get();
    fresh->parent = &parent;
    fresh->depth = parent.depth + static_cast<int>(parent.tokens.size());
    parent.children.emplace(hash_block(tokens), std::move(fresh));
  }
  node->tokens.insert(node->tokens.end(), tokens.begin(), tokens.end());
  for (const Block& block : blocks) node->blocks.push_back(block.share(Hold::cached));
  block_count_ += static_cast<int>(blocks.size());
  touch(*node);
  mark(*node, documents);
}

void PrefixTree::insert(std::string_view space, std::span<const TokenId> tokens, std::span<Block> blocks,
                        std::span<const DocumentMark> documents) {
  if (blocks.empty()) return;
  auto found = roots_.find(space);
  if (found == roots_.end()) found = roots_.emplace(std::string(space), std::make_unique<Node>()).first;
  Node* node = found->second.get();
  // A node may go on, with another prompt, where these tokens end: documents that begin later are not in it.
  const auto begun = std::count_if(documents.begin(), documents.end(), [&](const DocumentMark& document) {
    return document.token < static_cast<int>(tokens.size());
  });
  documents = documents.first(static_cast<std::size_t>(begun));
  while (!blocks.empty()) {
    Node* next = child(*node, tokens);
    if (next == nullptr) return append(*node, tokens, blocks, documents);
    const int whole = common_blocks(*next, tokens);
    for (std::size_t i = 0; i < static_cast<std::size_t>(whole); ++i)
      if (blocks[i].id() != next->blocks[i].id()) blocks[i] = next->blocks[i].share();
    tokens = tokens.subspan(static_cast<std::size_t>(whole) * kTokens);
    blocks = blocks.subspan(static_cast<std::size_t>(whole));
    if (!blocks.empty() && static_cast<std::size_t>(whole) < next->blocks.size()) split(*next, whole);
    mark(*next, documents);
    node = next;
  }
}

int PrefixTree::cut(Node& node, int from_block) {
  std::vector<Node*> below;
  const auto add_children = [&](const Node& of) {
    for (const auto& [hash, next] : of.children) below.push_back(next.get());
  };
  add_children(node);
  for (std::size_t i = 0; i < below.size(); ++i) add_children(*below[i]);
  int removed = static_cast<int>(node.blocks.size()) - from_block;
  for (Node* gone : below) {
    removed += static_cast<int>(gone->blocks.size());
    unlist(*gone);
    if (gone->pin) drop_pin(*gone);
  }
  unlist(node);
  if (node.pin) drop_pin(node);
  // From the bottom: a chain of nodes may be longer than the stack is deep.
  for (; !below.empty(); below.pop_back()) below.back()->children.clear();
  node.children.clear();
  block_count_ -= removed;
  if (from_block > 0 || node.parent == nullptr) {
    node.blocks.resize(static_cast<std::size_t>(from_block));
    node.tokens.resize(static_cast<std::size_t>(from_block) * kTokens);
    drop_marks(node, from_block);
    list(node);
    return removed;
  }
  Node& parent = *node.parent;
  const auto [first, last] = parent.children.equal_range(hash_block(node.tokens));
  parent.children.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second.get() == &node; }));
  list(parent);
  return removed;
}

int PrefixTree::evict(int wanted) {
  expire_pins();
  int freed = 0;
  bool root_is_empty = false;
  auto next = leaves_.begin();
  while (freed < wanted && next != leaves_.end()) {
    Node& leaf = **next;
    auto keep = static_cast<int>(leaf.blocks.size());
    while (keep > 0 && freed < wanted && leaf.blocks[static_cast<std::size_t>(keep - 1)].references() == 1) {
      --keep;
      ++freed;
    }
    if (keep == static_cast<int>(leaf.blocks.size())) {
      ++next;  // in use; there are no more of these than running sequences
      continue;
    }
    policy_->evicted(leaf.priority);
    if (evicted_)
      tell(leaf, keep, [this](const CachedRun& run) {
        evicted_(run);
        return true;
      });
    const Node& parent = *leaf.parent;
    cut(leaf, keep);
    root_is_empty = root_is_empty || (parent.parent == nullptr && parent.children.empty());
    next = leaves_.begin();
  }
  for (next = leaves_.begin(); freed < wanted && evictable() > 0 && next != leaves_.end();) {
    const int more = cut_way(**next);
    freed += more;
    root_is_empty = root_is_empty || more > 0;
    next = more > 0 ? leaves_.begin() : std::next(next);
  }
  if (root_is_empty) erase_empty_roots();
  return freed;
}

int PrefixTree::cut_way(Node& leaf) {
  Node* at = nullptr;
  std::ptrdiff_t block = 0;
  for (Node* node = &leaf; node != nullptr; node = node->parent) {
    const auto idle = std::ranges::find_if(
        node->blocks, [](const Block& held) { return held.references() == 1 && held.hold() == Hold::cached; });
    if (idle == node->blocks.end()) continue;
    at = node;
    block = idle - node->blocks.begin();
  }
  if (at == nullptr) return 0;
  const int before = pool_.free();
  cut(*at, static_cast<int>(block));
  return pool_.free() - before;
}

// Namespaces come and go: a tenant's, or those of an adapter at any scale.
void PrefixTree::erase_empty_roots() {
  std::erase_if(roots_, [](const auto& root) { return root.second->children.empty(); });
}

std::uint64_t PrefixTree::invalidate(std::span<const std::string> documents) {
  std::uint64_t removed = 0;
  std::vector<Node*> left;
  for (const auto& [space, node] : roots_) left.push_back(node.get());
  while (!left.empty()) {
    Node& node = *left.back();
    left.pop_back();
    auto from = static_cast<int>(node.blocks.size());
    if (!documents.empty()) from = std::min(from, node.any_document.value_or(from));
    for (const auto& [block, key] : node.documents)
      if (std::find(documents.begin(), documents.end(), key) != documents.end()) from = std::min(from, block);
    if (from < static_cast<int>(node.blocks.size()))
      removed += static_cast<std::uint64_t>(cut(node, from));
    else
      for (const auto& [hash, next] : node.children) left.push_back(next.get());
  }
  erase_empty_roots();
  return removed;
}

}  // namespace kvasir::engine
