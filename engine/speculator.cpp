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
  const std::span<const TokenId> prediction = prediction_->tokens();
  for (; seen_ < tokens.size(); ++seen_) {
    if (!lost_ && next_ < prediction.size() && prediction[next_] == tokens[seen_])
      ++next_;
    else
      lost_ = true;
  }
  if (lost_) find_place(tokens.subspan(answer_));
  Guess guess;
  guess.kind = GuessKind::prediction;
  if (lost_) return guess;
  const auto follows = prediction.subspan(next_, std::min(prediction.size() - next_, static_cast<std::size_t>(most)));
  guess.tokens.assign(follows.begin(), follows.end());
  return guess;
}

// Ahead of the last place first: an answer goes through its prediction in order as a rule.
void PredictedAnswer::find_place(std::span<const TokenId> answer) {
  if (answer.size() < Prediction::kRun) return;
  const auto found = prediction_->find(answer.last<Prediction::kRun>(), next_);
  if (!found) return;
  next_ = *found;
  lost_ = false;
}

}  // namespace kvasir::engine
