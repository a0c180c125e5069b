// Who guesses the next tokens of a sequence.
#pragma once

#include "engine/ngram_index.hpp"
#include "engine/prediction.hpp"
#include "engine/tokenizer.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace kvasir::engine {

// How a guess was found. How often guesses are right is measured for each.
enum class GuessKind { bigram, trigram, fourgram, prediction, draft };
inline constexpr std::size_t kGuessKinds = 5;

struct Guess {
  std::vector<TokenId> tokens;
  GuessKind kind = GuessKind::bigram;
};

class Speculator {
 public:
  virtual ~Speculator() = default;
  // Up to `most` tokens that may follow `tokens`, which begin with what they were in the last call.
  virtual Guess guess(std::span<const TokenId> tokens, int most) = 0;
};

// Prompt lookup (LLMA, arXiv 2304.04487): what followed the last 2 to 4 tokens the last time that they stood in prompt
// or answer.
class PromptLookup final : public Speculator {
 public:
  explicit PromptLookup(std::span<const TokenId> prompt) { index_.extend(prompt); }
  Guess guess(std::span<const TokenId> tokens, int most) override;

 private:
  NgramIndex index_;
};

// An answer that the caller expects. Where the real one leaves it, the place is found again by the last three tokens.
class PredictedAnswer final : public Speculator {
 public:
  PredictedAnswer(std::shared_ptr<const Prediction> prediction, std::size_t prompt_tokens)
      : prediction_(std::move(prediction)), seen_(prompt_tokens), answer_(prompt_tokens) {}
  Guess guess(std::span<const TokenId> tokens, int most) override;

 private:
  void find_place(std::span<const TokenId> answer);

  std::shared_ptr<const Prediction> prediction_;
  std::size_t seen_;
  std::size_t answer_;  // where it begins
  std::size_t next_ = 0;
  bool lost_ = false;
};

}  // namespace kvasir::engine
