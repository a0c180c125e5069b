// KV on disk: what comes back gives the same bits, in this engine and in the next; what is damaged is computed again.
#include "tests/engine/collector.hpp"
#include "tests/engine/tiny_model.hpp"
#include "tests/temporary_folder.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

namespace fs = std::filesystem;

GenerateRequest ask(const std::string& system, const std::string& question = "Why?") {
  GenerateRequest request;
  request.input = input_of({{rag::Role::system, system, ""}, {rag::Role::user, question, ""}});
  request.max_tokens = 8;
  request.sampling.temperature = 0;
  request.sampling.top_logprobs = 3;
  request.sampling.logit_bias = {{258, -100.0F}};
  return request;
}

std::string words(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < count; ++i) text += "word" + std::to_string(random() % 1000) + " ";
  return text;
}

class KvTierTest : public testing::Test {
 protected:
  EngineSettings settings() const {
    EngineSettings s;
    s.gguf = file_.path();
    s.kv_memory = 40 * kBlockBytes;
    s.threads = 1;
    s.kv_disk = folder_.string();
    return s;
  }
  // Logprobs without any cache.
  std::vector<float> cold(GenerateRequest request) const {
    EngineSettings s = settings();
    s.kv_disk.clear();
    return run(*load(s), std::move(request)).logprobs;
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (entry.path().extension() == ".kv") found.push_back(entry.path());
    return found;
  }

  static constexpr std::uint64_t kBlockBytes = 3 * 2 * 2 * 16 * 16 * 2;
  TinyModelFile file_;
  TemporaryFolder temporary_;
  fs::path folder_ = temporary_.path();
};

TEST_F(KvTierTest, BringsBackWhatMemoryHadNoRoomFor) {
  const auto engine = load(settings());
  const GenerateRequest first = ask(words(40, 1));
  const Answer answer = run(*engine, first);
  for (unsigned i = 2; i < 8; ++i) run(*engine, ask(words(40, i)));
  EXPECT_GT(engine->stats().evicted_blocks, 0U);
  const Answer again = run(*engine, first);
  EXPECT_GT(engine->stats().kv_disk_read_blocks, 0U);
  EXPECT_GT(again.summary.reused_tokens, 100);
  EXPECT_EQ(again.logprobs, answer.logprobs);
  EXPECT_EQ(again.logprobs, cold(first));
  EXPECT_EQ(engine->stats().kv_blocks_used, 0U);
}

TEST_F(KvTierTest, KnowsThePromptsOfTheEngineBefore) {
  const GenerateRequest request = ask(words(40, 1));
  for (const kernels::KvType type : {kernels::KvType::f16, kernels::KvType::int8, kernels::KvType::int4}) {
    EngineSettings s = settings();
    s.kv_type = type;
    const Answer before = run(*load(s), request);
    EXPECT_EQ(before.summary.reused_tokens, 0) << "KV of another type";
    const Answer after = run(*load(s), request);
    EXPECT_GT(after.summary.reused_tokens, 100);
    EXPECT_EQ(after.logprobs, before.logprobs);
  }
}

TEST_F(KvTierTest, ComputesAgainWhatIsDamaged) {
  const GenerateRequest request = ask(words(40, 1));
  const std::vector<float> want = cold(request);
  run(*load(settings()), request);
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    for (const fs::path& path : files()) {
      if (random() % 2 == 0) continue;
      const auto size = fs::file_size(path);
      if (random() % 2 == 0) {
        fs::resize_file(path, random() % size);
        continue;
      }
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(random() % size));
      const int byte = file.peek();
      file.seekp(file.tellg());
      file.put(static_cast<char>(byte ^ 1));
    }
    const auto engine = load(settings());
    EXPECT_EQ(run(*engine, request).logprobs, want);
    EXPECT_GT(engine->stats().kv_disk_damaged_blocks, 0U);
  }
}

