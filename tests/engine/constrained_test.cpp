// Formats through the engine: a model with random weights, which knows nothing of JSON, answers with nothing else.
#include "engine/engine.hpp"
#include "tests/engine/collector.hpp"
#include "tests/engine/tiny_model.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::engine {
namespace {

constexpr const char* kSchema = R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 12},
  "kind": {"enum": ["red", "green"]}, "size": {"type": "integer", "minimum": 1, "maximum": 99}},
  "required": ["name", "kind", "size"], "additionalProperties": false})";

constexpr std::int32_t kEnd = 258;

class ConstrainedEngine : public testing::Test {
 protected:
  static void SetUpTestSuite() { file_ = new TinyModelFile(); }
  static void TearDownTestSuite() {
    delete file_;
    file_ = nullptr;
  }
  static std::unique_ptr<Engine> load(std::uint64_t kv_memory = 32U << 20) {
    EngineSettings settings;
    settings.gguf = file_->path();
    settings.kv_memory = kv_memory;
    settings.threads = 1;
    auto engine = Engine::load(settings);
    if (!engine) throw std::runtime_error(engine.error().message);
    return std::move(*engine);
  }
  static GenerateRequest ask(const std::string& question, OutputFormat format, std::uint64_t seed = 1) {
    GenerateInput input;
    input.prompt = rag::analyse({{rag::Role::user, question, ""}}, {});
    input.format = std::move(format);
    GenerateRequest request;
    request.input = std::make_shared<GenerateInput>(std::move(input));
    request.max_tokens = 400;
    request.sampling.seed = seed;
    return request;
  }
  static OutputFormat schema(std::string text = kSchema) { return {OutputFormat::Kind::json_schema, std::move(text)}; }
  static bool fits(const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || json.size() != 3) return false;
    const int size = json.value("size", 0);
    return json["name"].is_string() && (json["kind"] == "red" || json["kind"] == "green") && size >= 1 && size <= 99;
  }

  static TinyModelFile* file_;
};

TinyModelFile* ConstrainedEngine::file_ = nullptr;

TEST_F(ConstrainedEngine, AnswersWithTheSchemaWhateverTheSampling) {
  const auto engine = load();
  std::vector<GenerateRequest> requests;
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    GenerateRequest request = ask("anything", schema(), seed);
    request.sampling.temperature = seed % 4 == 0 ? 0.0F : 2.0F;
    if (seed % 3 == 1) request.sampling.top_p = 0.5F;
    if (seed % 3 == 2) request.sampling.top_k = 3;
    if (seed % 5 == 1) request.sampling.frequency_penalty = 2.0F;
    requests.push_back(std::move(request));
  }
  for (const Answer& answer : run_together(*engine, requests)) {
    ASSERT_FALSE(answer.error) << answer.error->message;
    EXPECT_EQ(answer.summary.finish, FinishReason::stop);
    EXPECT_TRUE(fits(answer.text)) << answer.text;
  }
}

TEST_F(ConstrainedEngine, EndsWhereTheValueEndsEvenIfTheModelWouldGoOn) {
  GenerateRequest request = ask("anything", schema());
  request.sampling.logit_bias = {{kEnd, -100.0F}};
  const Answer answer = run(*load(), request);
  ASSERT_FALSE(answer.error);
  EXPECT_TRUE(fits(answer.text)) << answer.text;
  EXPECT_EQ(answer.summary.finish, FinishReason::stop);
}

TEST_F(ConstrainedEngine, SurvivesABiasAgainstAllThatIsAllowed) {
  GenerateRequest request = ask("anything", schema(R"({"type": "boolean"})"));
  for (std::int32_t token = 0; token < 256; ++token) request.sampling.logit_bias.emplace_back(token, -100.0F);
  for (const float temperature : {0.0F, 1.0F}) {
    request.sampling.temperature = temperature;
    const Answer answer = run(*load(), request);
    ASSERT_FALSE(answer.error);
    EXPECT_TRUE(answer.text == "true" || answer.text == "false") << answer.text;
  }
}

