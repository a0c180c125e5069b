// Attention sinks and a sliding window (StreamingLLM, arXiv 2309.17453): the first block stays, the oldest behind it
// goes, and what a token sees follows from its index alone.
#include "engine/tokenizer.hpp"
#include "tests/engine/collector.hpp"
#include "tests/engine/golden.hpp"
#include "tests/engine/tiny_model.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

constexpr int kWindow = 128;
constexpr int kBlocks = kWindow / kernels::kKvBlock;
constexpr TokenId kEnd = 258;

std::vector<TokenId> random_tokens(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(static_cast<TokenId>('a' + random() % 26));
  return tokens;
}

GenerateRequest sliding(const std::vector<TokenId>& prompt, int max_tokens) {
  GenerateInput input;
  input.raw = RawPrompt{"", prompt, false};
  GenerateRequest request;
  request.input = std::make_shared<GenerateInput>(std::move(input));
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.sampling.top_logprobs = 3;
  request.sampling.logit_bias = {{kEnd, -1000.0F}};
  request.context_strategy = ContextStrategy::sliding;
  return request;
}

class SlidingTest : public testing::Test {
 protected:
  EngineSettings settings(int step_tokens = 256) const {
    EngineSettings s;
    s.gguf = file_.path();
    s.kv_memory = 4U << 20;
    s.max_context = kWindow;
    s.step_tokens = step_tokens;
    s.threads = 2;
    return s;
  }
  static constexpr std::uint64_t kBlockBytes = 3 * 2 * 2 * 16 * 16 * 2;

  TinyModelFile file_;
};

// One token after the other, with a block table of the test's own.
std::vector<TokenId> slide_by_hand(const std::string& path, std::vector<TokenId> tokens, int count) {
  LoadedModel model(path, kBlocks);
  std::vector<kernels::BlockRef>& table = model.table;
  std::vector<TokenId> answer;
  int position = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i, ++position) {
    if (position == kWindow) {
      const kernels::BlockRef freed{table[1].block, 0};
      table.erase(table.begin() + 1);
      for (std::size_t b = 1; b < table.size(); ++b) table[b].shift -= kernels::kKvBlock;
      table.push_back(freed);
      position -= kernels::kKvBlock;
    }
    const Segment segment{std::span(tokens).subspan(i, 1), position, table, 1};
    std::span<const float> logits = model.runner->run({&segment, 1});
    if (i + 1 < tokens.size() || static_cast<int>(answer.size()) == count) continue;
    std::vector<float> allowed(logits.begin(), logits.end());
    allowed[kEnd] = -1000;
    answer.push_back(static_cast<TokenId>(std::max_element(allowed.begin(), allowed.end()) - allowed.begin()));
    tokens.push_back(answer.back());
  }
  return answer;
}

TEST_F(SlidingTest, SeesTheFirstBlockAndTheLatestOnes) {
  for (const int prompt : {20, kWindow, kWindow + 1, 300}) {
    const std::vector<TokenId> tokens = random_tokens(prompt, 7);
    const Answer answer = run(*load(settings()), sliding(tokens, 200));
    ASSERT_FALSE(answer.error) << answer.error->message;
    EXPECT_EQ(answer.summary.completion_tokens, 200);
    const auto tokenizer = Tokenizer::from(*ModelFile::open(file_.path()));
    Detokenizer spoken(**tokenizer);
    std::string by_hand;
    for (const TokenId token : slide_by_hand(file_.path(), tokens, 200)) by_hand += spoken.push(token);
    EXPECT_EQ(answer.text, by_hand + spoken.finish()) << "prompt of " << prompt;
  }
}

TEST_F(SlidingTest, GivesTheSameBitsInEveryChunkBatchedWarmAndAfterPreemption) {
  std::vector<GenerateRequest> requests;
  for (unsigned i = 0; i < 6; ++i) requests.push_back(sliding(random_tokens(100 + 90 * static_cast<int>(i), i), 150));
  std::vector<Answer> alone;
  for (const GenerateRequest& request : requests) alone.push_back(run(*load(settings()), request));
  for (const int step_tokens : {16, 50, 400}) {
    EngineSettings s = settings(step_tokens);
    // The second time memory is short: six that slide over 8 blocks each, on 20.
    for (const std::uint64_t memory : {s.kv_memory, 20 * kBlockBytes}) {
      s.kv_memory = memory;
      const auto engine = load(s);
      for (int round = 0; round < 2; ++round) {
        const auto together = run_together(*engine, requests);
        for (std::size_t i = 0; i < requests.size(); ++i)
          EXPECT_EQ(together[i].logprobs, alone[i].logprobs) << "chunks of " << step_tokens << ", request " << i;
      }
      EXPECT_EQ(engine->stats().kv_blocks_used, 0U);
    }
  }
}

TEST_F(SlidingTest, RunsOnTheBlocksOfItsWindowWithoutEnd) {
  EngineSettings s = settings();
  s.kv_memory = (kBlocks + 1) * kBlockBytes;
  const auto engine = load(s);
  const Answer answer = run(*engine, sliding(random_tokens(1000, 3), 2000));
  ASSERT_FALSE(answer.error) << answer.error->message;
  EXPECT_EQ(answer.summary.prompt_tokens, 1000);
  EXPECT_EQ(answer.summary.completion_tokens, 2000);
  EXPECT_EQ(engine->stats().preemptions, 0U);
}

TEST_F(SlidingTest, LeavesThePrefixToOthers) {
  const auto engine = load(settings());
  const std::vector<TokenId> tokens = random_tokens(600, 5);
  run(*engine, sliding(tokens, 4));
  GenerateRequest plain = sliding({tokens.begin(), tokens.begin() + 100}, 4);
  plain.context_strategy = ContextStrategy::error;
  const Answer warm = run(*engine, plain);
  EXPECT_GE(warm.summary.reused_tokens, 96);
  EXPECT_EQ(warm.logprobs, run(*load(settings()), plain).logprobs);
}

TEST_F(SlidingTest, RefusesAContextTooShortToSlideOver) {
  EngineSettings s = settings();
  s.max_context = 63;
  const Answer answer = run(*load(s), sliding(random_tokens(100, 3), 4));
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->param, "context_window_strategy");
}

}  // namespace
}  // namespace kvasir::engine
