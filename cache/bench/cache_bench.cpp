// What a look-up and a store cost, and how the semantic scan compares with FAISS' own on the same vectors.
//
//   ninja -C build/release kvasir_cache_bench && build/release/cache/kvasir_cache_bench
#include "cache/guards.hpp"
#include "cache/partition_index.hpp"
#include "cache/response_cache.hpp"
#include "rag/prompt.hpp"

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
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

// A request of 400 KB is taken apart and keyed: a hundred documents in the text, in the form of range(0).
void key_400_kb(benchmark::State& state) {
  const bool numbered = state.range(0) == 0;
  std::string text = numbered ? "Context:\n" : "Answer the question based only on the following context:\n";
  for (int i = 0; i < 100; ++i) {
    if (numbered) text.append("[Document ").append(std::to_string(i + 1)).append("]: ");
    for (int line = 0; line < 50; ++line)
      text.append("Line ")
          .append(std::to_string(i * line))
          .append(": the context of what is known about a subject, at some length.\n");
    text += '\n';
  }
  text += "\n\nQuestion: What is known about subject 7?";
  std::size_t documents = 0;
  for (auto _ : state) {
    const rag::Prompt prompt = rag::analyse({{rag::Role::user, text, ""}}, {});
    CacheRequest request;
    request.prompt = &prompt;
    benchmark::DoNotOptimize(make_key(request));
    documents = prompt.documents.in_order().size();
  }
  state.counters["bytes"] = static_cast<double>(text.size());
  state.counters["documents"] = static_cast<double>(documents);
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

// `share` of the way from `from` to somewhere else.
std::vector<float> moved(const std::vector<float>& from, float share, std::mt19937& random) {
  std::vector<float> vector = random_unit_vector(random);
  double squares = 0;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    vector[i] = from[i] + share * vector[i];
    squares += double{vector[i]} * double{vector[i]};
  }
  for (float& x : vector) x = static_cast<float>(x / std::sqrt(squares));
  return vector;
}

// Vectors around 1,000 subjects, as questions are, in one partition and in FAISS' flat index; and questions whose
// nearest neighbour has a similarity of about 0.93.
struct Indexed {
  PartitionIndex ours{dimension};
  faiss::IndexFlatIP flat{dimension};
  std::vector<std::vector<float>> queries;

  explicit Indexed(int count) {
    std::mt19937 random(1);
    std::vector<std::vector<float>> subjects;
    for (int i = 0; i < 1000; ++i) subjects.push_back(random_unit_vector(random));
    for (int i = 0; i < count; ++i) {
      const std::vector<float> vector = moved(subjects[random() % subjects.size()], 0.8F, random);
      ours.insert(std::make_shared<Record>(Entry{}), vector);
      flat.add(1, vector.data());
      if (i % (count / 500) == 0) queries.push_back(moved(vector, 0.4F, random));
    }
    while (ours.pending() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }

  static Indexed& of(int count) {
    static std::map<int, std::unique_ptr<Indexed>> made;
    auto& held = made[count];
    if (!held) held = std::make_unique<Indexed>(count);
    return *held;
  }
};

void nearest_kvasir(benchmark::State& state) {
  Indexed& held = Indexed::of(static_cast<int>(state.range(0)));
  int right = 0;
  int asked = 0;
  for (const auto& query : held.queries) {
    float best = 0;
    faiss::Index::idx_t row = 0;
    held.flat.search(1, query.data(), 1, &best, &row);
    if (best < 0.9F) continue;
    ++asked;
    const auto found = held.ours.nearest({}, query, 16);
    right += !found.empty() && found.front().similarity > best - 1e-5F ? 1 : 0;
  }
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(held.ours.nearest({}, held.queries[i++ % held.queries.size()], 16));
  state.counters["asked"] = asked;
  state.counters["recall_at_1"] = asked > 0 ? static_cast<double>(right) / asked : 0;
}

void nearest_faiss_flat(benchmark::State& state) {
  Indexed& held = Indexed::of(static_cast<int>(state.range(0)));
  float similarities[16];
  faiss::Index::idx_t rows[16];
  std::size_t i = 0;
  for (auto _ : state) {
    held.flat.search(1, held.queries[i++ % held.queries.size()].data(), 16, similarities, rows);
    benchmark::DoNotOptimize(rows);
  }
}

std::size_t resident_bytes() {
  std::size_t pages = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// What an entry takes beside its vector and its texts: range(0) entries in as many partitions as range(1) says.
void memory_per_entry(benchmark::State& state) {
  const auto count = static_cast<int>(state.range(0));
  const auto partitions = static_cast<int>(state.range(1));
  for (auto _ : state) {
    std::mt19937 random(1);
    const auto cache = open(":memory:");
    const std::size_t before = resident_bytes();
    std::promise<void> last;
    std::size_t texts = 0;
    for (int i = 0; i < count; ++i) {
      const rag::Prompt prompt = rag::analyse({{rag::Role::user, question(i), ""}}, {});
      CacheRequest request;
      request.tenant = std::string("tenant ").append(std::to_string(i % partitions));
      request.model = "smollm2";
      request.prompt = &prompt;
      CacheKey key = make_key(request);
      judge_question(key);
      const Answer text = answer();
      texts += key.canonical.size() + key.question.size() + text.choices[0].content.size();
      while (cache->stats().stored + 2000 < static_cast<std::uint64_t>(i))
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      store(*cache, key, random_unit_vector(random), [&last, i, count](bool) {
        if (i + 1 == count) last.set_value();
      });
    }
    last.get_future().wait();
    while (cache->stats().graphs_pending > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const std::size_t vectors = static_cast<std::size_t>(count) * dimension * sizeof(float);
    state.counters["bytes_beside"] =
        (static_cast<double>(resident_bytes() - before) - static_cast<double>(vectors + texts)) / count;
    state.counters["text_bytes"] = static_cast<double>(texts) / count;
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
BENCHMARK(key_400_kb)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);
BENCHMARK(find_exact_popular);
BENCHMARK(find_exact_among_10000);
BENCHMARK(find_semantic_among_10000)->Unit(benchmark::kMillisecond);
BENCHMARK(nearest_kvasir)->Arg(1000)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(nearest_faiss_flat)->Arg(1000)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(memory_per_entry)->Args({100'000, 100'000})->Args({50'000, 1})->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(store_until_durable)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
