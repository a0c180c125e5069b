// From logits to the next token.
#pragma once

#include "engine/engine.hpp"
#include "engine/token_masks.hpp"
#include "engine/tokenizer.hpp"
#include "kernels/kernels.hpp"

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kvasir::engine {

struct SampledToken {
  TokenId token = 0;
  float logprob = 0;                           // of the model's own distribution: no bias, penalty or temperature
  std::vector<std::pair<TokenId, float>> top;  // best first; as many as asked for
};

// Greedy at temperature 0 (below 1e-4), else a draw. What changes the logits comes in vLLM's order, each on what the
// one before left:
//
//   logit bias ▶ repetition penalty (CTRL, arXiv 1909.05858; of prompt and answer) ▶ frequency and presence penalty (of
//   the answer) ▶ what a format allows ▶ temperature ▶ min-p (arXiv 2407.01082) ▶ top-k ▶ top-p (arXiv 1904.09751)
//
// The random number of a token comes from (seed, index of the token) alone: same seed, same answer, whatever the batch,
// however often the sequence was preempted and whatever speculation proposed.
class Sampler {
 public:
  Sampler(const SamplingParams& params, const kernels::Kernels& kernels);

  // `logits`: one row of the vocabulary. `prompt`: the same in each call. `generated`: the tokens sampled so far; each
  // call has those of the call before. `allowed`: no other token is sampled, if not null; not empty. Logprobs are those
  // of the whole vocabulary in any case.
  SampledToken sample(std::span<const float> logits, std::span<const TokenId> prompt,
                      std::span<const TokenId> generated, const TokenMask* allowed);

  // The same random numbers, without penalties.
  Sampler without_penalties() const;

 private:
  // Below this the best token has all the mass that float can tell.
  bool greedy() const { return params_.temperature < 1e-4F; }
  bool penalizes() const;
  void count(std::span<const TokenId> prompt, std::span<const TokenId> generated);
  // Applies bias and penalties to work_.
  void adjust();
  // Leaves of work_ what is allowed.
  void keep(const TokenMask& allowed);
  TokenId draw(std::uint64_t index, const TokenMask* allowed);
  // `best`: what it comes to if no chance is a number.
  TokenId draw_from_nucleus(float u, TokenId best);

  SamplingParams params_;
  const kernels::Kernels& kernels_;
  std::uint64_t seed_;
  std::unordered_map<TokenId, int> counts_;  // how often it was generated; those of the prompt are there too, if needed
  std::size_t counted_ = 0;                  // generated tokens
  std::vector<float> work_;
  std::vector<float> kept_;
  std::vector<std::pair<float, TokenId>> nucleus_;
};

}  // namespace kvasir::engine
