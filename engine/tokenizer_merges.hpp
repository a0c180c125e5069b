// What both kinds of byte pair encoding do: neighbouring symbols are merged, the best rank first.
// (Sennrich et al., arXiv 1508.07909, section 3.2)
#pragma once

#include "engine/tokenizer.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace kvasir::engine {

// The symbols of one text (fewer than 2^31) as a chain.
class SymbolChain {
 public:
  using Index = std::int32_t;
  struct Merge {
    std::uint32_t rank;  // the smallest first
    TokenId token;       // what it makes
  };

  void clear() {
    symbols_.clear();
    heap_.clear();
  }
  void append(TokenId token) {
    const auto index = static_cast<Index>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({.token = token, .previous = index - 1});
  }

  TokenId token(Index index) const { return symbols_[at(index)].token; }
  Index next(Index index) const { return symbols_[at(index)].next; }  // -1: none
  Index first() const { return symbols_.empty() ? -1 : 0; }

  // Merges until nothing can be merged, of equal ranks the leftmost first; O(n log n) and as many calls of
  // find(left, right), which says what two neighbours make: an optional Merge.
  template <typename Find>
  void merge(Find find) {
    for (Index i = 0; i < static_cast<Index>(symbols_.size()); ++i) propose(i, find);
    while (!heap_.empty()) {
      const std::uint64_t best = heap_.front();
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.pop_back();
      const auto left = static_cast<Index>(best & 0xFFFFFFFFU);
      Symbol& symbol = symbols_[at(left)];
      // What was proposed before one of the two changed is out of date, unless the same rank stands there again.
      if (symbol.merged < 0 || symbol.rank != best >> 32) continue;
      Symbol& right = symbols_[at(symbol.next)];
      symbol.token = symbol.merged;
      symbol.next = right.next;
      right.merged = -1;
      if (symbol.next >= 0) symbols_[at(symbol.next)].previous = left;
      if (symbol.previous >= 0) propose(symbol.previous, find);
      propose(left, find);
    }
  }

 private:
  struct Symbol {
    TokenId token = -1;
    Index previous = -1;     // -1: none
    Index next = -1;         // -1: none
    std::uint32_t rank = 0;  // of the merge with `next`
    TokenId merged = -1;     // what that merge makes; -1: there is no such merge
  };
  static std::size_t at(Index index) { return static_cast<std::size_t>(index); }

  template <typename Find>
  void propose(Index left, Find& find) {
    Symbol& symbol = symbols_[at(left)];
    symbol.merged = -1;
    if (symbol.next < 0) return;
    const std::optional<Merge> merge = find(left, symbol.next);
    if (!merge) return;
    symbol.rank = merge->rank;
    symbol.merged = merge->token;
    heap_.push_back(std::uint64_t{symbol.rank} << 32 | static_cast<std::uint32_t>(left));
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  std::vector<Symbol> symbols_;
  std::vector<std::uint64_t> heap_;  // rank << 32 | index of the left symbol; the smallest in front
};

}  // namespace kvasir::engine
