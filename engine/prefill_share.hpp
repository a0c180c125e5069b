// How much of the prompts a step reads while others decode.
#pragma once

namespace kvasir::engine {

// Keeps such a step within so many times what decoding alone takes. What a token of a prompt adds is learned from step
// to step: it grows with what stands before it.
class PrefillShare {
 public:
  // 0: no limit. Above 1 otherwise.
  explicit PrefillShare(double slowdown) : slowdown_(slowdown) {}

  // Tokens, `most` at most. `decode_seconds`: what the step would take without them; 0: not known.
  int tokens(double decode_seconds, int most) const;
  // A step with these many of them took so long.
  void measured(double decode_seconds, int tokens, double seconds);

 private:
  double slowdown_;
  double each_ = 0;  // seconds a token; 0: not known
};

}  // namespace kvasir::engine
