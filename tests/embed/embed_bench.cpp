// Milliseconds that an embedding takes:
//   embed_bench MODEL_FOLDER [THREADS…]
//   embed_bench --case TEXTS TOKENS CALLS MODEL_FOLDER THREADS
// The second prints the median of a call with TEXTS texts of TOKENS tokens (ids 2000, 2001, …) and, below, the vector.
#include "embed/local_embedder.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using kvasir::embed::LocalEmbedder;
using Milliseconds = std::chrono::duration<double, std::milli>;

struct Timing {
  double median;
  double fastest;
};

Timing time_embedding(LocalEmbedder& embedder, std::string_view text, int repetitions) {
  std::vector<double> times;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto vector = embedder.embed(std::span(&text, 1));
    times.push_back(Milliseconds(std::chrono::steady_clock::now() - start).count());
  }
  std::ranges::sort(times);
  return {times[times.size() / 2], times.front()};
}

bool bench(const char* folder, int threads) {
  std::string error;
  const auto embedder = LocalEmbedder::open(folder, threads, error);
  if (!embedder) {
    std::fprintf(stderr, "%s\n", error.c_str());
    return false;
  }
  std::string paragraph;
  for (int i = 0; i < 40; ++i) paragraph += "Where is my parcel, and when will it come? ";
  struct Case {
    std::string_view text;
    int repetitions;
  };
  const Case cases[] = {{"How can I get a refund for my order?", 500},
                        {std::string_view(paragraph).substr(0, 250), 100},
                        {paragraph, 20}};
  for (const auto& [text, repetitions] : cases) {
    time_embedding(*embedder, text, repetitions / 10);  // warms caches and clocks
    const Timing timing = time_embedding(*embedder, text, repetitions);
    std::printf("%-8s %d threads  %3d tokens  median %7.3f ms  fastest %7.3f ms\n",
                std::string(kvasir::kernels::best().name).c_str(), threads, embedder->count_tokens(text), timing.median,
                timing.fastest);
  }
  return true;
}

// A call of `texts` equal texts, and the vector that they have.
bool bench_case(int texts, int tokens, int calls, const char* folder, int threads) {
  std::string error;
  const auto embedder = LocalEmbedder::open(folder, threads, error);
  if (!embedder) {
    std::fprintf(stderr, "%s\n", error.c_str());
    return false;
  }
  LocalEmbedder::Tokens ids;
  for (int i = 0; i < tokens; ++i) ids.push_back(2000 + i);
  const std::vector<LocalEmbedder::Tokens> inputs(static_cast<std::size_t>(texts), ids);
  std::vector<double> times;
  std::vector<float> vectors;
  for (int i = 0; i < calls + std::max(1, calls / 10); ++i) {
    const auto start = std::chrono::steady_clock::now();
    vectors = embedder->embed_tokens(inputs);
    times.push_back(Milliseconds(std::chrono::steady_clock::now() - start).count());
  }
  times.erase(times.begin(), times.end() - calls);
  std::ranges::sort(times);
  std::printf("%.4f\n", times[times.size() / 2]);
  for (int i = 0; i < embedder->dimension(); ++i) {
    std::printf("%.9g ", static_cast<double>(vectors[static_cast<std::size_t>(i)]));
  }
  std::printf("\n");
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 7 && std::string_view(argv[1]) == "--case") {
    const auto number = [&](int i) { return std::max(1, std::atoi(argv[i])); };
    return bench_case(number(2), number(3), number(4), argv[5], number(6)) ? 0 : 1;
  }
  if (argc < 2) {
    std::fprintf(stderr, "usage: embed_bench MODEL_FOLDER [THREADS…]\n");
    return 2;
  }
  std::vector<int> threads;
  for (int i = 2; i < argc; ++i) threads.push_back(std::max(1, std::atoi(argv[i])));
  if (threads.empty()) threads = {1, 2};
  for (const int count : threads) {
    if (!bench(argv[1], count)) return 1;
  }
  return 0;
}
