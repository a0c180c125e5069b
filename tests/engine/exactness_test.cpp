// Warm equals cold on real models: the same prompt cold, behind a cached prefix, in a batch of 8 and in other chunk
// sizes gives the same logprobs, bit for bit.
#include "engine/engine.hpp"
#include "tests/engine/collector.hpp"
#include "tests/engine/golden.hpp"
#include "tests/test_files.hpp"

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

constexpr const char* kSystem =
    "You answer questions about a small harbour town. The town has one lighthouse, built in 1862 of red granite, and "
    "two "
    "piers. The northern pier is for fishing boats; the southern pier is for the ferry, which leaves at six in the "
    "morning "
    "and at four in the afternoon. The market is open on Tuesdays and Saturdays. The library stands behind the "
    "church. ";

GenerateRequest question(const std::string& text) {
  GenerateRequest request;
  request.input = input_of({{rag::Role::system, kSystem, ""}, {rag::Role::user, text, ""}});
  request.max_tokens = 12;
  request.sampling.temperature = 0;
  request.sampling.top_logprobs = 5;
  return request;
}

struct Case {
  const char* model;
  const char* gguf;
  kernels::KvType kv_type;
};

class RealModelExactness : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const bool usual = std::string_view(GetParam().gguf) == kSmolLm2;
#if defined(__SANITIZE_ADDRESS__)
    if (!usual || GetParam().kv_type != kernels::KvType::f16)
      GTEST_SKIP() << "minutes here; RandomExactness runs every KV type";
#endif
    path_ = model_path(GetParam().gguf);
    // tests/run.sh has fetched it: there a skip would hide that the main promise was not checked.
    if (usual && std::getenv("KVASIR_REQUIRE_MODELS") != nullptr) {
      ASSERT_TRUE(std::filesystem::exists(path_)) << path_;
    }
    if (!std::filesystem::exists(path_))
      GTEST_SKIP() << "no model at " << path_ << "; deploy/fetch_models.sh --tests brings it";
  }
  std::unique_ptr<Engine> load(int step_tokens, int threads, SpeculationSettings speculation = {}) const {
    EngineSettings settings;
    settings.gguf = path_;
    settings.kv_memory = 256U << 20;
    settings.kv_type = GetParam().kv_type;
    settings.step_tokens = step_tokens;
    settings.threads = threads;
    settings.speculation = speculation;
    auto engine = Engine::load(settings);
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }
  std::string path_;
};

TEST_P(RealModelExactness, ColdWarmBatchedAndOtherChunkSizesGiveTheSameBits) {
  const char* const questions[] = {
      "When does the ferry leave?",        "What is the lighthouse built of?",    "Where is the library?",
      "On which days is the market open?", "Which pier do fishing boats use?",    "How many piers are there?",
      "When was the lighthouse built?",    "What stands in front of the library?"};
  const Answer cold = run(*load(256, 2), question(questions[0]));
  ASSERT_FALSE(cold.error);
  EXPECT_EQ(cold.summary.reused_tokens, 0);
  ASSERT_GE(cold.logprobs.size(), 6U);

  for (const int step_tokens : {19, 64, 300}) {
    const auto engine = load(step_tokens, 1 + step_tokens % 2);
    const Answer other_chunks = run(*engine, question(questions[0]));
    EXPECT_EQ(other_chunks.logprobs, cold.logprobs) << "chunks of " << step_tokens;
    const Answer warm = run(*engine, question(questions[0]));
    EXPECT_GT(warm.summary.reused_tokens, 90);
    EXPECT_EQ(warm.logprobs, cold.logprobs) << "behind a cached prefix";
  }

  const auto engine = load(128, 2);
  std::vector<GenerateRequest> requests;
  for (const char* text : questions) requests.push_back(question(text));
  const auto answers = run_together(*engine, requests);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Answer& answer = answers[i];
    ASSERT_FALSE(answer.error);
    if (i == 0) {
      EXPECT_EQ(answer.logprobs, cold.logprobs) << "in a batch of 8";
    }
  }
}

TEST_P(RealModelExactness, SpeculationGivesTheSameBits) {
  std::vector<GenerateRequest> requests;
  for (const char* text : {"Repeat the sentence about the piers.", "Repeat what was said about the market, twice."}) {
    requests.push_back(question(text));
    requests.back().max_tokens = 40;
    requests.push_back(requests.back());
    requests.back().sampling.temperature = 1;
    requests.back().sampling.top_p = 0.9F;
    requests.back().sampling.seed = 11;
  }
  const auto plain_engine = load(128, 2, {false, 0, true});
  const auto engine = load(128, 2, {true, 8, false});
  std::vector<Answer> plain;
  for (const GenerateRequest& request : requests) {
    plain.push_back(run(*plain_engine, request));
    EXPECT_EQ(run(*engine, request).logprobs, plain.back().logprobs) << "alone";
  }
  const auto together = run_together(*engine, requests);
  for (std::size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(together[i].logprobs, plain[i].logprobs) << i;
  EXPECT_GT(engine->stats().accepted_tokens, 20U);
  EXPECT_GT(engine->stats().rejected_tokens, 20U);
}

INSTANTIATE_TEST_SUITE_P(Models, RealModelExactness,
                         testing::Values(Case{"SmolLM2", kSmolLm2, kernels::KvType::f16},
                                         Case{"SmolLM2", kSmolLm2, kernels::KvType::int8},
                                         Case{"SmolLM2", kSmolLm2, kernels::KvType::int4},
                                         Case{"Gemma3", kGemma3, kernels::KvType::f16},
                                         Case{"Qwen2_5_Coder", kQwen25Coder, kernels::KvType::f16}),
                         [](const auto& test) {
                           const auto type = static_cast<std::size_t>(test.param.kv_type);
                           return std::string(test.param.model) + "_" + std::string(kernels::kKvTypeNames.at(type));
                         });

// The whole way with a model that can do something: template, tokens, text and end.
TEST(QwenCoder, WritesAFunctionAndEnds) {
  EngineSettings settings;
  settings.gguf = model_path(kQwen25Coder);
  settings.kv_memory = 64U << 20;
  if (!std::filesystem::exists(settings.gguf))
    GTEST_SKIP() << "no model at " << settings.gguf << "; deploy/fetch_models.sh --tests brings it";
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "minutes here";
#endif
  auto engine = Engine::load(settings);
  ASSERT_TRUE(engine) << engine.error().message;
  GenerateRequest request;
  request.input =
      input_of({{rag::Role::user, "Write a Python function add(a, b) that returns the sum. Only code.", ""}});
  request.max_tokens = 120;
  request.sampling.temperature = 0;
  const Answer answer = run(**engine, std::move(request));
  ASSERT_FALSE(answer.error);
  EXPECT_NE(answer.text.find("def add(a, b):"), std::string::npos) << answer.text;
  EXPECT_NE(answer.text.find("return a + b"), std::string::npos) << answer.text;
  EXPECT_EQ(answer.summary.finish, FinishReason::stop) << answer.text;
}

}  // namespace
}  // namespace kvasir::engine
