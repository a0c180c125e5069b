// The engine from outside: requests in, tokens out; on a tiny model with random weights.
#include "engine/engine.hpp"

#include "tests/engine/collector.hpp"
#include "tests/engine/tiny_model.hpp"

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

GenerateRequest ask(const std::string& system, const std::string& question, int max_tokens = 24) {
  GenerateRequest request;
  request.input = input_of({{rag::Role::system, system, ""}, {rag::Role::user, question, ""}});
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.sampling.top_logprobs = 3;
  request.sampling.logit_bias = {{258, -100.0F}};  // never end early
  return request;
}

GenerateRequest raw_prompt(RawPrompt raw) {
  GenerateInput input;
  input.raw = std::move(raw);
  GenerateRequest request = ask("", "", 4);
  request.input = std::make_shared<GenerateInput>(std::move(input));
  return request;
}

std::string words(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < count; ++i) text += "word" + std::to_string(random() % 1000) + " ";
  return text;
}

class EngineTest : public testing::Test {
 protected:
  EngineSettings settings() const {
    EngineSettings s;
    s.gguf = file_.path();
    s.kv_memory = 64U << 20;
    s.threads = 2;
    return s;
  }
  // Bytes of one KV block of the tiny model: 3 layers, keys and values, 2 heads of 16, 16 tokens, f16.
  static constexpr std::uint64_t kBlockBytes = 3 * 2 * 2 * 16 * 16 * 2;

  TinyModelFile file_;
};

TEST_F(EngineTest, AnswersAndCountsTokens) {
  const auto engine = load(settings());
  const Answer answer = run(*engine, ask("You are terse.", "Why is the sky blue?", 10));
  ASSERT_FALSE(answer.error);
  EXPECT_EQ(answer.summary.completion_tokens, 10);
  EXPECT_EQ(answer.summary.finish, FinishReason::length);
  EXPECT_EQ(answer.summary.reused_tokens, 0);
  EXPECT_EQ(answer.summary.computed_tokens, answer.summary.prompt_tokens);
  EXPECT_EQ(answer.logprobs.size(), 10U * 4U);
}

TEST_F(EngineTest, ReusesTheSystemPromptAndAnswersTheSameBits) {
  const std::string system = words(150, 1);
  GenerateRequest cold_request = ask(system, "And the second question?");
  const Answer cold = run(*load(settings()), cold_request);
  const auto engine = load(settings());
  run(*engine, ask(system, "The first question."));
  const Answer warm = run(*engine, ask(system, "And the second question?"));
  EXPECT_GT(warm.summary.reused_tokens, 800);
  EXPECT_EQ(cold.summary.reused_tokens, 0);
  EXPECT_EQ(warm.text, cold.text);
  EXPECT_EQ(warm.logprobs, cold.logprobs);
}

TEST_F(EngineTest, GivesBitEqualLogprobsColdWarmBatchedAndInAnyChunkSize) {
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 8; ++i)
    requests.push_back(ask(words(40, static_cast<unsigned>(i % 3)), words(30 + 10 * i, static_cast<unsigned>(50 + i))));
  std::vector<Answer> alone;
  for (const GenerateRequest& request : requests) alone.push_back(run(*load(settings()), request));

  for (const int step_tokens : {1, 7, 16, 100, 1024}) {
    EngineSettings s = settings();
    s.step_tokens = step_tokens;
    s.threads = 1 + step_tokens % 2;
    const auto engine = load(s);
    for (int round = 0; round < 2; ++round) {
      const auto answers = run_together(*engine, requests);
      for (std::size_t i = 0; i < requests.size(); ++i) {
        const Answer& answer = answers[i];
        ASSERT_FALSE(answer.error) << answer.error->message;
        EXPECT_EQ(answer.logprobs, alone[i].logprobs)
            << "step " << step_tokens << " round " << round << " request " << i;
        if (round == 1) {
          EXPECT_GT(answer.summary.reused_tokens, answer.summary.prompt_tokens - 17);
        }
      }
    }
  }
}

