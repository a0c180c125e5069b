// Who runs next, and with which blocks: continuous batching with chunked prefill (Sarathi, arXiv 2308.16369).
//
// A sequence enters with blocks for its whole prompt. When a growing sequence finds no block, the one of the lowest
// priority that entered last is preempted: its blocks go (whole ones stay in the tree as long as there is room) and it
// is computed again later. Pins give way only when nothing can run beside them.
// Used by the engine's thread only.
#pragma once

#include "engine/kv_load.hpp"
#include "engine/kv_storage.hpp"
#include "engine/pace.hpp"
#include "engine/prefix_labels.hpp"
#include "engine/prefix_tree.hpp"
#include "engine/sequence.hpp"
#include "engine/waiting_queue.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace kvasir::engine {

struct SchedulerLimits {
  int max_sequences = 64;
  int step_tokens = 256;  // prefill tokens of a step
};

struct StepPart {
  Sequence* sequence = nullptr;
  int tokens = 0;  // from `computed` on
};

class Scheduler {
 public:
  Scheduler(BlockPool& pool, PrefixTree& tree, KvStorage& storage, const SchedulerLimits& limits)
      : pool_(pool), tree_(tree), storage_(storage), limits_(limits), labels_(tree) {}

  // Blocks on disk are looked for with this, which calls loaded() later. `storage`'s blocks `into` are filled
  // meanwhile, those of the sequence from `first` on.
  using Load = std::function<void(int number, const Sequence& sequence, int first, std::vector<BlockId> into,
                                  std::shared_ptr<KvLoad> state)>;
  void load_with(Load load) { load_ = std::move(load); }
  // The load with this number is over and has filled so many blocks; their files name these documents, each from this
  // block of the prompt on.
  void loaded(int number, int blocks, const std::vector<std::pair<int, std::string>>& documents);

  void add(std::unique_ptr<Sequence> sequence) { waiting_.add(std::move(sequence)); }
  // Takes the sequence out, wherever it is; null if unknown.
  std::unique_ptr<Sequence> remove(Engine::RequestId id);

  // Admits what fits, finds blocks for growth, and divides the step's budget: `beside` tokens of prompts at most where
  // others decode. Empty: nothing to do.
  std::vector<StepPart> plan(int beside);
  // Finds blocks for the first of `tokens` guesses, as many as it can without preempting anybody, and says how many.
  int make_room(Sequence& sequence, int tokens);
  // The KV of the part is written: records whole blocks in the tree, and pins what of the prompt is to be kept.
  void computed(const StepPart& part);
  // Stops sequences that hold these documents from recording any more.
  void forget(std::span<const std::string> documents);

  // All that runs, if anything, waits for the disk, and something does.
  bool only_loads() const;
  int decoding() const;
  int running() const { return static_cast<int>(running_.size()); }
  int waiting() const { return waiting_.size(); }
  // Tokens that all who are in will still have computed, as far as `pace` can tell.
  double work_left(const Pace& pace) const;
  // Everything that is in, in no particular order.
  std::vector<Engine::RequestId> ids() const;
  std::uint64_t evicted_blocks() const { return evicted_blocks_; }
  std::uint64_t preemptions() const { return preemptions_; }

 private:
  enum class Admission { admitted, waits_for_prefix, no_room };
  void admit();
  Admission try_admit(Sequence& sequence);
  void enter(std::unique_ptr<Sequence> sequence);
  void start_load(Sequence& sequence);
  void cancel_load(Sequence& sequence);
  // A running sequence will soon have computed more of this prompt than the tree has.
  bool prefix_in_flight(const Sequence& sequence, int matched) const;
  // Makes room for `tokens` from `computed` on.
  bool grow(Sequence& sequence, int tokens);
  void record(Sequence& sequence);
  void pin(Sequence& sequence);
  // A free block, made by eviction if need be; empty when all are in use.
  Block take();
  void preempt_last();

  BlockPool& pool_;
  PrefixTree& tree_;
  KvStorage& storage_;
  SchedulerLimits limits_;
  PrefixLabels labels_;
  WaitingQueue waiting_;
  Load load_;  // empty: there is no disk
  struct Loading {
    int first = 0;  // of the sequence's blocks
    bool first_admission = false;
    bool forgotten = false;  // a document has gone since: it may be in what is read
    std::shared_ptr<KvLoad> state = std::make_shared<KvLoad>();
    std::vector<Block> blocks;  // held, whatever becomes of the sequence
  };
  std::map<int, Loading> being_loaded_;  // by number
  int last_load_ = 0;
  std::vector<std::unique_ptr<Sequence>> running_;  // by priority, then in order of admission
  std::uint64_t evicted_blocks_ = 0;
  std::uint64_t preemptions_ = 0;
};

}  // namespace kvasir::engine
