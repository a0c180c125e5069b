// One pass of the model over a batch: tokens of several sequences in, KV and logits out.
#pragma once

#include "engine/kv_storage.hpp"
#include "engine/lora.hpp"
#include "engine/model.hpp"
#include "kernels/thread_pool.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace kvasir::engine {

// Consecutive tokens of one sequence: prefill chunk or decode, there is no difference.
struct Segment {
  std::span<const TokenId> tokens;
  int position = 0;                          // of the first token
  std::span<const kernels::BlockRef> table;  // covers positions 0 .. position + tokens - 1
  int logit_rows = 0;                        // of the last tokens
  std::span<const LoraUse> lora = {};
};

// Owns the work memory of a step; nothing is allocated while it runs once it has seen its largest batch. Called by one
// thread at a time.
class StepRunner {
 public:
  StepRunner(const Model& model, KvStorage& storage, kernels::ThreadPool& threads, const kernels::Kernels& kernels);

  // Writes the KV of all tokens into their blocks. Returns logits [wanted rows, vocabulary] in the segments' order,
  // valid until the next call. A row's logits depend on its sequence's tokens alone (ARCHITECTURE.md, "Warm equals
  // cold").
  std::span<const float> run(std::span<const Segment> segments);

 private:
  // A group of at most kAttentionRows consecutive rows of one segment: the unit that threads share out.
  struct RowGroup {
    const Segment* segment;
    int row;  // in the batch
    int rows;
    int position;  // of the first row
  };
  // Activations as a projection wants them, made by `prepare`.
  struct Activations {
    std::vector<float> values;  // [rows, width]
    std::vector<std::int16_t> quantized;
    std::vector<float> scale;
    std::vector<float> sum;
    std::vector<float> half_sum;
    void resize(int rows, int width);
  };

  void plan(std::span<const Segment> segments);
  void run_layer(int index);
  // RMSNorm of one row of [rows, hidden].
  void norm(const std::vector<float>& weight, const float* from, float* to, int row) const;
  // The residual, normed for the projection that reads it next.
  void norm_into(const std::vector<float>& weight, const Projection& next, const RowGroup& group);
  // Adds what a block computed to the residual; `post_norm` may be empty.
  void add_branch(const std::vector<float>& post_norm, const RowGroup& group);
  void attend(int index);
  // Rotates a row's queries and keys for its position and writes its KV.
  void place(const Layer& layer, const kernels::KvLayer& kv, const RowGroup& group, int row);
  void feed_forward(const Layer& layer);
  std::span<const float> logits(std::span<const Segment> segments);
  // Quantises rows [first, first + rows) of `a` if the projection needs it.
  void prepare(const Projection& projection, Activations& a, int width, int first, int rows) const;
  // y = W x + b of all rows, with their segments' adapters.
  void project_adapted(const Projection& projection, Activations& a, float* out);
  void project(const Projection& projection, Activations& a, int rows, float* out);
  void adapt(const Projection& projection, const LoraUse& use, const RowGroup& group, const Activations& a, float* out);
  template <typename F>
  void for_groups(F f);

  const Model& model_;
  KvStorage& storage_;
  kernels::ThreadPool& threads_;
  const kernels::Kernels& kernels_;

  std::vector<RowGroup> groups_;
  int rows_ = 0;
  bool adapted_ = false;         // a segment has an adapter
  std::vector<float> residual_;  // [rows, hidden]
  std::vector<float> qkv_;       // [rows, query + 2 kv]
  std::vector<float> gate_up_;   // [rows, 2 feed_forward]
  std::vector<float> branch_;    // [rows, hidden]: what a block adds to the residual
  std::vector<float> logits_;
  Activations normed_;
  Activations attended_;
  Activations hidden_;
};

}  // namespace kvasir::engine