TEST_F(KvTierTest, TakesNothingFromAnotherModelInTheSamePlace) {
  const GenerateRequest request = ask(words(40, 1));
  run(*load(settings()), request);
  const TinyModelFile other({}, 2);
  fs::copy_file(other.path(), file_.path(), fs::copy_options::overwrite_existing);
  const Answer answer = run(*load(settings()), request);
  EXPECT_EQ(answer.summary.reused_tokens, 0);
  EXPECT_EQ(answer.logprobs, cold(request));
}

GenerateRequest ask_about(const std::string& document) {
  GenerateRequest request = ask("Read.");
  request.input = input_of({{rag::Role::user, "What does it say?", ""}}, {{document, words(40, 3), "", "", ""}});
  return request;
}

TEST_F(KvTierTest, KeepsTenantsApart) {
  GenerateRequest request = ask_about("d");
  request.cache_namespace = "a";
  run(*load(settings()), request);
  request.cache_namespace = "b";
  EXPECT_EQ(run(*load(settings()), request).summary.reused_tokens, 0);
}

TEST_F(KvTierTest, ForgetsInvalidatedDocumentsForGood) {
  run(*load(settings()), ask_about("d"));
  const std::size_t before = files().size();
  {
    const auto engine = load(settings());
    EXPECT_GT(engine->invalidate({"d"}), 0U);
    EXPECT_LT(files().size(), before);
  }
  EXPECT_LT(run(*load(settings()), ask_about("d")).summary.reused_tokens, 40);
}

// Ids are not in the prompt, so the same text under two is the same blocks.
TEST_F(KvTierTest, ForgetsATextByEachOfItsNames) {
  for (const char* gone : {"first", "second"}) {
    run(*load(settings()), ask_about("first"));
    {
      const auto engine = load(settings());
      EXPECT_GT(run(*engine, ask_about("second")).summary.reused_tokens, 100);
      EXPECT_GT(engine->invalidate({gone}), 0U);
      EXPECT_LT(run(*engine, ask_about("third")).summary.reused_tokens, 40) << gone;
    }
    EXPECT_GT(run(*load(settings()), ask_about("fourth")).summary.reused_tokens, 100);
    load(settings())->invalidate({"fourth"});
  }
}

TEST_F(KvTierTest, NeitherReadsNorWritesWhenToldNotTo) {
  GenerateRequest request = ask(words(40, 1));
  request.prompt_cache = false;
  run(*load(settings()), request);
  EXPECT_TRUE(files().empty());
  request.prompt_cache = true;
  run(*load(settings()), request);
  request.prompt_cache = false;
  EXPECT_EQ(run(*load(settings()), request).summary.reused_tokens, 0);
}

TEST_F(KvTierTest, StaysWithinItsBound) {
  EngineSettings s = settings();
  s.kv_disk_size = 1U << 20;
  {
    const auto engine = load(s);
    for (unsigned i = 0; i < 300; ++i) run(*engine, ask(words(40, i)));
    EXPECT_LE(engine->stats().kv_disk_bytes, 1U << 20);
    EXPECT_GT(engine->stats().kv_disk_bytes, 1U << 19);
  }
  std::uintmax_t size = 0;
  for (const fs::path& path : files()) size += fs::file_size(path);
  EXPECT_LE(size, 1U << 20);
}

TEST_F(KvTierTest, SurvivesCancelsWhileBlocksAreRead) {
  const GenerateRequest request = ask(words(40, 1));
  const std::vector<float> want = cold(request);
  run(*load(settings()), request);
  for (int i = 0; i < 20; ++i) {
    const auto engine = load(settings());
    const auto cancelled = engine->submit(request, std::make_shared<Collector>());
    if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(100 * i));
    engine->cancel(cancelled);
    EXPECT_EQ(run(*engine, request).logprobs, want);
    EXPECT_EQ(engine->stats().kv_blocks_used, 0U);
  }
}

TEST_F(KvTierTest, RefusesAFolderThatAnotherHas) {
  const auto engine = load(settings());
  const auto second = Engine::load(settings());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("kv_disk"), std::string::npos);
}

}  // namespace
}  // namespace kvasir::engine
