// Prefixes that stay pinned under names of their callers. Used by the engine's thread only.
#pragma once

#include "engine/prefix_tree.hpp"

#include <cstddef>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// Bounded, for each namespace and for all: what was used longest ago goes first.
class PrefixLabels {
 public:
  static constexpr std::ptrdiff_t kMostOfOneSpace = 32;
  static constexpr std::size_t kMost = 1024;
  static constexpr std::size_t kMostTokens = std::size_t{4} << 20;

  // `tree` outlives the labels.
  explicit PrefixLabels(PrefixTree& tree) : tree_(tree) {}

  // Pins this prefix; another that was pinned under `label` is not any more, unless it has a second label.
  void pin(std::string_view space, const std::string& label, std::span<const TokenId> tokens, std::chrono::seconds ttl);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string space;
    std::string label;
    std::vector<TokenId> tokens;
  };
  using Entries = std::list<Entry>;  // used last first

  void drop(Entries::iterator entry);

  PrefixTree& tree_;
  Entries entries_;
  std::size_t tokens_ = 0;
};

}  // namespace kvasir::engine
