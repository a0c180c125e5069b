// Warm equals cold, whatever comes together: random requests in random company give the logprobs, bit for bit, that
// each gives alone on an engine that keeps no prefix, guesses nothing and has memory to spare.
//
// KVASIR_RANDOM_SEED repeats a failure, KVASIR_RANDOM_ROUNDS runs longer.
#include "engine/kv_size.hpp"
#include "tests/engine/collector.hpp"
#include "tests/engine/random_requests.hpp"
#include "tests/temporary_folder.hpp"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

struct Seen {
  std::uint64_t evicted = 0;
  std::uint64_t preempted = 0;
  std::uint64_t reused = 0;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t from_disk = 0;
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
  const auto cold = load(settings);

  settings.step_tokens = random.between(16, 300);
  settings.prefill_slowdown = random.one_in(2) ? 0 : 1.5;
  settings.threads = random.between(1, 3);
  settings.max_sequences = random.between(2, 50);
  settings.speculation = {random.one_in(2), random.between(0, 8), false};
  if (random.one_in(3)) settings.draft = draft.path();
  const TemporaryFolder disk;
  if (random.one_in(2)) settings.kv_disk = disk.path().string();
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
    // One that goes on until it is cancelled; others may be before they run.
    GenerateRequest endless = random_request(random, beginnings);
    endless.context_strategy = ContextStrategy::sliding;
    endless.max_tokens = 100000;
    endless.sampling.logit_bias = {{258, -1000.0F}};
    const auto running = std::make_shared<Collector>();
    left.push_back(engine->submit(endless, running));
    for (const GenerateRequest& request : requests) {
      collectors.push_back(std::make_shared<Collector>());
      if (random.one_in(4))
        left.push_back(engine->submit(random_request(random, beginnings), std::make_shared<Collector>()));
      engine->submit(request, collectors.back());
      if (left.size() > 1 && random.one_in(3)) engine->cancel(left.back());
    }
    running->wait_started();
    for (const Engine::RequestId id : left) engine->cancel(id);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const Answer answer = collectors[i]->wait();
      ASSERT_FALSE(answer.error) << answer.error->message;
      GenerateRequest alone = requests[i];
      alone.prompt_cache = false;
      const Answer want = run(*cold, alone);
      ASSERT_FALSE(want.error) << want.error->message;
      EXPECT_EQ(answer.text, want.text) << "request " << i << " of " << batch;
      ASSERT_EQ(answer.logprobs, want.logprobs) << "request " << i << " of " << batch;
      seen.reused += static_cast<std::uint64_t>(answer.summary.reused_tokens);
    }
  }
  settle(*engine);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.kv_blocks_used, 0U);
  seen.evicted += stats.evicted_blocks;
  seen.preempted += stats.preemptions;
  seen.accepted += stats.accepted_tokens;
  seen.rejected += stats.rejected_tokens;
  seen.cancelled += stats.cancelled;
  seen.from_disk += stats.kv_disk_read_blocks;
}

// Sanitizers take fifteen times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kRounds = 6;
#else
constexpr unsigned kRounds = 24;
#endif

TEST(RandomExactness, AnswersInAnyCompanyHaveTheBitsOfAnswersAlone) {
  const unsigned seed = from_environment("KVASIR_RANDOM_SEED", 1);
  const unsigned rounds = from_environment("KVASIR_RANDOM_ROUNDS", kRounds);
  Seen seen;
  for (unsigned round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE(testing::Message() << "KVASIR_RANDOM_SEED=" << seed + round << " KVASIR_RANDOM_ROUNDS=1");
    Random random(seed + round);
    compare(random, seen);
  }
  std::printf(
      "  evicted %zu blocks, preempted %zu, reused %zu tokens, accepted %zu and rejected %zu, cancelled %zu, %zu "
      "blocks from disk\n",
      seen.evicted, seen.preempted, seen.reused, seen.accepted, seen.rejected, seen.cancelled, seen.from_disk);
  if (rounds < 24) return;
  // Else the comparison would not have been one.
  EXPECT_GT(seen.evicted, 100U);
  EXPECT_GT(seen.preempted, 10U);
  EXPECT_GT(seen.reused, 1000U);
  EXPECT_GT(seen.accepted, 100U);
  EXPECT_GT(seen.rejected, 100U);
  EXPECT_GT(seen.cancelled, 10U);
  EXPECT_GT(seen.from_disk, 100U);
}

}  // namespace
}  // namespace kvasir::engine
