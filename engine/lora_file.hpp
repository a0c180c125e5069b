// Adapters as they are stored: GGUF, or a folder that PEFT saved.
#pragma once

#include "engine/error.hpp"
#include "engine/model_shape.hpp"

#include <string>
#include <vector>

namespace kvasir::engine {

// One adapted matrix. A and B are row-major.
struct LoraMatrices {
  std::string tensor;  // the model's, without ".weight": "blk.0.attn_q"
  int rank = 0;
  int inputs = 0;
  int outputs = 0;
  std::vector<float> down;  // A, [rank, inputs]
  std::vector<float> up;    // B, [outputs, rank]
  float scale = 1;          // alpha / rank; rank-stabilised: alpha / sqrt(rank) (arXiv 2312.03732)
};

// A GGUF file (`general.type` adapter, tensors NAME.weight.lora_a and .lora_b), or PEFT's adapter_model.safetensors
// with adapter_config.json beside it. Nothing in them is trusted. Errors: bad_model_file, unsupported_model.
Result<std::vector<LoraMatrices>> read_lora_file(const std::string& path, const ModelShape& shape);

// The two forms.
Result<std::vector<LoraMatrices>> read_gguf_lora(const std::string& path, const ModelShape& shape);
Result<std::vector<LoraMatrices>> read_peft_lora(const std::string& path, const ModelShape& shape);

}  // namespace kvasir::engine
