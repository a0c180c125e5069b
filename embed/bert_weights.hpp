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

// How the matrices of a model with float weights are kept. int8: a scale for every 32 weights of an output (q8_0); they
// are multiplied exactly with activations of 16 bits, so that the rounding of the weights is the only loss.
enum class Precision { int8, f16 };

// y = W x + b.
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
  kernels::WeightType word_type = kernels::WeightType::f16;
  std::vector<std::byte> words;  // [vocabulary, hidden] as `word_type` is stored
  std::vector<float> positions;  // [positions, hidden], the embedding of segment 0 already added
  LayerNorm embedding_norm;
  std::vector<BertLayer> layers;
};

// Packs the tensors of `file` (F32 or F16, named as by Hugging Face's BertModel, with or without "bert." in front); the
// file is not needed afterwards. A missing tensor, another shape than `config` asks for, or a number that f16 cannot
// hold gives nothing, and one sentence in `error`. Matrices whose rows are no multiple of 32 long stay f16.
std::optional<BertWeights> load_bert_weights(const SafeTensors& file, const BertConfig& config, Precision precision,
                                             std::string& error);

}  // namespace kvasir::embed
