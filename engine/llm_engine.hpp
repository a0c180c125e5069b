// The engine behind engine.hpp: one thread that reads messages and runs steps.
#pragma once

#include "engine/draft_model.hpp"
#include "engine/engine.hpp"
#include "engine/intake.hpp"
#include "engine/kv_tier.hpp"
#include "engine/prefill_share.hpp"
#include "engine/scheduler.hpp"
#include "engine/step_runner.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

namespace kvasir::engine {

// What is loaded once and only read afterwards.
struct LoadedFiles {
  std::unique_ptr<Model> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat;
  std::string chat_name;  // of `chat`; empty: the file's own
  std::unique_ptr<OutputConstraints> constraints;
  std::optional<DraftFiles> draft;
  LoraLibrary lora;
  std::optional<KvDisk> disk;
  std::uint64_t weights_hash = 0;  // of the model's file, where there is a disk
};

class LlmEngine final : public Engine {
 public:
  LlmEngine(const EngineSettings& settings, LoadedFiles files, KvStorage storage, int blocks);
  ~LlmEngine() override;

  RequestId submit(GenerateRequest request, std::shared_ptr<GenerateListener> listener) override;
  void cancel(RequestId id) override;
  std::uint64_t invalidate(const std::vector<std::string>& document_keys) override;
  EngineStats stats() const override;
  int context_length() const override { return context_; }
  std::vector<std::string> adapters() const override { return files_.lora.names(); }
  std::string chat_template() const override { return files_.chat_name; }

 private:
  using Message = std::function<void()>;
  void post(Message message);
  void warm_up();
  void open_tier();
  // Tells apart what gives other KV for the same tokens: the model's file, and, by what a few tokens give with each,
  // adapters and kernels.
  std::string fingerprint();
  void work();
  void read_messages(bool wait);
  void accept(std::unique_ptr<Sequence> sequence);
  // Pins the prompts that a sequence names; false if the KV of one is gone.
  bool keep(const Sequence& sequence);
  void drop(RequestId id);
  void step();
  // Adds the guesses that are worth it to the parts of decoding sequences.
  void speculate(std::span<StepPart> parts);
  // Drops guesses that the format forbids, or that would end the answer.
  void cut_guesses(Sequence& sequence) const;
  static Segment segment_of(const StepPart& part);
  struct Outcome {
    bool over = false;
    std::optional<FinishReason> reason;  // nothing, though it is over: no token may come
  };
  // Samples as many tokens as the step gives; `part` becomes what of it counts.
  Outcome verify(StepPart& part, std::span<const float> logits);
  // Samples the next token and tells the listener; a reason when the answer is complete.
  std::optional<FinishReason> sample(Sequence& sequence, std::span<const float> logits, const TokenMask* mask);
  // The tokens that may come next; null: all.
  const TokenMask* allowed(Sequence& sequence) const;
  // Passes on to the listener what a sequence said, calls apart from text.
  static void tell(Sequence& sequence, TextStream::Delta delta);
  static void tell(Sequence& sequence, ToolCallReader::Piece piece, std::vector<TokenLogprob> logprobs);
  void finish(Sequence& sequence, FinishReason reason);
  void publish();
  int retry_after() const;

  EngineSettings settings_;
  LoadedFiles files_;
  const kernels::Kernels& kernels_;
  KvStorage storage_;
  BlockPool pool_;
  PrefixTree tree_;
  kernels::ThreadPool threads_;
  StepCosts costs_;                    // of steps that decode only
  std::unique_ptr<DraftModel> draft_;  // null: none; its blocks are held by sequences
  PrefillShare share_;
  Scheduler scheduler_;
  StepRunner runner_;
  int context_;
  PromptReader reader_;

  std::atomic<RequestId> next_id_{1};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Message> messages_;
  bool stop_ = false;

  mutable std::mutex stats_mutex_;
  EngineStats stats_;     // published after each step
  EngineStats counters_;  // the engine thread's own
  Pace pace_;
  double prefilling_seconds_ = 0;  // of steps without decoding, the latest weighing most
  double prefilled_ = 0;           // tokens in them

  std::unique_ptr<KvTier> tier_;  // null: no disk

  std::thread thread_;
  std::unique_ptr<Intake> intake_;  // last: its thread posts messages to the engine's
};

}  // namespace kvasir::engine
