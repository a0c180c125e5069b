// Speculation through the engine: the same bits as without, however good or bad the guesses are.
#include "engine/engine.hpp"
#include "engine/memory_limit.hpp"
#include "tests/engine/collector.hpp"
#include "tests/engine/golden.hpp"
#include "tests/engine/tiny_model.hpp"
#include "tests/test_files.hpp"

#include <cmath>
#include <span>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

constexpr const char* kSchema = R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 12},
  "names": {"type": "array", "minItems": 3, "items": {"enum": ["red", "green"]}}},
  "required": ["name", "names"], "additionalProperties": false})";

std::string words(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < count; ++i) text += "word" + std::to_string(random() % 10) + " ";
  return text;
}

GenerateRequest ask(const std::string& question, int max_tokens = 60) {
  GenerateInput input;
  input.prompt = rag::analyse({{rag::Role::user, question, ""}}, {});
  GenerateRequest request;
  request.input = std::make_shared<GenerateInput>(std::move(input));
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.sampling.top_logprobs = 4;
  request.sampling.logit_bias = {{258, -100.0F}};  // never end early
  return request;
}

// An answer whose text has the same tokens when it is read again: no broken characters, and "th" never as two.
GenerateRequest readable(GenerateRequest request) {
  auto& bias = request.sampling.logit_bias;
  bias = {{'t', -100.0F}};
  for (std::int32_t token = 0; token < ' '; ++token) bias.emplace_back(token, -100.0F);
  for (std::int32_t token = 127; token < 259; ++token) bias.emplace_back(token, -100.0F);
  return request;
}

template <typename Change>
GenerateRequest changed(const GenerateRequest& request, Change change) {
  GenerateInput input = *request.input;
  change(input);
  GenerateRequest copy = request;
  copy.input = std::make_shared<GenerateInput>(std::move(input));
  return copy;
}

GenerateRequest predicting(const GenerateRequest& request, std::string prediction) {
  return changed(request, [&](GenerateInput& input) { input.prediction = std::move(prediction); });
}

// The beginning of an answer, then something else, then its end.
std::string half_right(const std::string& answer) {
  const std::size_t half = answer.size() / 2;
  return answer.substr(0, half) + "something else" + answer.substr(half);
}

class SpeculationTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> load(int most, std::uint64_t kv_memory = 64U << 20, const std::string& draft = "") const {
    EngineSettings settings;
    settings.gguf = file_.path();
    settings.kv_memory = kv_memory;
    settings.threads = 2;
    settings.speculation.max_tokens = most;
    settings.speculation.adapt = false;
    settings.speculation.prompt_lookup = draft.empty();
    settings.draft = draft;
    auto engine = Engine::load(settings);
    if (!engine) throw std::runtime_error(engine.error().message);
    return std::move(*engine);
  }
  static void expect_same(const Answer& answer, const Answer& plain, const std::string& which) {
    ASSERT_FALSE(answer.error) << which << ": " << answer.error->message;
    EXPECT_EQ(answer.text, plain.text) << which;
    EXPECT_EQ(answer.logprobs, plain.logprobs) << which;
    EXPECT_EQ(answer.summary.finish, plain.summary.finish) << which;
    EXPECT_EQ(answer.summary.completion_tokens, plain.summary.completion_tokens) << which;
  }
  static constexpr std::uint64_t kBlockBytes = 3 * 2 * 2 * 16 * 16 * 2;

  TinyModelFile file_;
};

TEST_F(SpeculationTest, ChangesNoAnswerWhateverTheSamplingTheFormatAndTheBatch) {
  std::vector<GenerateRequest> requests;
  requests.push_back(ask(words(40, 1)));
  requests.push_back(ask(words(40, 2), 7));
  requests.push_back(ask(words(30, 3)));
  requests.back().sampling.temperature = 1;
  requests.back().sampling.seed = 5;
  requests.push_back(requests.back());
  requests.back().sampling.top_p = 0.8F;
  requests.back().sampling.repetition_penalty = 1.3F;
  requests.back().sampling.frequency_penalty = 0.5F;
  requests.push_back(requests[2]);
  requests.back().sampling.temperature = 0.3F;
  requests.back().sampling.min_p = 0.1F;
  requests.push_back(changed(ask("JSON please", 200), [](GenerateInput& input) {
    input.format = {OutputFormat::Kind::json_schema, kSchema};
  }));
  requests.push_back(requests.back());
  requests.back().sampling.temperature = 1;
  requests.back().sampling.seed = 6;

  const auto plain_engine = load(0);
  std::vector<Answer> plain;
  for (const GenerateRequest& request : requests) plain.push_back(run(*plain_engine, request));
  // With a stop string from the middle of the answer.
  requests.push_back(requests[0]);
  requests.back().stop = {plain[0].text.substr(plain[0].text.size() / 2, 6)};
  plain.push_back(run(*plain_engine, requests.back()));
  for (std::size_t i = 0, count = requests.size(); i < count; ++i) {
    for (const std::string& prediction : {plain[i].text, half_right(plain[i].text)}) {
      requests.push_back(predicting(requests[i], prediction));
      plain.push_back(plain[i]);
    }
  }

  const auto engine = load(5);
  for (std::size_t i = 0; i < requests.size(); ++i)
    expect_same(run(*engine, requests[i]), plain[i], "alone, request " + std::to_string(i));
  EXPECT_GT(engine->stats().accepted_tokens, 200U);
  EXPECT_GT(engine->stats().rejected_tokens, 50U);
  for (const int most : {1, 8, 64}) {
    const auto other = load(most);
    const auto answers = run_together(*other, requests);
    for (std::size_t i = 0; i < requests.size(); ++i)
      expect_same(answers[i], plain[i], "in a batch, " + std::to_string(most) + ", request " + std::to_string(i));
  }
}

