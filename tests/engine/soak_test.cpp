// A long life under a tight budget: nothing leaks, nothing grows, and answers stay those of an engine that just began.
//
// KVASIR_SOAK_REQUESTS runs shorter or longer, KVASIR_RANDOM_SEED repeats a failure.
#include "engine/kv_size.hpp"
#include "tests/engine/collector.hpp"
#include "tests/engine/random_requests.hpp"
#include "tests/temporary_folder.hpp"

#include <cstdint>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

namespace kvasir::engine {
namespace {

constexpr int kTogether = 24;
// Sanitizers take ten times as long, and hold freed memory back.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kRequests = 1500;
#else
constexpr unsigned kRequests = 20'000;
#endif

// Memory of this process that is in RAM, in bytes.
std::size_t resident() {
  std::size_t size = 0;
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> size >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::string document_key(int number) {
  return "document-" + std::to_string(number);
}

GenerateRequest short_request(Random& random, const Beginnings& beginnings) {
  GenerateRequest request = random_request(random, beginnings);
  request.max_tokens = random.between(1, 10);
  request.cache_namespace = "tenant-" + std::to_string(random.between(0, 40));
  if (random.one_in(4)) {
    const int number = random.between(0, 9);
    const std::string text(static_cast<std::size_t>(random.between(1, 20)), static_cast<char>('a' + number));
    request.input = input_of({{rag::Role::user, "Who?", ""}}, {{document_key(number), text, "", "", ""}});
  }
  return request;
}

struct Pending {
  GenerateRequest request;
  std::shared_ptr<Collector> collector;
  bool compare = false;
};

class Soak : public testing::Test {
 protected:
  Soak() {
    write_adapter(a_.path(), {}, random_);
    write_adapter(b_.path(), {}, random_);
  }
  // One that keeps no prefix and has memory to spare, or one that must evict and preempt.
  std::unique_ptr<Engine> load(bool tight) const {
    EngineSettings settings;
    settings.gguf = model_.path();
    settings.max_context = kContext;
    settings.lora = {{"a", a_.path(), 1}, {"b", b_.path(), 0.7F}};
    settings.threads = 1;
    settings.kv_memory = 64U << 20;
    settings.speculation = {tight, tight ? 4 : 0, false};
    if (tight) {
      settings.kv_memory =
          kv_size(*read_shape(*ModelFile::open(model_.path())), settings.kv_type, kContext, 1, 0).request * 3;
      settings.kv_disk = disk_.path().string();
      settings.kv_disk_size = 2U << 20;
    }
    return engine::load(settings);
  }
  void settle(const Pending& pending, Engine& cold) {
    const Answer answer = pending.collector->wait();
    ASSERT_FALSE(answer.error) << answer.error->message;
    if (!pending.compare) return;
    GenerateRequest alone = pending.request;
    alone.prompt_cache = false;
    ASSERT_EQ(answer.logprobs, run(cold, alone).logprobs);
    ++compared_;
  }

  unsigned seed_ = from_environment("KVASIR_RANDOM_SEED", 1);
  Random random_{seed_};
  TinyModelFile model_;
  TemporaryFolder disk_;
  TemporaryFile a_{"soak-a.gguf"};
  TemporaryFile b_{"soak-b.gguf"};
  int compared_ = 0;
};

TEST_F(Soak, LosesNothingAndAnswersAsOnTheFirstDay) {
  const unsigned count = from_environment("KVASIR_SOAK_REQUESTS", kRequests);
  SCOPED_TRACE(testing::Message() << "KVASIR_RANDOM_SEED=" << seed_);
  const auto cold = load(false);
  const auto engine = load(true);
  const Beginnings beginnings(random_);
  std::deque<Pending> pending;
  std::size_t early = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (i == count / 4) early = resident();
    if (random_.one_in(5)) {
      const auto id = engine->submit(short_request(random_, beginnings), std::make_shared<Collector>());
      if (random_.one_in(2) && !pending.empty()) {
        ASSERT_NO_FATAL_FAILURE(settle(pending.front(), *cold));
        pending.pop_front();
      }
      engine->cancel(id);
      continue;
    }
    if (random_.one_in(200)) engine->invalidate({document_key(random_.between(0, 9))});
    pending.push_back({short_request(random_, beginnings), std::make_shared<Collector>(), random_.one_in(50)});
    engine->submit(pending.back().request, pending.back().collector);
    if (pending.size() < kTogether) continue;
    ASSERT_NO_FATAL_FAILURE(settle(pending.front(), *cold));
    pending.pop_front();
  }
  for (const Pending& last : pending) ASSERT_NO_FATAL_FAILURE(settle(last, *cold));
  const std::size_t late = resident();
  engine::settle(*engine);
  const EngineStats stats = engine->stats();
  std::printf("  compared %d, evicted %zu blocks, preempted %zu, cancelled %zu, read %zu from disk, grew by %zd KiB\n",
              compared_, static_cast<std::size_t>(stats.evicted_blocks), static_cast<std::size_t>(stats.preemptions),
              static_cast<std::size_t>(stats.cancelled), static_cast<std::size_t>(stats.kv_disk_read_blocks),
              (static_cast<std::ptrdiff_t>(late) - static_cast<std::ptrdiff_t>(early)) / 1024);
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.waiting, 0);
  EXPECT_EQ(stats.kv_blocks_used, 0U);
  EXPECT_LE(stats.kv_blocks_cached, stats.kv_blocks_total);
  if (count < 2000) return;
  EXPECT_GT(compared_, 20);
  EXPECT_GT(stats.evicted_blocks, 1000U);
  EXPECT_GT(stats.preemptions, 10U);
  EXPECT_GT(stats.cancelled, 100U);
  EXPECT_GT(stats.kv_disk_read_blocks, 100U);
  EXPECT_EQ(stats.kv_disk_damaged_blocks, 0U);
  EXPECT_LE(stats.kv_disk_bytes, 2U << 20);
  // Three quarters of the requests at even 1 KiB each would be more.
  EXPECT_LT(late, early + (8U << 20));
}

}  // namespace
}  // namespace kvasir::engine
