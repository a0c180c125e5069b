// Which KV blocks hold which prefixes: a radix tree over tokens.
//
// A node is a run of whole blocks with their tokens. A child is found by the hash of its first block's tokens, and the
// tokens are compared: a hash is never trusted.
//
//   root ─ [system prompt, 60 blocks] ─┬─ [document A … question, 12 blocks]
//                                      └─ [document B … question, 9 blocks]
//
// The tree holds one reference to each of its blocks. A block that a sequence holds too is not evicted; since a
// sequence holds its whole prefix until its window slides, no lock is needed besides that count. A pin is on the node
// where its prefix ends: leaves go first, so what leads to it stays as well. Used by the engine's thread only.
#pragma once

#include "engine/block_pool.hpp"
#include "engine/eviction_policy.hpp"
#include "engine/tokenizer.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
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

// Blocks of the tree, and what leads to them.
struct CachedRun {
  std::string_view space;
  std::span<const TokenId> prefix;                         // whole blocks, to the end of `blocks`
  std::span<const Block> blocks;                           // its last ones
  std::span<const std::pair<int, std::string>> documents;  // of the prefix, by the block that each begins in
};

class PrefixTree {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;

  // All blocks come from `pool`, which outlives the tree. `now` tells when pins end.
  PrefixTree(BlockPool& pool, std::unique_ptr<EvictionPolicy> policy, Now now = Clock::now);
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  // The longest cached prefix of `tokens` inside `space`. It counts as used and its pins begin anew; a node of which it
  // uses a part is split there, so that only that part counts.
  PrefixMatch match(std::string_view space, std::span<const TokenId> tokens);
  // What match() would find in whole blocks; changes nothing.
  struct Resident {
    int tokens = 0;
    int evictable_blocks = 0;  // until the match holds them
  };
  Resident resident(std::string_view space, std::span<const TokenId> tokens) const;

  // Is told of blocks before they are evicted, but for those behind a slid window. A prefix with more documents than
  // the tree keeps apart is never told.
  using Visit = std::function<bool(const CachedRun&)>;
  void on_evict(std::function<void(const CachedRun&)> told) { evicted_ = std::move(told); }
  // Tells of all blocks, what leads to a run before it and the most valuable first, until `visit` returns false.
  void visit(const Visit& visit) const;

  // Records that blocks[i] holds tokens [16 i, 16 i + 16). `tokens` covers the blocks exactly. Where the tree already
  // has a block for the same prefix, `blocks[i]` is exchanged for it: equal prefixes hold one block. Documents are in
  // the order of their tokens; those that begin later are left out.
  void insert(std::string_view space, std::span<const TokenId> tokens, std::span<Block> blocks,
              std::span<const DocumentMark> documents);

  // Drops blocks that only the tree holds and no pin protects, least valuable first, leaves only. A sequence whose
  // window slid holds blocks without all that lead to them: when nothing else is left, these go, and the tree forgets
  // what follows them. Returns how many became free, more than `wanted` only in that case.
  int evict(int wanted);
  // Blocks that evict() could free, but for pins that have ended since expire_pins().
  int evictable() const { return pool_.idle(Hold::cached); }
  // Blocks that only the tree holds, pinned or not.
  int idle() const { return pool_.idle(Hold::cached) + pool_.idle(Hold::pinned); }
  // Removes each of these documents' first block and all that follows it, with the pins that end there; also blocks of
  // which so many documents were known that they are not kept apart. Returns the blocks removed from the tree.
  std::uint64_t invalidate(std::span<const std::string> documents);

  // Keeps the whole blocks of this prefix until nobody has used it for `ttl`. A later pin of the same prefix replaces
  // it. Pins together hold at most half of the pool: a new one takes the room of those that would end first. False: not
  // all of it is cached, or it is longer than that half, or shorter than a block.
  bool pin(std::string_view space, std::span<const TokenId> tokens, std::chrono::seconds ttl);
  // Ends the pin of this prefix, if it has one.
  void unpin(std::string_view space, std::span<const TokenId> tokens);
  // Ends the pins whose time is over.
  void expire_pins();
  // Ends the pin that would end first. False: there is none.
  bool give_up_pin();
  int pins() const { return static_cast<int>(pins_.size()); }

  int blocks() const { return block_count_; }
  // Namespaces that have some.
  int spaces() const { return static_cast<int>(roots_.size()); }
  int pinned_blocks() const { return pinned_blocks_; }

 private:
  struct Node;
  using Pins = std::multimap<Clock::time_point, Node*>;  // by when they end
  struct Pin {
    std::chrono::seconds ttl;
    Pins::iterator at;
  };
  struct Node {
    Node* parent = nullptr;  // null: the root of a namespace
    int depth = 0;           // tokens before this node
    std::vector<TokenId> tokens;
    std::vector<Block> blocks;
    std::vector<std::pair<int, std::string>> documents;  // (index of the block a document begins in, its key)
    std::optional<int> any_document;  // from this block on, too many have been marked: it may hold any
    std::unordered_multimap<std::uint64_t, std::unique_ptr<Node>> children;
    double priority = 0;
    std::uint64_t uses = 0;
    std::uint64_t moment = 0;  // of the last use
    std::optional<Pin> pin;
    int pins_below = 0;  // its own included
  };
  struct LessValuable {
    bool operator()(const Node* a, const Node* b) const;
  };

  const Node* root(std::string_view space) const;
  static Node* child(const Node& node, std::span<const TokenId> tokens);
  static int common_blocks(const Node& node, std::span<const TokenId> tokens);
  static void mark(Node& node, std::span<const DocumentMark> documents);
  static void drop_marks(Node& node, int from_block);

  void touch(Node& node);
  void split(Node& node, int blocks);
  void append(Node& parent, std::span<const TokenId> tokens, std::span<Block> blocks,
              std::span<const DocumentMark> documents);
  // Cuts a node, and everything below it, at this block; the node itself goes when nothing is left. Returns the blocks
  // removed.
  int cut(Node& node, int from_block);
  // Calls `visit` with the node's blocks from this one on, and returns what it did.
  bool tell(const Node& node, int from_block, const Visit& visit) const;
  // Cuts the way to this leaf at the first block that only the tree holds. Returns how many became free.
  int cut_way(Node& leaf);
  void erase_empty_roots();
  // Both keep `leaves_`: before a change of what it is ordered by, and after it.
  void unlist(Node& node) { leaves_.erase(&node); }
  void list(Node& node);

  // Looks up the node where these whole blocks end, splitting it if need be; null if they are not all cached.
  Node* find_end(std::string_view space, std::span<const TokenId> tokens);
  void set_pin(Node& node, std::chrono::seconds ttl);
  void drop_pin(Node& node);
  // Blocks that a pin here would add to the pinned ones.
  static int unpinned_blocks_above(const Node& node);

  BlockPool& pool_;
  std::unique_ptr<EvictionPolicy> policy_;
  Now now_;
  std::map<std::string, std::unique_ptr<Node>, std::less<>> roots_;
  std::function<void(const CachedRun&)> evicted_;
  std::set<Node*, LessValuable> leaves_;  // that no pin is on
  Pins pins_;
  std::uint64_t moment_ = 0;
  int block_count_ = 0;
  int pinned_blocks_ = 0;
};

}  // namespace kvasir::engine