TEST_F(EngineTest, HoldsASharedPrefixOnceForTenRequestsAtOnce) {
  const auto engine = load(settings());
  const std::string system = words(150, 2);
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 10; ++i) requests.push_back(ask(system, "Question " + std::to_string(i), 30));
  int computed = 0;
  int prompt = 0;
  for (const Answer& answer : run_together(*engine, requests)) {
    computed += answer.summary.computed_tokens;
    prompt = answer.summary.prompt_tokens;
  }
  // The prefix was computed once: the others computed no more than their own block or two.
  EXPECT_LE(computed, prompt + 9 * 64);
  const EngineStats stats = engine->stats();
  EXPECT_LE(stats.kv_blocks_cached, static_cast<std::uint64_t>(prompt / 16 + 10 * 5));
}

TEST_F(EngineTest, PreemptsAndFinishesEverythingWhenMemoryIsShort) {
  EngineSettings s = settings();
  s.kv_memory = 40 * kBlockBytes;  // 640 tokens for six requests that want 250 each
  std::vector<Answer> alone;
  std::vector<GenerateRequest> requests;
  for (unsigned i = 0; i < 6; ++i) requests.push_back(ask("s", words(10, 100 + i), 160));
  for (const GenerateRequest& request : requests) alone.push_back(run(*load(settings()), request));
  const auto engine = load(s);
  const auto answers = run_together(*engine, requests);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Answer& answer = answers[i];
    ASSERT_FALSE(answer.error) << answer.error->message;
    EXPECT_EQ(answer.summary.completion_tokens, 160);
    EXPECT_EQ(answer.logprobs, alone[i].logprobs);
  }
  EXPECT_EQ(engine->stats().kv_blocks_used, 0U);
}

// 50 clients of 4,000 tokens on memory for ten, scaled to a quarter: two tenants, half of the places to wait.
TEST_F(EngineTest, AnswersOrRefusesFiftyClientsOnMemoryForTen) {
  EngineSettings s = settings();
  s.kv_memory = 10 * (1100 / 16) * kBlockBytes;
  s.max_queue = 15;
  s.max_sequences = 20;
  auto engine = load(s);
  std::vector<GenerateRequest> requests;
  for (unsigned i = 0; i < 50; ++i) {
    requests.push_back(ask("s", words(120, 500 + i), 24));  // 8 bytes a word, a token each
    requests.back().cache_namespace = std::string(1, i % 5 == 0 ? 'a' : 'b');
  }
  int answered = 0;
  for (const Answer& answer : run_together(*engine, requests)) {
    if (!answer.error) {
      ++answered;
      EXPECT_EQ(answer.summary.completion_tokens, 24);
      continue;
    }
    EXPECT_EQ(answer.error->code, ErrorCode::overloaded);
    EXPECT_GE(answer.error->retry_after_seconds, 1);
  }
  EXPECT_GE(answered, 10);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.kv_blocks_used, 0U);
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_FALSE(run(*engine, requests[0]).error);
  testing::internal::CaptureStderr();
  engine.reset();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "blocks leaked";
}

TEST_F(EngineTest, AnswersAllOfFiftyClientsOnMemoryForTenWhenTheyMayWait) {
  EngineSettings s = settings();
  s.kv_memory = 10 * (1100 / 16) * kBlockBytes;
  s.kv_eviction = EvictionKind::lru;
  const auto engine = load(s);
  std::vector<GenerateRequest> requests;
  for (unsigned i = 0; i < 50; ++i) {
    requests.push_back(ask("s", words(120, 700 + i), 24));
    requests.back().priority = static_cast<int>(i % 3);
  }
  for (const Answer& answer : run_together(*engine, requests)) {
    ASSERT_FALSE(answer.error) << answer.error->message;
    EXPECT_EQ(answer.summary.completion_tokens, 24);
  }
  EXPECT_EQ(engine->stats().kv_blocks_used, 0U);
}

