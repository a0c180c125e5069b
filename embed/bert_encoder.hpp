// Token ids to unit vectors: BERT (Devlin et al., arXiv 1810.04805) with mean pooling, as sentence-transformers runs it
// (Reimers & Gurevych, arXiv 1908.10084).
#pragma once

#include "embed/aligned_buffer.hpp"
#include "embed/bert_config.hpp"
#include "embed/bert_weights.hpp"
#include "embed/wordpiece.hpp"
#include "kernels/kernels.hpp"
#include "kernels/thread_pool.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvasir::embed {

// Texts of one call stand one below the other, without padding, as the rows of every activation matrix; only attention
// looks at texts one by one. Every kernel's row depends on that row alone, so a text's vector does not depend on its
// neighbours. All working memory is taken by the constructor. One caller at a time.
class BertEncoder {
 public:
  // Rows (tokens of all texts together) that a call may have; at least the model's max_tokens.
  static constexpr int kMaxRows = 512;

  // `threads` counts the caller.
  BertEncoder(BertConfig config, BertWeights weights, int threads);

  const BertConfig& config() const { return config_; }

  // `ids`: the texts' tokens, one text after the other, at most kMaxRows; `lengths`: tokens of each text, at most
  // max_tokens, at least 1. Writes one vector of `hidden` floats with L2 norm 1 per text to `out`.
  void encode(std::span<const TokenId> ids, std::span<const int> lengths, float* out);

 private:
  // What one attention head needs for one text.
  struct HeadScratch {
    AlignedBuffer<float> gathered;  // keys [tokens, head_dim], then values [head_dim, tokens]
    AlignedBuffer<std::byte> keys;
    AlignedBuffer<std::byte> values;
    AlignedBuffer<float> scores;  // [kQueryRows, tokens]
  };
  static constexpr int kQueryRows = 32;

  void embed_tokens(std::span<const TokenId> ids, std::span<const int> lengths);
  void attend(const BertLayer& layer, std::span<const int> lengths);
  void attend_head(int head, int first_row, int length);
  void feed_forward(const BertLayer& layer);
  void pool(std::span<const int> lengths, float* out);

  // Rounds `rows_` rows of `from` for the product with `linear`, if its weights want that.
  void round_rows(const Linear& linear, const float* from);
  // to = from Wᵀ + b, then `after(values, count)` on each finished piece of a row.
  template <typename After>
  void multiply(const Linear& linear, const float* from, float* to, After&& after);
  // hidden = norm(hidden + delta), row by row.
  void add_and_norm(const float* delta, const LayerNorm& norm);
  // `first`: a row.
  kernels::QuantizedRows rounded(int first, int cols);
  template <typename Body>
  void for_rows(Body&& body);

  BertConfig config_;
  BertWeights weights_;
  const kernels::Kernels& kernels_;
  kernels::ThreadPool pool_;

  int rows_ = 0;                  // of the call
  AlignedBuffer<float> hidden_;   // [rows, hidden]
  AlignedBuffer<float> qkv_;      // [rows, 3 × hidden]
  AlignedBuffer<float> context_;  // [rows, hidden]: what attention read
  AlignedBuffer<float> ffn_;      // [rows, ffn]
  AlignedBuffer<float> delta_;    // [rows, hidden]: what a block adds
  // Activations as quantised weights read them: [rows, width], and [rows, width / 32] thrice.
  AlignedBuffer<std::int16_t> rounded_;
  AlignedBuffer<float> scales_;
  AlignedBuffer<float> sums_;
  AlignedBuffer<float> half_sums_;
  std::vector<HeadScratch> heads_;
};

}  // namespace kvasir::embed
