// From a request to a sequence: render the chat, count tokens, check what was asked for. Runs beside the engine's
// thread, since a long prompt takes milliseconds to tokenise and running streams must not wait for it.
#pragma once

#include "engine/chat_template.hpp"
#include "engine/engine.hpp"
#include "engine/sequence.hpp"
#include "engine/tokenizer.hpp"
#include "kernels/kernels.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace kvasir::engine {

struct Submission {
  Engine::RequestId id = 0;
  GenerateRequest request;
  std::shared_ptr<GenerateListener> listener;
  Sequence::Clock::time_point submitted;
};

// Renders and tokenises; pure. Errors: bad_request, context_length.
class PromptReader {
 public:
  PromptReader(const Tokenizer& tokenizer, const ChatTemplate& chat, int context, const kernels::Kernels& kernels)
      : tokenizer_(tokenizer), chat_(chat), context_(context), kernels_(kernels) {}
  Result<std::unique_ptr<Sequence>> read(Submission submission) const;

 private:
  Result<void> check(const GenerateRequest& request) const;
  Result<std::string> render(const rag::Prompt& prompt) const;
  std::vector<DocumentMark> find_documents(const std::string& text, std::span<const TokenId> tokens,
                                           const rag::DocumentSet& documents) const;

  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_;
  int context_;
  const kernels::Kernels& kernels_;
};

// A queue with one thread. Submissions and cancellations keep their order.
class Intake {
 public:
  using Ready = std::function<void(std::unique_ptr<Sequence>)>;
  using Refused = std::function<void(std::shared_ptr<GenerateListener>, Error)>;
  using Cancelled = std::function<void(Engine::RequestId)>;

  Intake(const PromptReader& reader, Ready ready, Refused refused, Cancelled cancelled);
  ~Intake();  // what is still queued is refused with shutting_down

  void submit(Submission submission);
  void cancel(Engine::RequestId id);
  std::size_t queued() const;

 private:
  using Item = std::function<void()>;
  void push(Item item);
  void work();
  void take(Submission submission);

  const PromptReader& reader_;
  Ready ready_;
  Refused refused_;
  Cancelled cancelled_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> items_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace kvasir::engine
