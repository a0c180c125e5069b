// What a look-up and a store cost, and how the semantic scan compares with FAISS' own on the same vectors.
//
//   ninja -C build/release kvasir_cache_bench && build/release/cache/kvasir_cache_bench
#include "cache/guards.hpp"
#include "cache/response_cache.hpp"
#include "cache/vector_index.hpp"
#include "rag/prompt.hpp"

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <faiss/IndexFlat.h>
#include <unistd.h>

namespace {

using namespace kvasir;
using namespace kvasir::cache;

constexpr int dimension = 384;  // all-MiniLM-L6-v2
constexpr int entries = 10'000;

std::vector<float> random_unit_vector(std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(dimension);
  double squares = 0;
  for (float& x : vector) {
    x = normal(random);
    squares += double{x} * double{x};
  }
  for (float& x : vector) x = static_cast<float>(x / std::sqrt(squares));
  return vector;
}

CacheKey key_of(const std::string& question) {
  const rag::Prompt prompt =
      rag::analyse({{rag::Role::system, "You are a helpful assistant.", ""}, {rag::Role::user, question, ""}}, {});
  CacheRequest request;
  request.tenant = std::string("tenant");
  request.model = std::string("smollm2");
  request.prompt = &prompt;
  CacheKey key = make_key(request);
  judge_question(key);
  return key;
}

std::string question(int number) {
  return std::string("What is known about subject ").append(std::to_string(number));
}

Answer answer() {
  Answer made;
  made.choices.push_back({std::string(600, 'x'), "", "stop", ""});
  made.completion_tokens = 150;
  return made;
}

void store(ResponseCache& cache, const CacheKey& key, const std::vector<float>& vector,
           std::function<void(bool)> done) {
  cache.store(cache.new_entry_id(), key, answer(), vector, std::chrono::hours(1), {}, cache.generation(),
              std::move(done));
}

std::unique_ptr<ResponseCache> open(const std::string& path) {
  CacheSettings settings;
  settings.path = path;
  std::string error;
  auto cache = ResponseCache::open(settings, "bench", dimension, error);
  if (!cache) std::fprintf(stderr, "%s\n", error.c_str());
  return cache;
}

struct Filled {
  std::unique_ptr<ResponseCache> cache = open(":memory:");
  std::vector<CacheKey> keys;
  std::vector<float> query;

  Filled() {
    std::mt19937 random(1);
    std::promise<void> last;
    for (int i = 0; i < entries; ++i) {
      keys.push_back(key_of(question(i)));
      store(*cache, keys.back(), random_unit_vector(random), [&last, i](bool) {
        if (i + 1 == entries) last.set_value();
      });
    }
    last.get_future().wait();
    query = random_unit_vector(random);
  }
};

Filled& filled() {
  static Filled made;
  return made;
}

void make_a_key(benchmark::State& state) {
  const std::string asked = question(1);
  for (auto _ : state) benchmark::DoNotOptimize(key_of(asked));
}

void find_exact_popular(benchmark::State& state) {
  Filled& held = filled();
  for (auto _ : state) benchmark::DoNotOptimize(held.cache->find_exact(held.keys[0], {}));
  state.SetItemsProcessed(state.iterations());
}

// Every look-up asks for another entry, so that most of its memory comes from afar.
void find_exact_among_10000(benchmark::State& state) {
  Filled& held = filled();
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(held.cache->find_exact(held.keys[i], {}));
    i = (i + 7919) % held.keys.size();
  }
  state.SetItemsProcessed(state.iterations());
}

void find_semantic_among_10000(benchmark::State& state) {
  Filled& held = filled();
  for (auto _ : state) benchmark::DoNotOptimize(held.cache->find_semantic(held.keys[0], held.query, {}));
}

// What each neighbour above the threshold costs: its question read, and every guard asked.
void judge_a_neighbour(benchmark::State& state) {
  const GuardedQuestion asked("What is the best way to get from London to Paris with two children?");
  const std::string stored = "How can I travel to Paris from London with 2 kids?";
  for (auto _ : state) benchmark::DoNotOptimize(guard_objection(asked, GuardedQuestion(stored), 0.9F));
}

void judge_a_vietnamese_neighbour(benchmark::State& state) {
  const GuardedQuestion asked("Đi từ Hà Nội đến Huế mất bao lâu?");
  const std::string stored = "di tu ha noi den hue mat bao lau";
  for (auto _ : state) benchmark::DoNotOptimize(guard_objection(asked, GuardedQuestion(stored), 0.9F));
}

template <typename Index>
void scan_10000(benchmark::State& state) {
  std::mt19937 random(1);
  Index index(dimension);
  for (int i = 0; i < entries; ++i) index.add(1, random_unit_vector(random).data());
  const std::vector<float> query = random_unit_vector(random);
  float similarities[16];
  faiss::Index::idx_t rows[16];
  for (auto _ : state) {
    index.search(1, query.data(), 16, similarities, rows);
    benchmark::DoNotOptimize(rows);
  }
}

// One answer at a time: the whole way to the commit and back.
void store_until_durable(benchmark::State& state) {
  const auto folder =
      std::filesystem::temp_directory_path() / std::string("kvasir-bench-").append(std::to_string(getpid()));
  {
    const auto cache = open(folder.string());
    std::mt19937 random(1);
    const std::vector<float> vector = random_unit_vector(random);
    int i = 0;
    for (auto _ : state) {
      std::promise<void> durable;
      store(*cache, key_of(question(i++)), vector, [&](bool) { durable.set_value(); });
      durable.get_future().wait();
    }
  }
  std::filesystem::remove_all(folder);
}

BENCHMARK(judge_a_neighbour);
BENCHMARK(judge_a_vietnamese_neighbour);
BENCHMARK(make_a_key);
BENCHMARK(find_exact_popular);
BENCHMARK(find_exact_among_10000);
BENCHMARK(find_semantic_among_10000)->Unit(benchmark::kMillisecond);
BENCHMARK(scan_10000<FlatIndex>)->Name("scan_10000/kvasir")->Unit(benchmark::kMillisecond);
BENCHMARK(scan_10000<faiss::IndexFlatIP>)->Name("scan_10000/faiss")->Unit(benchmark::kMillisecond);
BENCHMARK(store_until_durable)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
