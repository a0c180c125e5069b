// Which KV blocks hold which prefixes: a radix tree over tokens.
//
// A node is a run of whole blocks with their tokens. A child is found by the hash of its first block's tokens, and the
// tokens are compared: a hash is never trusted.
//
//   root ─ [system prompt, 60 blocks] ─┬─ [document A … question, 12 blocks]
//                                      └─ [document B … question, 9 blocks]
//
// The tree holds one reference to each of its blocks. A block that a sequence holds too is not evicted; since a
// sequence holds its whole prefix, no lock is needed besides that count. Used by the engine's thread only.
#pragma once

#include "engine/block_pool.hpp"
#include "engine/tokenizer.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvasir::engine {

// Where a document begins in a prompt.
struct DocumentMark {
  int token = 0;    // its first token
  std::string key;  // rag::Document::key()
};

struct PrefixMatch {
  std::vector<Block> blocks;  // whole blocks, from the first token on
  Block partial;              // a block whose first `partial_tokens` tokens match, to be copied; may be empty
  int partial_tokens = 0;
};

class PrefixTree {
 public:
  // `depth_cost`: how much dearer a token becomes per token before it, relative to a token at the beginning; weighs
  // eviction.
  explicit PrefixTree(double depth_cost) : depth_cost_(depth_cost) {}

  // The longest cached prefix of `tokens` inside `space`. Changes nothing but the statistics of use.
  PrefixMatch match(std::string_view space, std::span<const TokenId> tokens);
  // What match() would find in whole blocks; touches no statistics.
  struct Resident {
    int tokens = 0;
    int unheld_blocks = 0;  // that only the tree holds: evictable until the match holds them
  };
  Resident resident(std::string_view space, std::span<const TokenId> tokens) const;

  // Records that blocks[i] holds tokens [16 i, 16 i + 16). `tokens` covers the blocks exactly. Where the tree already
  // has a block for the same prefix, `blocks[i]` is exchanged for it: equal prefixes hold one block.
  void insert(std::string_view space, std::span<const TokenId> tokens, std::span<Block> blocks,
              std::span<const DocumentMark> documents);

  // Drops blocks that only the tree holds, least valuable first (PGDSF, RAGCache, arXiv 2404.12457: clock + frequency ×
  // recompute cost / size; leaves only). Returns how many became free, at most `wanted`.
  int evict(int wanted);
  // Blocks that evict() could free.
  int evictable() const;
  // Removes each of these documents' first block and all that follows it. Returns the blocks removed from the tree.
  std::uint64_t invalidate(std::span<const std::string> documents);

  int blocks() const { return block_count_; }

 private:
  struct Node;
  using Children = std::unordered_multimap<std::uint64_t, std::unique_ptr<Node>>;
  struct Node {
    Node* parent = nullptr;
    int depth = 0;  // tokens before this node
    std::vector<TokenId> tokens;
    std::vector<Block> blocks;
    std::vector<std::pair<int, std::string>> documents;  // (index of the block a document begins in, its key)
    Children children;
    double priority = 0;
    std::uint64_t uses = 0;
  };

  const Node* root(std::string_view space) const;
  static Node* child(const Node& node, std::span<const TokenId> tokens);
  static int common_blocks(const Node& node, std::span<const TokenId> tokens);
  void touch(Node& node);
  void split(Node& node, int blocks);
  Node& append(Node& parent, std::span<const TokenId> tokens, std::span<Block> blocks);
  // Cuts a node, and everything below it, at this block; the node itself goes when nothing is left.
  int cut(Node& node, int from_block);
  static int count_blocks(const Node& node);

  template <typename F>
  void for_each(F f) const;

  std::map<std::string, std::unique_ptr<Node>, std::less<>> roots_;
  double depth_cost_;
  double clock_ = 0;
  int block_count_ = 0;
};

}  // namespace kvasir::engine
