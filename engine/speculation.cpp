#include "engine/speculation.hpp"

#include <algorithm>

namespace kvasir::engine {
namespace {

constexpr double kNew = 0.15;     // weight of a new observation
constexpr double kMargin = 1.05;  // the least that speculation must promise
constexpr double kLikely = 0.5;

}  // namespace

void Speculation::guess(std::span<const TokenId> tokens, int most) {
  guess_.tokens.clear();
  verified_ = 0;
  most = std::min(most, most_);
  if (most <= 0) return;
  for (const auto& speculator : speculators_) {
    Guess guess = speculator->guess(tokens, most);
    if (guess.tokens.empty()) continue;
    if (guess_.tokens.empty() || chance_of(guess.kind) > chance()) guess_ = std::move(guess);
    if (chance() >= kLikely) return;
  }
}

double Speculation::chance_of(GuessKind kind) const {
  return std::min(0.98, chances_[static_cast<std::size_t>(kind)]);
}

std::span<const TokenId> Speculation::segment(TokenId last) {
  segment_.assign(1, last);
  segment_.insert(segment_.end(), guess_.tokens.begin(), guess_.tokens.begin() + verified_);
  return segment_;
}

Speculation::Verdict Speculation::observe(std::span<const TokenId> sampled) {
  const std::size_t compared = std::min(sampled.size(), guess_.tokens.size());
  const auto right = static_cast<std::size_t>(
      std::mismatch(sampled.begin(), sampled.begin() + static_cast<std::ptrdiff_t>(compared), guess_.tokens.begin())
          .first -
      sampled.begin());
  double& chance = chances_[static_cast<std::size_t>(guess_.kind)];
  for (std::size_t i = 0; i < right; ++i) chance += kNew * (1 - chance);
  if (right < compared) chance -= kNew * chance;
  Verdict verdict;
  verdict.accepted = std::min(static_cast<int>(right), verified_);
  verdict.rejected = verified_ - verdict.accepted;
  total_.accepted += verdict.accepted;
  total_.rejected += verdict.rejected;
  guess_.tokens.clear();
  verified_ = 0;
  return verdict;
}

void choose_lengths(std::span<Speculation* const> sequences, int decoding, int most, const StepCosts& costs) {
  struct Candidate {
    double chance;  // that it is accepted
    Speculation* sequence;
  };
  std::vector<Candidate> candidates;
  for (Speculation* sequence : sequences) {
    double chance = 1;
    for (std::size_t i = 0; i < sequence->guessed().size(); ++i)
      candidates.push_back({chance *= sequence->chance(), sequence});
  }
  // Chances fall along a sequence, so that its guesses stay in order.
  std::ranges::stable_sort(candidates, std::greater{}, &Candidate::chance);
  candidates.resize(std::min(candidates.size(), static_cast<std::size_t>(std::max(0, most))));
  double tokens = decoding;
  double best_rate = kMargin * tokens / costs.seconds(decoding);
  std::size_t best = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    tokens += candidates[i].chance;
    const double rate = tokens / costs.seconds(decoding + static_cast<int>(i) + 1);
    if (rate <= best_rate) continue;
    best_rate = rate;
    best = i + 1;
  }
  for (std::size_t i = 0; i < best; ++i) candidates[i].sequence->verify(candidates[i].sequence->verified() + 1);
}

}  // namespace kvasir::engine
