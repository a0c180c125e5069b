// Low-rank adapters: y += scale B (A x) beside a projection's own W x. (LoRA, arXiv 2106.09685)
#pragma once

#include "engine/error.hpp"
#include "engine/model.hpp"
#include "kernels/weight_arena.hpp"

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace kvasir::engine {

// Beside one of the tensors that a projection stacks.
struct LoraPart {
  kernels::PackedMatrix down;  // A, [rank, inputs], f32
  kernels::PackedMatrix up;    // B, [outputs, rank], f32
  int offset = 0;              // of its outputs among the projection's
  float scale = 1;             // of the file
};

// Immutable after load; any thread. Refers to the model's projections, so the model must live as long.
class LoraAdapter {
 public:
  // `path`: what read_lora_file takes. Errors: bad_model_file, unsupported_model.
  static Result<std::unique_ptr<LoraAdapter>> load(const std::string& path, const Model& model);

  // What it adds to this projection of the model.
  std::span<const LoraPart> parts(const Projection& projection) const;

 private:
  Result<kernels::PackedMatrix> pack(const std::vector<float>& values, int rows, int cols);

  kernels::WeightArena arena_;
  std::unordered_map<const Projection*, std::vector<LoraPart>> parts_;
};

// An adapter of a request, `scale` times as strong as its file says.
struct LoraUse {
  const LoraAdapter* adapter = nullptr;
  float scale = 1;
};

}  // namespace kvasir::engine
