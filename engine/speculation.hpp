// Speculative decoding: guess tokens cheaply, verify many in one step.
//
// A step runs the last token and k guessed ones as one segment and has logits of k + 1 rows. Each row is sampled as it
// would be without speculation: from its own logits, with the random number of its index (Sampler), under its own mask,
// penalties and stop strings. The first token always counts; the next row counts if the guess before it is what was
// sampled. So the answer is the one without speculation, bit for bit, for any sampling, and not only in distribution as
// with rejection sampling (arXiv 2211.17192), which needs the guesser's probabilities and fresh random numbers. The
// price: at a high temperature a certain guess is accepted as often as it is sampled, and no more.
//
// The KV of rejected tokens stays in slots behind the sequence's end: they are written again before anything reads
// them, and the tree records what was accepted only.
#pragma once

#include "engine/speculator.hpp"
#include "engine/step_costs.hpp"

#include <array>
#include <memory>
#include <span>
#include <vector>

namespace kvasir::engine {

// The guesses of one sequence. They are made before each of its decode steps, and compared with what was sampled even
// if none was verified: a sequence whose guesses are bad finds out for free when they become good.
class Speculation {
 public:
  // Asked in this order until a guess is likely; else the likeliest is taken. `most`: guesses at once.
  Speculation(std::vector<std::unique_ptr<Speculator>> speculators, int most)
      : speculators_(std::move(speculators)), most_(most) {}

  // What may follow `tokens`, no more than `most`.
  void guess(std::span<const TokenId> tokens, int most);
  std::span<const TokenId> guessed() const { return guess_.tokens; }
  // Drops guesses from this one on.
  void cut(std::size_t from) { guess_.tokens.resize(from); }
  // That a guess is right if those before it are.
  double chance() const { return chance_of(guess_.kind); }

  // The first guesses go into this step.
  void verify(int guesses) { verified_ = guesses; }
  int verified() const { return verified_; }
  // What the step's segment has: the sequence's last token and the guesses to verify.
  std::span<const TokenId> segment(TokenId last);

  struct Verdict {
    int accepted = 0;
    int rejected = 0;
  };
  // What was sampled instead of guessing. Ends the step.
  Verdict observe(std::span<const TokenId> sampled);
  // Of all steps so far.
  const Verdict& total() const { return total_; }

 private:
  double chance_of(GuessKind kind) const;

  std::vector<std::unique_ptr<Speculator>> speculators_;
  int most_;
  Guess guess_;
  int verified_ = 0;
  std::vector<TokenId> segment_;
  std::array<double, kGuessKinds> chances_{0.15, 0.35, 0.6, 0.8, 0.7};  // moving averages, from what is usual on
  Verdict total_;
};

// Divides a step's guesses: calls verify() with the lengths that give the most tokens a second, given `decoding`
// sequences that get one token each in any case. All zero unless the gain is sure to exceed the cost; `most` in all.
// Nothing is verified before there is a cost.
void choose_lengths(std::span<Speculation* const> sequences, int decoding, int most, const StepCosts& costs);

}  // namespace kvasir::engine
