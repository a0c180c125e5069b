// The vocabulary as a tree of bytes: tokens with the same beginning are looked at together.
#pragma once

#include "engine/tokenizer.hpp"

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::engine {

// Tokens by their bytes, in depth-first order: what is below node i are the nodes up to its `end`.
struct TokenTree {
  struct Node {
    std::uint32_t end = 0;
    std::uint32_t first_token = 0;  // in `tokens`
    std::uint16_t count = 0;        // tokens that end here; there may be several with the same bytes
    std::uint16_t depth = 0;        // bytes up to here, at least 1
    std::uint8_t byte = 0;
  };
  std::vector<Node> nodes;
  std::vector<TokenId> tokens;

  // `sorted` by bytes.
  static TokenTree of(std::span<const std::pair<std::string_view, TokenId>> sorted);
};

// Immutable; any thread. Control tokens are not in it: they have no bytes.
class TokenTrie {
 public:
  explicit TokenTrie(const Tokenizer& tokenizer);

  const TokenTree& all() const { return all_; }
  // Plain tokens are whole characters that a JSON string may hold as they are; these are the others.
  const TokenTree& not_plain() const { return not_plain_; }
  // Plain tokens of at most so many characters.
  std::span<const TokenId> plain(std::uint32_t characters) const;
  std::span<const TokenId> ends() const { return ends_; }  // that end an answer; ascending
  std::size_t max_depth() const { return max_depth_; }
  int vocabulary() const { return vocabulary_; }
  // JSON can be spelled from any point on: ASCII and the bytes inside of characters have tokens of their own.
  bool spells_json() const { return spells_json_; }

 private:
  TokenTree all_;
  TokenTree not_plain_;
  std::vector<TokenId> plain_;           // shortest first
  std::vector<std::size_t> plain_ends_;  // by characters
  std::vector<TokenId> ends_;
  std::size_t max_depth_ = 0;
  int vocabulary_ = 0;
  bool spells_json_ = true;
};

}  // namespace kvasir::engine
