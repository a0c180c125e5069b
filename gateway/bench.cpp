#include "gateway/bench.hpp"

#include "gateway/bench_lanes.hpp"
#include "gateway/config.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

namespace kvasir::gateway {
namespace {

constexpr const char* kUsage =
    "usage: kvasir bench --smoke\n"
    "       kvasir bench kernels [--smoke]\n"
    "       kvasir bench engine --model FILE.gguf [--prompt N] [--generate N] [--runs N] [--threads N] [--structured] "
    "[--speculation] [--smoke]\n"
    "       kvasir bench prefix-trace --trace FILE.jsonl [--blocks N]... [--depth-cost X]\n";

// Every lane once, with little work: shows that they run.
int smoke() {
  const int kernels = bench_kernels({{"--smoke"}});
  const std::string model = model_folder(process_environment()) + "/smollm2-135m-instruct-q4_1.gguf";
  if (!std::filesystem::exists(model)) {
    std::printf("engine lane skipped: no model at %s\n", model.c_str());
    return kernels;
  }
  return std::max(kernels, bench_engine({{"--smoke", "--model", model}}));
}

}  // namespace

std::string_view BenchArguments::text(std::string_view name, std::string_view absent) const {
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == name) return words[i + 1];
  return absent;
}

int BenchArguments::number(std::string_view name, int absent) const {
  const std::string value(text(name, ""));
  return value.empty() ? absent : std::stoi(value);
}

double BenchArguments::real(std::string_view name, double absent) const {
  const std::string value(text(name, ""));
  return value.empty() ? absent : std::stod(value);
}

std::vector<int> BenchArguments::numbers(std::string_view name) const {
  std::vector<int> all;
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == name) all.push_back(std::stoi(std::string(words[i + 1])));
  return all;
}

bool BenchArguments::flag(std::string_view name) const {
  for (const std::string_view word : words)
    if (word == name) return true;
  return false;
}

int run_bench(int count, char** arguments) {
  const std::string_view lane = count > 0 ? arguments[0] : "";
  if (lane == "--smoke") return smoke();
  BenchArguments rest;
  for (int i = 1; i < count; ++i) rest.words.emplace_back(arguments[i]);
  if (lane == "kernels") return bench_kernels(rest);
  if (lane == "engine") return bench_engine(rest);
  if (lane == "prefix-trace") return bench_prefix_trace(rest);
  std::fputs(kUsage, stderr);
  return 2;
}

}  // namespace kvasir::gateway
