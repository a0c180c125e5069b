// Warm equals cold, whatever comes together: random requests in random company give the logprobs, bit for bit, that
// each gives alone on an engine that keeps no prefix, guesses nothing and has memory to spare.
//
// KVASIR_RANDOM_SEED repeats a failure, KVASIR_RANDOM_ROUNDS runs longer.
#include "engine/kv_size.hpp"
#include "tests/engine/collector.hpp"
#include "tests/engine/tiny_model.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

constexpr int kContext = 256;

unsigned from_environment(const char* name, unsigned otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(value, nullptr, 10));
}

class Random {
 public:
  explicit Random(unsigned seed) : bits_(seed) {}
  int between(int least, int most) { return std::uniform_int_distribution<int>(least, most)(bits_); }
  bool one_in(int n) { return between(1, n) == 1; }
  template <typename T>
  const T& any(const std::vector<T>& of) {
    return of[static_cast<std::size_t>(between(0, static_cast<int>(of.size()) - 1))];
  }
  std::vector<std::int32_t> tokens(int count, int kinds) {
    std::vector<std::int32_t> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back(between(32, 32 + kinds));
    return tokens;
  }

 private:
  std::mt19937 bits_;
};

// A file that goes with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / (std::to_string(::getpid()) + "-" + name)) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

void write_adapter(const std::string& path, const TinyShape& shape, Random& random) {
  constexpr int kRank = 4;
  const auto matrix = [&](int count) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(count) * sizeof(float));
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(float)) {
      const float value = static_cast<float>(random.between(-300, 300)) * 1e-3F;
      std::memcpy(&bytes[i], &value, sizeof value);
    }
    return bytes;
  };
  GgufWriter gguf;
  gguf.text("general.architecture", "llama");
  gguf.text("general.type", "adapter");
  gguf.text("adapter.type", "lora");
  gguf.number("adapter.lora.alpha", 8);
  const auto hidden = static_cast<std::uint64_t>(shape.hidden);
  gguf.tensor("blk.1.attn_q.weight.lora_a", kernels::WeightType::f32, hidden, kRank, matrix(kRank * shape.hidden));
  gguf.tensor("blk.1.attn_q.weight.lora_b", kernels::WeightType::f32, kRank, hidden, matrix(kRank * shape.hidden));
  gguf.write(path);
}

// Prompts begin like one of these, cut anywhere.
struct Beginnings {
  std::vector<std::vector<std::int32_t>> all;
  explicit Beginnings(Random& random) {
    for (int i = 0; i < 4; ++i) all.push_back(random.tokens(180, 40));
    // Two that part ways inside a block.
    all.push_back(all.front());
    all.back().resize(71);
    for (const std::int32_t token : random.tokens(100, 40)) all.back().push_back(token);
  }
};

GenerateRequest random_request(Random& random, const Beginnings& beginnings) {
  GenerateRequest request;
  GenerateInput input;
  input.raw.emplace();
  const bool sliding = random.one_in(6);
  if (sliding) request.context_strategy = ContextStrategy::sliding;
  std::vector<std::int32_t>& prompt = input.raw->tokens;
  prompt = random.any(beginnings.all);
  prompt.resize(static_cast<std::size_t>(random.between(1, static_cast<int>(prompt.size()))));
  const int more = random.between(1, sliding ? 400 : 30);
  // Few kinds of tokens: what is said again can be looked up.
  for (const std::int32_t token : random.tokens(more, 6)) prompt.push_back(token);
  request.max_tokens = random.between(1, 40);
  if (random.one_in(3)) {
    const auto guess = random.any(beginnings.all);
    input.prediction.assign(guess.begin(), guess.begin() + 30);
  }
  request.input = std::make_shared<GenerateInput>(std::move(input));
  SamplingParams& sampling = request.sampling;
  sampling.temperature = random.one_in(2) ? 0 : 0.2F * static_cast<float>(random.between(1, 6));
  sampling.seed = static_cast<std::uint64_t>(random.between(0, 1000));
  sampling.top_logprobs = random.between(0, 5);
  if (random.one_in(3)) sampling.top_k = random.between(1, 40);
  if (random.one_in(3)) sampling.top_p = 0.8F;
  if (random.one_in(4)) sampling.min_p = 0.05F;
  if (random.one_in(4)) sampling.repetition_penalty = 1.1F;
  if (random.one_in(4)) sampling.frequency_penalty = 0.3F;
  if (random.one_in(3)) sampling.logit_bias = {{258, -100.0F}};
  if (random.one_in(3)) request.lora = {{random.one_in(2) ? "a" : "b", 1}};
  if (random.one_in(8)) request.lora = {{"a", 0.5F}, {"b", 1}};
  request.cache_namespace = random.one_in(4) ? "other" : "";
  request.priority = random.between(-1, 1);
  if (random.one_in(10)) request.pin = std::chrono::seconds(300);
  request.prompt_cache = !random.one_in(10);
  return request;
}

struct Seen {
  std::uint64_t evicted = 0;
  std::uint64_t preempted = 0;
  std::uint64_t reused = 0;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  std::uint64_t cancelled = 0;
};

