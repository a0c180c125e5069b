// Embeds texts on a thread of its own, so that no I/O thread waits for the encoder.
#pragma once

#include "embed/embedder.hpp"
#include "gateway/worker_thread.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

class QuestionEmbedder {
 public:
  // `embedder` must outlive this; null: every answer is empty.
  explicit QuestionEmbedder(embed::Embedder* embedder) : embedder_(embedder), thread_(kMaxWaiting) {}
  // As WorkerThread's.
  void stop() { thread_.stop(); }

  bool available() const { return embedder_ != nullptr; }
  // False if the question's vector would leave out a part of it.
  bool sees_all(std::string_view question) const { return embedder_ != nullptr && embedder_->sees_all(question); }
  // The question's unit vector; empty if too many wait already (the caller goes on without the semantic tier).
  Task<std::vector<float>> embed(std::string question);
  // Runs `work` on the embedder's thread; questions wait meanwhile, so it should not take long. False: it did not run,
  // because too many wait already.
  Task<bool> run(std::function<void(embed::Embedder&)> work);

 private:
  static constexpr int kMaxWaiting = 256;

  embed::Embedder* embedder_;
  WorkerThread thread_;
};

}  // namespace kvasir::gateway
