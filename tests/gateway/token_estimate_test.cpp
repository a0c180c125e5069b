#include "gateway/token_estimate.hpp"

#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

TEST(TokenEstimate, counts_every_choice_of_every_prompt) {
  ChatRequest request;
  request.body.assign(400, 'x');
  EXPECT_EQ(most_tokens(request).prompt, 100);
  EXPECT_EQ(most_tokens(request).completion, 256);
  request.max_tokens = 10;
  request.n = 3;
  EXPECT_EQ(most_tokens(request).completion, 30);
  request.raw_prompts.resize(2);
  EXPECT_EQ(most_tokens(request).completion, 60);
  request.best_of = 5;
  EXPECT_EQ(most_tokens(request).completion, 100) << "what is computed to choose from is paid for too";
}

TEST(TokenEstimate, does_not_overflow) {
  ChatRequest request;
  request.max_tokens = 1 << 30;
  request.n = 128;
  request.raw_prompts.resize(1 << 20);
  EXPECT_EQ(most_tokens(request).completion, INT32_MAX / 2);
}

TEST(TokenEstimate, takes_pictures_for_few_tokens) {
  ChatRequest request;
  request.body.assign(1 << 20, 'x');
  EXPECT_EQ(estimated_prompt_tokens(request), 1 << 18);
  request.media_bytes = 1 << 19;
  EXPECT_EQ(estimated_prompt_tokens(request), (1 << 17) + 8192);
}

}  // namespace
}  // namespace kvasir::gateway
