// What a client sees of the sampled tokens: whole characters, and nothing from a stop string on.
#pragma once

#include "engine/engine.hpp"
#include "engine/sampler.hpp"
#include "engine/tokenizer.hpp"

#include <string>
#include <utility>
#include <vector>

namespace kvasir::engine {

// Text that may be the beginning of a stop string is held back until the next tokens decide.
class TextStream {
 public:
  struct Delta {
    std::string text;
    std::vector<TokenLogprob> logprobs;
    bool empty() const { return text.empty() && logprobs.empty(); }
  };

  TextStream(const Tokenizer& tokenizer, Detokenizer::Of of, std::vector<std::string> stop, bool logprobs)
      : tokenizer_(tokenizer), detokenizer_(tokenizer, of), stop_(std::move(stop)), wants_logprobs_(logprobs) {}

  Delta push(const SampledToken& sampled);
  // What was held back, when the answer ends otherwise.
  Delta finish();
  // A stop string was met; nothing after it will be shown.
  bool stopped() const { return stopped_; }

 private:
  Delta release(std::size_t bytes);
  std::size_t safe_bytes() const;
  bool cut_at_stop();

  const Tokenizer& tokenizer_;
  Detokenizer detokenizer_;
  std::vector<std::string> stop_;
  bool wants_logprobs_;
  std::string held_;
  std::vector<std::pair<std::size_t, TokenLogprob>> held_logprobs_;  // with the end of the token's text in held_
  bool stopped_ = false;
};

}  // namespace kvasir::engine