TEST_F(EngineTest, RefusesAPromptLongerThanTheContext) {
  EngineSettings s = settings();
  s.max_context = 64;
  const Answer answer = run(*load(s), ask("system", words(100, 3)));
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, ErrorCode::context_length);
}

TEST_F(EngineTest, RefusesWhenTheQueueIsFullAndSaysWhenToComeBack) {
  EngineSettings s = settings();
  s.max_sequences = 1;
  s.max_queue = 2;
  const auto engine = load(s);
  const std::vector<GenerateRequest> requests(12, ask("s", words(20, 7), 60));
  int refused = 0;
  for (const Answer& answer : run_together(*engine, requests)) {
    if (!answer.error) continue;
    ++refused;
    EXPECT_EQ(answer.error->code, ErrorCode::overloaded);
    EXPECT_GE(answer.error->retry_after_seconds, 1);
  }
  EXPECT_GE(refused, 1);
  EXPECT_LT(refused, 12);
}

TEST_F(EngineTest, FreesTheBlocksOfACancelledRequest) {
  const auto engine = load(settings());
  const auto collector = std::make_shared<Collector>();
  const auto id = engine->submit(ask("s", words(20, 4), 3000), collector);
  collector->wait_started();
  engine->cancel(id);
  EXPECT_TRUE(collector->silent());
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.kv_blocks_used, 0U);
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.cancelled, 1U);
}

TEST_F(EngineTest, StopsAtAStopStringEvenAcrossTokens) {
  const auto engine = load(settings());
  const std::string full = run(*engine, ask("s", "stop test", 40)).text;
  ASSERT_GT(full.size(), 12U);
  // Given a stop string from the middle of the answer that spans several one-byte tokens.
  std::size_t begin = 5;
  while ((static_cast<unsigned char>(full[begin]) & 0xC0U) == 0x80U) ++begin;
  std::size_t end = begin + 4;
  while (end < full.size() && (static_cast<unsigned char>(full[end]) & 0xC0U) == 0x80U) ++end;
  GenerateRequest request = ask("s", "stop test", 40);
  request.stop = {full.substr(begin, end - begin)};
  const Answer answer = run(*engine, request);
  EXPECT_EQ(answer.text, full.substr(0, full.find(request.stop[0])));
  EXPECT_EQ(answer.summary.finish, FinishReason::stop);
}

TEST_F(EngineTest, SamplesTheSameAnswerForTheSameSeedWhateverElseRuns) {
  const auto engine = load(settings());
  GenerateRequest request = ask("s", "a random story", 40);
  request.sampling.temperature = 1.0F;
  request.sampling.top_p = 0.9F;
  request.sampling.seed = 42;
  const Answer first = run(*engine, request);
  std::vector<std::shared_ptr<Collector>> others;
  for (unsigned i = 0; i < 5; ++i) {
    others.push_back(std::make_shared<Collector>());
    engine->submit(ask("s", words(20, i), 50), others.back());
  }
  EXPECT_EQ(run(*engine, request).text, first.text);
  request.sampling.seed = 43;
  EXPECT_NE(run(*engine, request).text, first.text);
  for (const auto& other : others) other->wait();
}

TEST_F(EngineTest, GivesLogprobsWithoutAlternatives) {
  GenerateRequest request = ask("s", "logprobs only", 5);
  request.sampling.top_logprobs = 0;
  const Answer answer = run(*load(settings()), request);
  ASSERT_FALSE(answer.error);
  EXPECT_EQ(answer.logprobs.size(), 5U);
}

