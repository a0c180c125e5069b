// How fast the engine has worked of late, and how long its answers were: for an honest Retry-After.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>

namespace kvasir::engine {

class Pace {
 public:
  using Seconds = std::chrono::duration<double>;

  // A step computed this many tokens, of prompts and answers.
  void step(int tokens, Seconds took) {
    const double kept = std::exp(-took / kMemory);
    tokens_ = kept * tokens_ + tokens;
    busy_ = kept * busy_ + took;
  }
  void answered(int tokens) { answer_tokens_ += 0.1 * (tokens - answer_tokens_); }

  // Tokens that an answer may still come to.
  double left_of_answer(int generated, int max_tokens) const {
    return std::clamp(answer_tokens_ - generated, 1.0, std::max(1.0, static_cast<double>(max_tokens - generated)));
  }
  Seconds time_for(double tokens) const { return tokens / tokens_ * busy_; }

 private:
  static constexpr Seconds kMemory{30};
  // A guess that the first second of work outweighs.
  double tokens_ = 100;
  Seconds busy_{1};
  double answer_tokens_ = 128;  // mean
};

}  // namespace kvasir::engine
