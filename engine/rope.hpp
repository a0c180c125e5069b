// Rotary position embeddings (RoFormer, arXiv 2104.09864) and the ways of stretching them to longer contexts.
#pragma once

#include "engine/error.hpp"
#include "engine/model_shape.hpp"

#include <vector>

namespace kvasir::engine {

// Of one kind of layer.
struct RopeFrequencies {
  std::vector<double> per_position;  // [rotated dimensions / 2], radians
  double magnitude = 1;              // what rotated dimensions of queries and keys are multiplied by
};

// `windowed`: of the layers with a window. Linear scaling (arXiv 2306.15595), YaRN (arXiv 2309.00071), a factor for
// each frequency (Llama 3, `rope_freqs`), LongRoPE (arXiv 2402.13753; the long factors if the context is longer than
// the original one: chosen once, so that cached keys stay valid). Errors: bad_model_file, unsupported_model.
Result<RopeFrequencies> read_rope(const ModelFile& file, const ModelShape& shape, bool windowed);

// cos and sin for every position of a context.
class RotationTables {
 public:
  RotationTables() = default;
  RotationTables(const RopeFrequencies& frequencies, int context, bool interleaved);
  kernels::RopeTable table() const;
  // Turns `heads` vectors of head_dim, in place.
  void rotate(const kernels::Kernels& kernels, float* x, int heads, int head_dim, int position) const;

 private:
  std::vector<float> cos_;  // [context, rotated dimensions / 2]
  std::vector<float> sin_;
  int rotated_dims_ = 0;
  float magnitude_ = 1;  // not in the tables: attention turns shifted keys with them, too
  bool interleaved_ = true;
};

}  // namespace kvasir::engine