TEST_F(SpeculationTest, SamplesEachRankAsOftenAsItsProbabilitySays) {
  const auto engine = load(6);
  std::vector<GenerateRequest> requests;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    requests.push_back(ask("a random story", 400));
    GenerateRequest& request = requests.back();
    request.sampling.temperature = 1;
    request.sampling.top_k = 4;  // all that can come has a logprob
    request.sampling.seed = seed;
    request.sampling.logit_bias.clear();
    requests.push_back(predicting(request, run(*engine, request).text));
  }
  std::vector<double> seen(4), expected(4);
  int accepted = 0;
  int rejected = 0;
  for (const Answer& answer : run_together(*engine, requests)) {
    accepted += answer.summary.accepted_tokens;
    rejected += answer.summary.rejected_tokens;
    for (std::size_t i = 0; i + 5 <= answer.logprobs.size(); i += 5) {
      const std::span<const float> top(&answer.logprobs[i + 1], 4);
      double whole = 0;
      for (const float logprob : top) whole += std::exp(logprob);
      for (std::size_t rank = 0; rank < 4; ++rank) {
        expected[rank] += std::exp(top[rank]) / whole;
        if (top[rank] == answer.logprobs[i]) seen[rank] += 1;
      }
    }
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(rejected, 100);
  double chi_square = 0;
  for (std::size_t rank = 0; rank < 4; ++rank)
    chi_square += (seen[rank] - expected[rank]) * (seen[rank] - expected[rank]) / expected[rank];
  // Each answer stands twice, predicted and not; 99.9 % of chi-square with 3 degrees of freedom is 16.3.
  EXPECT_LT(chi_square / 2, 16.3);
}

TEST_F(SpeculationTest, LeavesNoTraceOfRejectedTokensInTheCache) {
  const auto engine = load(8);
  const GenerateRequest first = readable(ask(words(40, 4), 100));
  const std::string answer = run(*load(0), first).text;
  const Answer told = run(*engine, predicting(first, half_right(half_right(answer))));
  EXPECT_GT(told.summary.rejected_tokens, 0);
  const GenerateRequest next = changed(first, [&](GenerateInput& input) {
    input.prompt = rag::analyse(
        {{rag::Role::user, words(40, 4), ""}, {rag::Role::assistant, told.text, ""}, {rag::Role::user, "Go on.", ""}},
        {});
  });
  const Answer cold = run(*load(0), next);
  const Answer warm = run(*engine, next);
  EXPECT_GT(warm.summary.reused_tokens, told.summary.prompt_tokens + 80);
  EXPECT_EQ(warm.logprobs, cold.logprobs);
}

TEST_F(SpeculationTest, PreemptsNobodyForAGuess) {
  const auto engine = load(16, 12 * kBlockBytes);
  GenerateRequest request = ask("aaaa", 0);  // to the end of the context, which is all of the memory
  request.prompt_cache = false;
  const Answer plain = run(*load(0, 12 * kBlockBytes), request);
  expect_same(run(*engine, predicting(request, plain.text)), plain, "alone");
  EXPECT_EQ(engine->stats().preemptions, 0U);
  EXPECT_EQ(engine->stats().kv_blocks_used, 0U);
}

TEST_F(SpeculationTest, SurvivesPreemption) {
  std::vector<GenerateRequest> requests;
  std::vector<Answer> plain;
  const auto plain_engine = load(0);
  for (unsigned i = 0; i < 6; ++i) {
    requests.push_back(ask(words(10, 100 + i), 160));
    plain.push_back(run(*plain_engine, requests.back()));
    requests.back() = predicting(requests.back(), half_right(plain.back().text));
  }
  const auto engine = load(8, 40 * kBlockBytes);
  const auto answers = run_together(*engine, requests);
  for (std::size_t i = 0; i < requests.size(); ++i) expect_same(answers[i], plain[i], std::to_string(i));
  EXPECT_EQ(engine->stats().kv_blocks_used, 0U);
}

