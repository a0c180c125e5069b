#include "gateway/token_estimate.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

constexpr std::size_t kBytesPerToken = 4;
constexpr int kMostBesidesText = 8192;
constexpr int kAssumedCompletion = 256;  // of a request without max_tokens
constexpr std::int64_t kMost = INT32_MAX / 2;

}  // namespace

int estimated_tokens(std::size_t bytes) {
  return static_cast<int>(std::min<std::size_t>(bytes / kBytesPerToken, kMost));
}

int estimated_prompt_tokens(const ChatRequest& request) {
  const std::size_t text = request.body.size() - std::min(request.body.size(), request.media_bytes);
  return estimated_tokens(text) + std::min(estimated_tokens(request.media_bytes), kMostBesidesText);
}

TokenUsage most_tokens(const ChatRequest& request) {
  const auto prompts = static_cast<std::int64_t>(std::max<std::size_t>(request.raw_prompts.size(), 1));
  const std::int64_t choices = std::min(prompts * std::max(request.n, request.best_of), kMost);
  const std::int64_t completion = request.max_tokens > 0 ? request.max_tokens : kAssumedCompletion;
  return {estimated_prompt_tokens(request), 0, static_cast<int>(std::min(completion * choices, kMost))};
}

}  // namespace kvasir::gateway