TEST_F(EngineTest, AnswersGreedilyAtTemperaturesTooLowToTell) {
  const auto engine = load(settings());
  const Answer greedy = run(*engine, ask("s", "cold", 12));
  for (const float temperature : {1e-40F, 1e-30F, 1e-6F}) {
    GenerateRequest request = ask("s", "cold", 12);
    request.sampling.temperature = temperature;
    request.sampling.top_p = 0.9F;
    EXPECT_EQ(run(*engine, request).text, greedy.text) << temperature;
  }
  GenerateRequest request = ask("s", "cold", 12);
  request.sampling.temperature = 1;
  request.sampling.top_p = 0;
  EXPECT_EQ(run(*engine, request).text, greedy.text) << "top_p 0";
}

TEST_F(EngineTest, ShowsNoLogprobOfAStopString) {
  const auto engine = load(settings());
  const Answer full = run(*engine, ask("s", "stop test", 40));
  std::size_t begin = 8;
  while ((static_cast<unsigned char>(full.text[begin]) & 0x80U) != 0) ++begin;
  GenerateRequest request = ask("s", "stop test", 40);
  request.stop = {full.text.substr(begin, 1)};
  const Answer answer = run(*engine, request);
  // Each token of the tiny model is one byte or, rarely, two; four numbers are collected for each.
  EXPECT_LE(answer.logprobs.size(), 4 * answer.text.size() + 4);
}

TEST_F(EngineTest, ServesRequestsThatArriveTogetherOnAnIdleEngineWithoutAQueue) {
  EngineSettings s = settings();
  s.max_queue = 0;
  const auto engine = load(s);
  const std::vector<GenerateRequest> requests(10, ask("s", "together", 5));
  for (const Answer& answer : run_together(*engine, requests)) EXPECT_FALSE(answer.error);
}

TEST_F(EngineTest, RefusesAnEndlessPromptWithoutReadingItAll) {
  const Answer answer = run(*load(settings()), ask("s", std::string(16U << 20, 'a')));
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, ErrorCode::context_length);
  EXPECT_NE(answer.error->message.find("at least"), std::string::npos);
}

TEST_F(EngineTest, InvalidatesTheSameTextUnderEachIdItWasSentWith) {
  const auto engine = load(settings());
  const auto with_document = [](const char* id) {
    GenerateRequest request;
    request.input = input_of({{rag::Role::user, "What is it?", ""}}, {{id, words(60, 2), "", "", ""}});
    request.max_tokens = 2;
    return request;
  };
  run(*engine, with_document("first"));
  EXPECT_GT(run(*engine, with_document("second")).summary.reused_tokens, 100);
  EXPECT_GT(engine->invalidate({"second"}), 5U);
}

TEST_F(EngineTest, NeitherReadsNorRecordsPrefixesWhenToldNotTo) {
  const auto engine = load(settings());
  GenerateRequest request = ask(words(60, 9), "q");
  request.prompt_cache = false;
  run(*engine, request);
  EXPECT_EQ(engine->stats().kv_blocks_cached, 0U);
  request.prompt_cache = true;
  EXPECT_EQ(run(*engine, request).summary.reused_tokens, 0);
}

TEST_F(EngineTest, KeepsTenantsPrefixesApart) {
  const auto engine = load(settings());
  GenerateRequest request = ask(words(60, 9), "q");
  request.cache_namespace = "a";
  run(*engine, request);
  request.cache_namespace = "b";
  EXPECT_EQ(run(*engine, request).summary.reused_tokens, 0);
  request.cache_namespace = "a";
  EXPECT_GT(run(*engine, request).summary.reused_tokens, 100);
}

TEST_F(EngineTest, KeepsAPinnedPromptWhateverElseComes) {
  EngineSettings s = settings();
  s.kv_memory = 100 * kBlockBytes;
  const auto engine = load(s);
  GenerateRequest pinned = ask(words(60, 1), "q", 4);
  const int prompt = run(*engine, pinned).summary.prompt_tokens;
  pinned.pin = std::chrono::minutes(5);  // by a request that finds it all in the KV
  run(*engine, pinned);
  EXPECT_EQ(engine->stats().kv_blocks_pinned, static_cast<std::uint64_t>(prompt / 16));
  for (unsigned i = 2; i < 12; ++i) run(*engine, ask(words(60, i), "q", 4));
  EXPECT_GT(engine->stats().evicted_blocks, 0U);
  EXPECT_GT(run(*engine, ask(words(60, 1), "q", 4)).summary.reused_tokens, prompt - 17);
}

