// The weights of a BERT encoder in the form in which the kernels read them.
#pragma once

#include "embed/aligned_buffer.hpp"
#include "embed/bert_config.hpp"
#include "embed/safetensors.hpp"
#include "kernels/kernels.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kvasir::embed {

// y = W x + b. Weights are packed as f16: half the memory traffic, which is what bounds a short text.
struct Linear {
  AlignedBuffer<std::byte> packed;
  kernels::PackedMatrix weight;  // points into `packed`
  std::vector<float> bias;       // [rows]
};

struct LayerNorm {
  std::vector<float> weight;  // [hidden]
  std::vector<float> bias;    // [hidden]
};

struct BertLayer {
  Linear qkv;  // [3 × hidden, hidden]: queries, keys, values
  Linear attention_output;
  LayerNorm attention_norm;
  Linear ffn_up;
  Linear ffn_down;
  LayerNorm ffn_norm;
};

struct BertWeights {
  std::vector<std::uint16_t> words;  // f16 [vocabulary, hidden]
  std::vector<float> positions;      // [positions, hidden], the embedding of segment 0 already added
  LayerNorm embedding_norm;
  std::vector<BertLayer> layers;
};

// Packs the tensors of `file` (F32 or F16, named as by Hugging Face's BertModel, with or without "bert." in front); the
// file is not needed afterwards. A missing tensor, another shape than `config` asks for, or a number that f16 cannot
// hold gives nothing, and one sentence in `error`.
std::optional<BertWeights> load_bert_weights(const SafeTensors& file, const BertConfig& config, std::string& error);

}  // namespace kvasir::embed
