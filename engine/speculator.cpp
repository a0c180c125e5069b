#include "engine/speculator.hpp"

#include <algorithm>

namespace kvasir::engine {

Guess PromptLookup::guess(std::span<const TokenId> tokens, int most) {
  index_.extend(tokens);
  Guess guess;
  const NgramIndex::Match match = index_.find(tokens);
  if (match.length == 0) return guess;
  guess.kind = static_cast<GuessKind>(match.length - NgramIndex::kShortest);
  // What follows may run into the guess itself: a text that repeats itself goes on like that.
  for (auto next = static_cast<std::size_t>(match.next); static_cast<int>(guess.tokens.size()) < most; ++next)
    guess.tokens.push_back(next < tokens.size() ? tokens[next] : guess.tokens[next - tokens.size()]);
  return guess;
}

Guess PredictedAnswer::guess(std::span<const TokenId> tokens, int most) {
  for (; seen_ < tokens.size(); ++seen_) {
    if (!lost_ && next_ < prediction_.size() && prediction_[next_] == tokens[seen_])
      ++next_;
    else
      lost_ = true;
  }
  if (lost_) find_place(tokens.subspan(answer_));
  Guess guess;
  guess.kind = GuessKind::prediction;
  if (lost_) return guess;
  const std::size_t end = std::min(prediction_.size(), next_ + static_cast<std::size_t>(most));
  guess.tokens.assign(prediction_.begin() + static_cast<std::ptrdiff_t>(next_),
                      prediction_.begin() + static_cast<std::ptrdiff_t>(end));
  return guess;
}

// Ahead of the last place first: an answer goes through its prediction in order as a rule.
void PredictedAnswer::find_place(std::span<const TokenId> answer) {
  constexpr std::size_t kRun = 3;
  if (answer.size() < kRun) return;
  const auto run = answer.last(kRun);
  const auto from = prediction_.begin() + static_cast<std::ptrdiff_t>(next_);
  auto found = std::search(from, prediction_.end(), run.begin(), run.end());
  if (found == prediction_.end()) found = std::search(prediction_.begin(), prediction_.end(), run.begin(), run.end());
  if (found == prediction_.end()) return;
  next_ = static_cast<std::size_t>(found - prediction_.begin()) + kRun;
  lost_ = false;
}

}  // namespace kvasir::engine