TEST_F(SpeculationTest, VerifiesNoMoreThanTheRequestAllows) {
  const auto engine = load(8);
  GenerateRequest request = readable(ask(words(20, 5), 100));
  request.predict_tokens = 0;
  const Answer plain = run(*engine, predicting(request, "anything"));
  EXPECT_EQ(plain.summary.accepted_tokens + plain.summary.rejected_tokens, 0);
  const auto steps_of = [&](int most) {
    request.predict_tokens = most;
    const std::uint64_t before = engine->stats().steps;
    expect_same(run(*engine, predicting(request, plain.text)), plain, std::to_string(most));
    return engine->stats().steps - before;
  };
  EXPECT_GT(steps_of(1), 50U);
  EXPECT_LT(steps_of(32), 50U);
}

// The model as its own draft is always right, another one hardly ever.
TEST_F(SpeculationTest, ChangesNoAnswerWithADraftModel) {
  const TinyModelFile other({}, 2);
  for (const std::string& draft : {file_.path(), other.path()}) {
    std::vector<GenerateRequest> requests;
    for (unsigned i = 0; i < 6; ++i) {
      requests.push_back(ask(words(10 + 5 * static_cast<int>(i), i), 80));
      if (i % 2 == 0) continue;
      requests.back().sampling.temperature = 1;
      requests.back().sampling.seed = i;
    }
    std::vector<Answer> plain;
    const auto plain_engine = load(0);
    for (const GenerateRequest& request : requests) plain.push_back(run(*plain_engine, request));
    const auto engine = load(5, 64U << 20, draft);
    for (std::size_t i = 0; i < requests.size(); ++i) expect_same(run(*engine, requests[i]), plain[i], "alone");
    const auto together = run_together(*engine, requests);
    for (std::size_t i = 0; i < requests.size(); ++i) expect_same(together[i], plain[i], "together");
    const EngineStats stats = engine->stats();
    if (draft == file_.path()) {
      EXPECT_GT(stats.accepted_tokens, 0U);
      EXPECT_EQ(stats.rejected_tokens, 0U);
    } else {
      EXPECT_GT(stats.rejected_tokens, stats.accepted_tokens);
    }
  }
}

// A matrix of embeddings may be padded; the draft's may have fewer rows.
TEST_F(SpeculationTest, SamplesNoRowThatIsNoToken) {
  const TinyModelFile padded({.padding = 3000});
  EngineSettings settings;
  settings.gguf = padded.path();
  settings.kv_memory = 64U << 20;
  settings.threads = 2;
  settings.speculation.adapt = false;
  settings.draft = file_.path();
  const auto engine = Engine::load(settings);
  ASSERT_TRUE(engine) << engine.error().message;
  GenerateRequest request = ask(words(10, 1), 80);
  request.sampling.temperature = 1;
  request.sampling.seed = 4;
  const Answer answer = run(**engine, request);
  ASSERT_FALSE(answer.error);
  EXPECT_EQ(answer.summary.completion_tokens, 80);
  EXPECT_GE(answer.text.size(), 70U) << "tokens of a byte or more each, but for control tokens";
}

TEST_F(SpeculationTest, RefusesADraftWhoseKvHasNoRoom) {
  const TinyModelFile wide({.hidden = 256, .kv_heads = 4});  // eight times as much
  EngineSettings settings;
  settings.gguf = file_.path();
  settings.kv_memory = available_memory() / 4;
  settings.draft = wide.path();
  const auto engine = Engine::load(settings);
  ASSERT_FALSE(engine);
  EXPECT_NE(engine.error().message.find("the draft model's KV takes"), std::string::npos) << engine.error().message;
}

TEST_F(SpeculationTest, RefusesADraftModelWithOtherTokens) {
  EngineSettings settings;
  settings.gguf = file_.path();
  settings.kv_memory = 64U << 20;
  settings.draft = model_path(kSmolLm2);
  if (!std::filesystem::exists(settings.draft)) GTEST_SKIP() << "no model at " << settings.draft;
  const auto engine = Engine::load(settings);
  ASSERT_FALSE(engine);
  EXPECT_NE(engine.error().message.find("draft"), std::string::npos);
}

TEST_F(SpeculationTest, SharesThePromptAmongChoices) {
  const auto engine = load(4);
  GenerateRequest choice = ask(words(60, 8), 20);
  choice.sampling.temperature = 1;
  std::vector<GenerateRequest> choices;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    choices.push_back(choice);
    choices.back().sampling.seed = seed;
  }
  int computed = 0;
  int prompt = 0;
  for (const Answer& answer : run_together(*engine, choices)) {
    computed += answer.summary.computed_tokens;
    prompt = answer.summary.prompt_tokens;
  }
  // The last block, which is not whole, is each one's own.
  EXPECT_LE(computed, prompt + 3 * 16);
  EXPECT_LE(engine->stats().kv_blocks_cached, static_cast<std::uint64_t>(prompt / 16 + 4 * 3));
}

}  // namespace
}  // namespace kvasir::engine
