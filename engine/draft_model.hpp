// A small model that guesses for a large one (Leviathan et al., arXiv 2211.17192), with KV of its own.
//
// Its tokens are drawn with the sequence's own sampler: the same random number on a similar distribution often gives
// the same token. Engine's thread, but for load.
#pragma once

#include "engine/block_pool.hpp"
#include "engine/kv_storage.hpp"
#include "engine/model.hpp"
#include "engine/sampler.hpp"
#include "engine/speculator.hpp"
#include "engine/step_costs.hpp"
#include "engine/step_runner.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kvasir::engine {

struct DraftFiles {
  std::unique_ptr<Model> model;
  KvStorage storage;
  int blocks = 0;
};

// What is known before its weights are read.
struct DraftSource {
  std::shared_ptr<const ModelFile> file;
  ModelShape shape;

  std::uint64_t bytes_per_block() const;  // of its KV
};

// Errors: as for a model file; of load_draft bad_model_file too if its tokens are not those of `vocabulary`.
Result<DraftSource> open_draft(const std::string& path);
Result<DraftFiles> load_draft(const DraftSource& source, const Tokenizer& vocabulary, int context, int blocks);

class DraftModel {
 public:
  // `vocabulary`: tokens that may be sampled. `target`: what the steps of the large model take; null: guesses cost
  // nothing, for tests.
  DraftModel(DraftFiles files, int vocabulary, const StepCosts* target, kernels::ThreadPool& threads,
             const kernels::Kernels& kernels);

  // One sequence's place: tokens whose KV is in the blocks.
  struct Place {
    std::vector<TokenId> tokens;
    std::vector<Block> blocks;
    std::vector<kernels::BlockRef> table;
  };
  // Appends tokens; logits of the last one, valid until the next call. Nothing if there is no room.
  std::span<const float> run(Place& place, std::span<const TokenId> tokens);

  // Sequences that decode in the step to come.
  void set_batch(int decoding) { batch_ = decoding; }
  // How many guesses, each right with this chance if those before it are, bring more than they cost.
  int worthwhile(double chance, int most) const;
  int context() const { return files_.model->shape().context; }

 private:
  DraftFiles files_;
  int vocabulary_;
  const StepCosts* target_;
  BlockPool pool_;
  StepRunner runner_;
  StepCosts costs_;
  int batch_ = 1;
};

// Guesses of one sequence. What they cost is no guess's fault, so that it measures itself how often they are right,
// and makes longer and longer pauses while they are not worth it.
class DraftSpeculator final : public Speculator {
 public:
  DraftSpeculator(DraftModel& model, Sampler sampler, std::size_t prompt_tokens)
      : model_(model), sampler_(std::move(sampler)), prompt_tokens_(prompt_tokens) {}
  Guess guess(std::span<const TokenId> tokens, int most) override;

 private:
  void learn(std::span<const TokenId> tokens);
  // How many to guess now; 0 in a pause.
  int length(int most);

  DraftModel& model_;
  Sampler sampler_;
  std::size_t prompt_tokens_;
  DraftModel::Place place_;
  std::vector<TokenId> guessed_;
  std::size_t guessed_from_ = 0;  // where the first of them would stand
  double chance_ = 0.7;
  int pause_ = 0;
  int next_pause_ = 16;
};

}  // namespace kvasir::engine
