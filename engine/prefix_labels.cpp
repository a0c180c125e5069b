#include "engine/prefix_labels.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::engine {

void PrefixLabels::pin(std::string_view space, const std::string& label, std::span<const TokenId> tokens,
                       std::chrono::seconds ttl) {
  const auto of_space = [&](const Entry& entry) { return entry.space == space; };
  const auto known =
      std::ranges::find_if(entries_, [&](const Entry& entry) { return of_space(entry) && entry.label == label; });
  if (known != entries_.end() && std::ranges::equal(known->tokens, tokens)) {
    entries_.splice(entries_.begin(), entries_, known);
  } else {
    if (known != entries_.end()) drop(known);
    if (std::ranges::count_if(entries_, of_space) >= kMostOfOneSpace) {
      const auto oldest = std::find_if(entries_.rbegin(), entries_.rend(), of_space);
      drop(std::prev(oldest.base()));
    }
    entries_.push_front({std::string(space), label, {tokens.begin(), tokens.end()}});
    tokens_ += tokens.size();
    while (entries_.size() > kMost || tokens_ > kMostTokens) drop(std::prev(entries_.end()));
  }
  tree_.pin(space, tokens, ttl);
}

void PrefixLabels::drop(Entries::iterator entry) {
  const Entry gone = std::move(*entry);
  entries_.erase(entry);
  tokens_ -= gone.tokens.size();
  const bool shared = std::ranges::any_of(
      entries_, [&](const Entry& other) { return other.space == gone.space && other.tokens == gone.tokens; });
  if (!shared) tree_.unpin(gone.space, gone.tokens);
}

}  // namespace kvasir::engine
