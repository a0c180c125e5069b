// Embeds questions on a thread of its own, so that no I/O thread waits for the encoder.
#pragma once

#include "embed/embedder.hpp"
#include "gateway/asio.hpp"

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/thread_pool.hpp>

namespace kvasir::gateway {

class QuestionEmbedder {
 public:
  // `embedder` must outlive this; null: every answer is empty.
  explicit QuestionEmbedder(embed::Embedder* embedder) : embedder_(embedder), thread_(std::in_place, 1) {}
  // Finishes what runs; what waits is dropped, coroutines included: call it while their I/O threads' contexts live.
  void stop();

  bool available() const { return embedder_ != nullptr; }
  // False if the question's vector would leave out a part of it.
  bool sees_all(std::string_view question) const { return embedder_ != nullptr && embedder_->sees_all(question); }
  // The question's unit vector; empty if too many wait already (the caller goes on without the semantic tier).
  Task<std::vector<float>> embed(std::string question);

 private:
  static constexpr int kMaxWaiting = 256;

  std::vector<float> embed_now(const std::string& question);

  embed::Embedder* embedder_;
  std::atomic<int> waiting_{0};
  std::optional<asio::thread_pool> thread_;
};

}  // namespace kvasir::gateway