// One model, its requests alone and together.
void compare(Random& random, Seen& seen) {
  TinyShape shape;
  shape.kv_heads = random.any(std::vector{1, 2, 4});
  shape.hidden = random.any(std::vector{64, 128});
  shape.matrices = random.any(std::vector{kernels::WeightType::q4_1, kernels::WeightType::q8_0,
                                          kernels::WeightType::f16, kernels::WeightType::f32});
  const auto seed = static_cast<unsigned>(random.between(1, 1000));
  const TinyModelFile model(shape, seed);
  const TinyModelFile draft({}, random.one_in(2) ? seed : seed + 1);
  const TemporaryFile a("a.gguf");
  const TemporaryFile b("b.gguf");
  write_adapter(a.path(), shape, random);
  write_adapter(b.path(), shape, random);

  EngineSettings settings;
  settings.gguf = model.path();
  settings.max_context = kContext;
  settings.kv_type = random.any(std::vector{kernels::KvType::f16, kernels::KvType::int8, kernels::KvType::int4});
  settings.lora = {{"a", a.path(), 1}, {"b", b.path(), 0.7F}};
  settings.kv_memory = 64U << 20;
  settings.threads = 1;
  settings.speculation.max_tokens = 0;
  settings.speculation.prompt_lookup = false;
  const auto load = [](const EngineSettings& s) {
    auto engine = Engine::load(s);
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  };
  const auto cold = load(settings);

  settings.step_tokens = random.between(16, 300);
  settings.threads = random.between(1, 3);
  settings.max_sequences = random.between(2, 50);
  settings.speculation = {random.one_in(2), random.between(0, 8), false};
  if (random.one_in(3)) settings.draft = draft.path();
  const auto shape_read = read_shape(*ModelFile::open(model.path()));
  settings.kv_memory = kv_size(*shape_read, settings.kv_type, kContext, 1, 0).request * 5 / 2;
  settings.kv_eviction = random.one_in(2) ? EvictionKind::lru : EvictionKind::pgdsf;
  SCOPED_TRACE(testing::Message() << "KV " << kernels::kKvTypeNames.at(static_cast<std::size_t>(settings.kv_type))
                                  << ", steps of " << settings.step_tokens << ", " << settings.max_sequences
                                  << " at once, guesses of " << settings.speculation.max_tokens);
  const auto engine = load(settings);
  const Beginnings beginnings(random);
  for (const int batch : {1, random.between(2, 50), random.between(2, 20)}) {
    std::vector<GenerateRequest> requests;
    for (int i = 0; i < batch; ++i) requests.push_back(random_request(random, beginnings));
    std::vector<std::shared_ptr<Collector>> collectors;
    std::vector<Engine::RequestId> left;
    for (const GenerateRequest& request : requests) {
      collectors.push_back(std::make_shared<Collector>());
      if (random.one_in(4)) {
        GenerateRequest longer = random_request(random, beginnings);
        longer.max_tokens = 300;
        longer.context_strategy = ContextStrategy::sliding;
        longer.sampling.logit_bias = {{258, -100.0F}};
        left.push_back(engine->submit(std::move(longer), std::make_shared<Collector>()));
      }
      engine->submit(request, collectors.back());
      if (!left.empty() && random.one_in(3)) engine->cancel(random.any(left));
    }
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const Answer answer = collectors[i]->wait();
      if (!left.empty() && random.one_in(2)) engine->cancel(random.any(left));
      ASSERT_FALSE(answer.error) << answer.error->message;
      GenerateRequest alone = requests[i];
      alone.prompt_cache = false;
      const Answer want = run(*cold, alone);
      ASSERT_FALSE(want.error) << want.error->message;
      EXPECT_EQ(answer.text, want.text) << "request " << i << " of " << batch;
      ASSERT_EQ(answer.logprobs, want.logprobs) << "request " << i << " of " << batch;
      seen.reused += static_cast<std::uint64_t>(answer.summary.reused_tokens);
    }
    for (const Engine::RequestId id : left) engine->cancel(id);
  }
  engine->invalidate({});  // waits for the step in progress
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.kv_blocks_used, 0U);
  seen.evicted += stats.evicted_blocks;
  seen.preempted += stats.preemptions;
  seen.accepted += stats.accepted_tokens;
  seen.rejected += stats.rejected_tokens;
  seen.cancelled += stats.cancelled;
}

TEST(RandomExactness, AnswersInAnyCompanyHaveTheBitsOfAnswersAlone) {
  const unsigned seed = from_environment("KVASIR_RANDOM_SEED", 1);
  const unsigned rounds = from_environment("KVASIR_RANDOM_ROUNDS", 24);
  Seen seen;
  for (unsigned round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE(testing::Message() << "KVASIR_RANDOM_SEED=" << seed + round << " KVASIR_RANDOM_ROUNDS=1");
    Random random(seed + round);
    compare(random, seen);
  }
  std::printf("  evicted %zu blocks, preempted %zu, reused %zu tokens, accepted %zu and rejected %zu, cancelled %zu\n",
              seen.evicted, seen.preempted, seen.reused, seen.accepted, seen.rejected, seen.cancelled);
  if (rounds < 24) return;
  // Else the comparison would not have been one.
  EXPECT_GT(seen.evicted, 100U);
  EXPECT_GT(seen.preempted, 10U);
  EXPECT_GT(seen.reused, 1000U);
  EXPECT_GT(seen.accepted, 100U);
  EXPECT_GT(seen.rejected, 100U);
  EXPECT_GT(seen.cancelled, 10U);
}

}  // namespace
}  // namespace kvasir::engine
