// From a request to a sequence: render the chat, count tokens, check what was asked for. Runs beside the engine's
// thread, since a long prompt takes milliseconds to tokenise and running streams must not wait for it.
#pragma once

#include "engine/chat_template.hpp"
#include "engine/draft_model.hpp"
#include "engine/engine.hpp"
#include "engine/lora_library.hpp"
#include "engine/output_constraints.hpp"
#include "engine/prompt_renderer.hpp"
#include "engine/sequence.hpp"
#include "engine/tokenizer.hpp"
#include "kernels/kernels.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

namespace kvasir::engine {

struct Submission {
  Engine::RequestId id = 0;
  GenerateRequest request;
  std::shared_ptr<GenerateListener> listener;
  Sequence::Clock::time_point submitted;
};

// Renders, tokenises, compiles formats. Errors: bad_request, context_length. Used by one thread.
class PromptReader {
 public:
  PromptReader(const Tokenizer& tokenizer, const ChatTemplate& chat, OutputConstraints& constraints,
               const LoraLibrary& lora, int context, const SpeculationSettings& speculation, DraftModel* draft,
               const kernels::Kernels& kernels);
  Result<std::unique_ptr<Sequence>> read(Submission submission);

 private:
  Result<void> check(const GenerateRequest& request) const;
  // The prompt's tokens; `text` becomes what they say. Error: context_length, if a text is sure to have `most` or more.
  Result<std::vector<TokenId>> tokenize(const GenerateInput& input, std::string& text, std::size_t most) const;
  // The same without as few parts of the prompt as leave at most `room` tokens, or all that may go. `request` becomes
  // what is left.
  Result<std::vector<TokenId>> truncate(GenerateRequest& request, int room, std::string& text,
                                        Truncation& dropped) const;
  int count_tokens(std::string_view text, int most) const;
  // What of the prompt is to be kept, and where its documents are. `text`: what its tokens say.
  void mark(Sequence& sequence, const GenerateRequest& request, std::string_view text) const;
  // Null if nothing is to be guessed.
  std::unique_ptr<Speculation> speculate(const GenerateRequest& request, const Sequence& sequence);
  // The input's prediction, as far as an answer of `most` tokens may follow it. The choices of a request share it.
  std::shared_ptr<const Prediction> predict(const std::shared_ptr<const GenerateInput>& input, std::size_t most);

  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_;
  PromptRenderer renderer_;
  OutputConstraints& constraints_;
  const LoraLibrary& lora_;
  int context_;
  SpeculationSettings speculation_;
  DraftModel* draft_;  // null: none; only passed on, it is the engine thread's
  const kernels::Kernels& kernels_;
  std::size_t longest_token_ = 1;                 // bytes of text
  std::weak_ptr<const GenerateInput> predicted_;  // whose prediction was read last
  std::weak_ptr<const Prediction> prediction_;
};

// A queue with one thread. Bounded in requests and in bytes of what they hold.
class Intake {
 public:
  using Ready = std::function<void(std::unique_ptr<Sequence>)>;
  using Refused = std::function<void(std::shared_ptr<GenerateListener>, Error)>;

  // `ready` and `refused` are called on the queue's thread and must only pass on what they get.
  Intake(PromptReader& reader, std::size_t max_queued, Ready ready, Refused refused);
  ~Intake();

  // False if the queue is full or stopped; the submission is untouched then.
  bool submit(Submission& submission);
  // Drops the submission if it is still in here; nobody hears of it then.
  void cancel(Engine::RequestId id);
  // Refuses what is queued with shutting_down and ends the thread. May be called twice.
  void stop();

 private:
  struct Queued {
    Submission submission;
    std::size_t bytes;
  };
  void work();
  Result<std::unique_ptr<Sequence>> read(Submission submission);
  std::size_t queued_bytes() const;

  PromptReader& reader_;
  const std::size_t max_queued_;
  Ready ready_;
  Refused refused_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Queued> queue_;
  Engine::RequestId reading_ = 0;  // 0: none
  bool reading_cancelled_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace kvasir::engine
