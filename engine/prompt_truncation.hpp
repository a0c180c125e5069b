// What of a prompt may go when it is too long for the context, and in which order: the oldest turns, then the documents
// that come last. The system prompt, the last user message and what follows it always stay.
#pragma once

#include "engine/engine.hpp"

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// Counts the tokens of a text, but says `most` as soon as it has more.
using CountTokens = std::function<int(std::string_view text, int most)>;

class PromptTruncation {
 public:
  // `prompt` outlives the truncation. Tokens are counted only as far as `priority` goes, and never more of them than
  // `context` for its most recent ones.
  PromptTruncation(const rag::Prompt& prompt, const PriorityTokens& priority, int context, const CountTokens& count);

  // Parts that may go. A turn is one part: a user's message and all that answered it, tool calls with their results.
  std::size_t parts() const { return turns_.size() + documents_; }
  // The prompt without its `parts` least important parts.
  rag::Prompt without(std::size_t parts) const;
  Truncation dropped(std::size_t parts) const;
  // Where the breakpoints are then; those of what is gone are left out.
  std::vector<Breakpoint> move(const std::vector<Breakpoint>& breakpoints, std::size_t parts) const;

 private:
  using Turn = std::vector<std::size_t>;  // messages of the prompt

  // By message of the prompt.
  std::vector<bool> gone(std::size_t parts) const;
  std::size_t documents_gone(std::size_t parts) const { return parts > turns_.size() ? parts - turns_.size() : 0; }

  const rag::Prompt& prompt_;
  std::vector<Turn> turns_;  // that may go, oldest first
  std::size_t documents_ = 0;
};

}  // namespace kvasir::engine