TEST_F(ConstrainedEngine, CutsTheAnswerAtTheLimitOnTokens) {
  GenerateRequest request = ask("anything", schema());
  request.max_tokens = 9;
  const Answer answer = run(*load(), request);
  EXPECT_EQ(answer.summary.finish, FinishReason::length);
  EXPECT_TRUE(std::string(R"({"name": ")").starts_with(answer.text) || answer.text.starts_with(R"({"name":")"))
      << answer.text;
}

TEST_F(ConstrainedEngine, StopsAtAStopString) {
  GenerateRequest request = ask("anything", schema());
  request.stop = {"kind"};
  const Answer answer = run(*load(), request);
  EXPECT_EQ(answer.summary.finish, FinishReason::stop);
  EXPECT_TRUE(answer.text.ends_with('"')) << answer.text;
  EXPECT_EQ(answer.text.find("kind"), std::string::npos);
}

TEST_F(ConstrainedEngine, ShowsTheLogprobsOfTheWholeVocabulary) {
  const auto engine = load();
  GenerateRequest free = ask("anything", {});
  free.max_tokens = 1;
  free.sampling.temperature = 0;
  free.sampling.top_logprobs = 5;
  GenerateRequest bound = free;
  bound.input = ask("anything", schema()).input;
  const Answer free_answer = run(*engine, free);
  const Answer bound_answer = run(*engine, bound);
  EXPECT_EQ(bound_answer.text, "{");
  // Behind the token's own: the alternatives, which know nothing of the format.
  ASSERT_EQ(free_answer.logprobs.size(), 6U);
  ASSERT_EQ(bound_answer.logprobs.size(), 6U);
  EXPECT_TRUE(
      std::equal(free_answer.logprobs.begin() + 1, free_answer.logprobs.end(), bound_answer.logprobs.begin() + 1));
  EXPECT_LT(bound_answer.logprobs[0], free_answer.logprobs[0]);
}

TEST_F(ConstrainedEngine, GivesBitEqualAnswersColdWarmAndPreempted) {
  GenerateRequest request = ask(
      "a rather long question, so that some of it stays in the prefix cache of the engine",
      {OutputFormat::Kind::json_schema,
       R"({"type": "array", "items": {"type": "string", "minLength": 30, "maxLength": 40}, "minItems": 3, "maxItems": 3})"});
  request.sampling.top_logprobs = 2;
  const auto engine = load();
  const Answer cold = run(*engine, request);
  const Answer warm = run(*engine, request);
  ASSERT_FALSE(cold.error);
  EXPECT_GT(warm.summary.reused_tokens, 0);
  EXPECT_EQ(warm.text, cold.text);
  EXPECT_EQ(warm.logprobs, cold.logprobs);

  // Memory for little more than one of them: the others are preempted and computed again.
  const auto small = load(18 * std::uint64_t{16} * 3 * 2 * 32 * 2);
  request.prompt_cache = false;
  for (const Answer& answer : run_together(*small, std::vector<GenerateRequest>(3, request))) {
    ASSERT_FALSE(answer.error) << answer.error->message;
    EXPECT_EQ(answer.text, cold.text);
    EXPECT_EQ(answer.logprobs, cold.logprobs);
  }
  EXPECT_GT(small->stats().preemptions, 0U);
}

TEST_F(ConstrainedEngine, MakesAnyObjectForJsonObject) {
  const auto engine = load();
  int whole = 0;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const Answer answer = run(*engine, ask("anything", {OutputFormat::Kind::json_object, ""}, seed));
    ASSERT_FALSE(answer.error);
    EXPECT_TRUE(answer.text.starts_with('{'));
    if (answer.summary.finish == FinishReason::length) continue;
    ++whole;
    EXPECT_TRUE(nlohmann::json::parse(answer.text, nullptr, false).is_object()) << answer.text;
  }
  EXPECT_GT(whole, 0);
}

TEST_F(ConstrainedEngine, RefusesASchemaThatItCannotKeep) {
  const Answer answer = run(*load(), ask("anything", schema(R"({"type": "array", "uniqueItems": true})")));
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, ErrorCode::bad_request);
  EXPECT_EQ(answer.error->param, "response_format");
  EXPECT_NE(answer.error->message.find("#/uniqueItems"), std::string::npos);
}

}  // namespace
}  // namespace kvasir::engine
