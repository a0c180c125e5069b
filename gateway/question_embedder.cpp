#include "gateway/question_embedder.hpp"

#include <array>

#include <boost/asio/post.hpp>

namespace kvasir::gateway {

void QuestionEmbedder::stop() {
  if (!thread_) return;
  thread_->stop();
  thread_->join();
  thread_.reset();
}

Task<std::vector<float>> QuestionEmbedder::embed(std::string question) {
  if (embedder_ == nullptr) co_return std::vector<float>{};
  if (waiting_.fetch_add(1, std::memory_order_relaxed) >= kMaxWaiting) {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    co_return std::vector<float>{};
  }
  auto start = [this, &question](auto handler) {
    asio::post(*thread_, [this, &question, handler = std::move(handler)]() mutable {
      auto vector = embed_now(question);
      const auto executor = asio::get_associated_executor(handler);
      asio::post(executor, [handler = std::move(handler), vector = std::move(vector)]() mutable {
        std::move(handler)(std::move(vector));
      });
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void(std::vector<float>)>(start,
                                                                                                           use_task);
}

std::vector<float> QuestionEmbedder::embed_now(const std::string& question) {
  const std::array<std::string_view, 1> texts{question};
  auto vector = embedder_->embed(texts);
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return vector;
}

}  // namespace kvasir::gateway
