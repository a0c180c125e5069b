// From logits to the next token.
#pragma once

#include "engine/engine.hpp"
#include "engine/token_masks.hpp"
#include "engine/tokenizer.hpp"
#include "kernels/kernels.hpp"

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace kvasir::engine {

struct SampledToken {
  TokenId token = 0;
  float logprob = 0;                           // of the model's own distribution: no bias, penalty or temperature
  std::vector<std::pair<TokenId, float>> top;  // best first; as many as asked for
};

// Greedy at temperature 0 (below 1e-4), else temperature, top-k and top-p (Holtzman et al., arXiv 1904.09751). The
// random number of a token comes from (seed, index of the token) alone: same seed, same answer, whatever the batch and
// however often the sequence was preempted.
class Sampler {
 public:
  Sampler(const SamplingParams& params, const kernels::Kernels& kernels);

  // `logits`: one row of the vocabulary. `generated`: the tokens sampled so far. `allowed`: no other token is sampled,
  // if not null; not empty. Logprobs are those of the whole vocabulary in any case.
  SampledToken sample(std::span<const float> logits, std::span<const TokenId> generated, const TokenMask* allowed);

 private:
  // Below this the best token has all the mass that float can tell.
  bool greedy() const { return params_.temperature < 1e-4F; }
  void adjust(std::span<const TokenId> generated);
  // Leaves of work_ what is allowed.
  void keep(const TokenMask& allowed);
  TokenId draw(std::uint64_t index, const TokenMask* allowed);
  TokenId draw_from_nucleus(float u);

  SamplingParams params_;
  const kernels::Kernels& kernels_;
  std::uint64_t seed_;
  std::vector<float> work_;
  std::vector<float> kept_;
  std::vector<std::pair<float, TokenId>> nucleus_;
};

}  // namespace kvasir::engine
