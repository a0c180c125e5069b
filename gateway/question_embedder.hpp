// Embeds questions on a thread of its own, so that no I/O thread waits for the encoder.
#pragma once

#include "embed/embedder.hpp"
#include "gateway/asio.hpp"

#include <atomic>
#include <string>
#include <vector>

#include <boost/asio/thread_pool.hpp>

namespace kvasir::gateway {

class QuestionEmbedder {
 public:
  // `embedder` must outlive this; null: every answer is empty.
  explicit QuestionEmbedder(embed::Embedder* embedder) : embedder_(embedder), thread_(1) {}
  // Finishes what runs; what waits is dropped.
  void stop();

  bool available() const { return embedder_ != nullptr; }
  // The question's unit vector; empty if too many wait already (the caller goes on without the semantic tier).
  Task<std::vector<float>> embed(std::string question);

 private:
  static constexpr int kMaxWaiting = 256;

  std::vector<float> embed_now(const std::string& question);

  embed::Embedder* embedder_;
  std::atomic<int> waiting_{0};
  asio::thread_pool thread_;
};

}  // namespace kvasir::gateway
