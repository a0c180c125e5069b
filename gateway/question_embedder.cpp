#include "gateway/question_embedder.hpp"

#include <array>

namespace kvasir::gateway {

Task<std::vector<float>> QuestionEmbedder::embed(std::string question) {
  std::vector<float> vector;
  const std::array<std::string_view, 1> texts{question};
  co_await run([&](embed::Embedder& embedder) { vector = embedder.embed(texts); });
  co_return vector;
}

Task<bool> QuestionEmbedder::run(std::function<void(embed::Embedder&)> work) {
  if (embedder_ == nullptr) co_return false;
  co_return co_await thread_.run([&] { work(*embedder_); });
}

}  // namespace kvasir::gateway