TEST_F(EngineTest, ForgetsTheBlocksOfAnInvalidatedDocument) {
  const auto engine = load(settings());
  GenerateRequest request;
  request.input = input_of({{rag::Role::system, words(30, 1), ""}, {rag::Role::user, "What is it?", ""}},
                           {{"doc-1", words(60, 2), "", "", ""}});
  request.max_tokens = 4;
  const Answer first = run(*engine, request);
  EXPECT_GT(run(*engine, request).summary.reused_tokens, first.summary.prompt_tokens - 20);
  EXPECT_GT(engine->invalidate({"doc-1"}), 5U);
  const Answer after = run(*engine, request);
  EXPECT_LT(after.summary.reused_tokens, first.summary.prompt_tokens / 2);
  EXPECT_GT(after.summary.reused_tokens, 100);  // the system prompt stays
}

TEST_F(EngineTest, FailsWhatStillRunsWhenItShutsDown) {
  auto engine = load(settings());
  const auto collector = std::make_shared<Collector>();
  engine->submit(ask("s", "long", 3500), collector);
  collector->wait_started();
  engine.reset();
  const Answer answer = collector->wait();
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, ErrorCode::shutting_down);
}

TEST(EngineLoad, SaysInOneSentenceWhatIsWrongWithAFile) {
  EngineSettings s;
  s.gguf = "does-not-exist.gguf";
  const auto missing = Engine::load(s);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("does-not-exist.gguf"), std::string::npos);

  const TinyModelFile whole;
  s.gguf = whole.path() + ".cut";
  const auto size = std::filesystem::file_size(whole.path());
  std::filesystem::copy_file(whole.path(), s.gguf);
  std::filesystem::resize_file(s.gguf, size - 1000);
  const auto cut = Engine::load(s);
  std::filesystem::remove(s.gguf);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, ErrorCode::bad_model_file);

  s.gguf = whole.path();
  s.kv_memory = 1000;
  const auto small = Engine::load(s);
  ASSERT_FALSE(small);
  EXPECT_NE(small.error().message.find("kv_memory"), std::string::npos);
}

TEST_F(EngineTest, ContinuesARawPromptWithoutATemplate) {
  const auto engine = load(settings());
  const Answer plain = run(*engine, raw_prompt({"word1 word2", {}, false}));
  ASSERT_FALSE(plain.error);
  EXPECT_EQ(run(*engine, raw_prompt({"word1 word2", {}, true})).text, "word1 word2" + plain.text);
  EXPECT_LT(plain.summary.prompt_tokens, run(*engine, ask("", "word1 word2", 4)).summary.prompt_tokens);
}

TEST_F(EngineTest, TakesARawPromptAsTokensAndRefusesThoseItDoesNotHave) {
  const auto engine = load(settings());
  const Answer told = run(*engine, raw_prompt({"", {5, 6, 7}, false}));
  ASSERT_FALSE(told.error);
  EXPECT_EQ(told.summary.prompt_tokens, 3);
  const Answer unknown = run(*engine, raw_prompt({"", {5, 1 << 30}, false}));
  ASSERT_TRUE(unknown.error);
  EXPECT_EQ(unknown.error->param, "prompt");
  const std::vector<std::int32_t> many(static_cast<std::size_t>(engine->context_length()), 5);
  const Answer too_long = run(*engine, raw_prompt({"", many, false}));
  ASSERT_TRUE(too_long.error);
  EXPECT_EQ(too_long.error->code, ErrorCode::context_length);
  EXPECT_EQ(too_long.error->param, "prompt");
}

}  // namespace
}  // namespace kvasir::engine
