#include "engine/prompt_truncation.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::engine {
namespace {

using Turn = std::vector<std::size_t>;

bool instructs(const rag::Message& message) {
  return message.role == rag::Role::system || message.role == rag::Role::developer;
}

// What was said before the last user message.
std::vector<Turn> turns_of(const std::vector<rag::Message>& messages) {
  std::vector<Turn> turns;
  const auto last = std::find_if(messages.rbegin(), messages.rend(),
                                 [](const rag::Message& message) { return message.role == rag::Role::user; });
  const auto end = static_cast<std::size_t>(messages.rend() - last);
  for (std::size_t i = 0; i + 1 < end; ++i) {
    if (instructs(messages[i])) continue;
    if (turns.empty() || messages[i].role == rag::Role::user) turns.emplace_back();
    turns.back().push_back(i);
  }
  return turns;
}

// The number of turns at the end that hold the last `tokens` tokens.
std::size_t recent_turns(const std::vector<rag::Message>& messages, const std::vector<Turn>& turns, int tokens,
                         const CountTokens& count) {
  std::size_t kept = 0;
  while (tokens > 0 && kept < turns.size()) {
    const Turn& turn = turns[turns.size() - ++kept];
    for (const std::size_t i : turn)
      if (tokens > 0) tokens -= count(messages[i].text, tokens);
  }
  return kept;
}

// By turn: whether a range reaches into it.
std::vector<bool> turns_in(const std::vector<rag::Message>& messages, const std::vector<Turn>& turns,
                           const std::vector<std::pair<int, int>>& ranges, const CountTokens& count) {
  std::vector<bool> kept(turns.size());
  int last = 0;
  for (const auto& [from, to] : ranges) last = std::max(last, to);
  int begin = 0;
  for (std::size_t t = 0; t < turns.size() && begin < last; ++t) {
    int end = begin;
    for (const std::size_t i : turns[t])
      if (end < last) end += count(messages[i].text, last - end);
    kept[t] = std::ranges::any_of(
        ranges, [&](const auto& range) { return std::max(range.first, begin) < std::min(range.second, end); });
    begin = end;
  }
  return kept;
}

}  // namespace

PromptTruncation::PromptTruncation(const rag::Prompt& prompt, const PriorityTokens& priority, int context,
                                   const CountTokens& count)
    : prompt_(prompt) {
  const std::vector<Turn> turns = turns_of(prompt.messages);
  const std::size_t recent = recent_turns(prompt.messages, turns, std::min(priority.recent, context), count);
  const std::vector<bool> ranged = turns_in(prompt.messages, turns, priority.ranges, count);
  for (std::size_t i = 0; i + recent < turns.size(); ++i)
    if (!ranged[i]) turns_.push_back(turns[i]);
  if (!prompt.documents_in_text) documents_ = prompt.documents.in_order().size();
}

std::vector<bool> PromptTruncation::gone(std::size_t parts) const {
  std::vector<bool> gone(prompt_.messages.size());
  for (std::size_t t = 0; t < std::min(parts, turns_.size()); ++t)
    for (const std::size_t i : turns_[t]) gone[i] = true;
  return gone;
}

rag::Prompt PromptTruncation::without(std::size_t parts) const {
  const std::vector<bool> leaves = gone(parts);
  rag::Prompt kept;
  kept.documents_in_text = prompt_.documents_in_text;
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (!leaves[i]) kept.messages.push_back(prompt_.messages[i]);
  std::vector<rag::Document> documents = prompt_.documents.in_order();
  documents.resize(documents.size() - documents_gone(parts));
  kept.documents = rag::DocumentSet(std::move(documents));
  return kept;
}

Truncation PromptTruncation::dropped(std::size_t parts) const {
  const std::vector<bool> leaves = gone(parts);
  return {static_cast<int>(std::ranges::count(leaves, true)), static_cast<int>(documents_gone(parts))};
}

std::vector<Breakpoint> PromptTruncation::move(const std::vector<Breakpoint>& breakpoints, std::size_t parts) const {
  const std::vector<bool> leaves = gone(parts);
  std::vector<Breakpoint> moved;
  for (Breakpoint breakpoint : breakpoints) {
    if (breakpoint.of == Breakpoint::Of::message) {
      if (breakpoint.index >= leaves.size() || leaves[breakpoint.index]) continue;
      const auto before = leaves.begin() + static_cast<std::ptrdiff_t>(breakpoint.index);
      breakpoint.index -= static_cast<std::size_t>(std::count(leaves.begin(), before, true));
    } else if (breakpoint.index + documents_gone(parts) >= prompt_.documents.in_order().size()) {
      continue;
    }
    moved.push_back(breakpoint);
  }
  return moved;
}

}  // namespace kvasir::engine
