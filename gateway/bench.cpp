#include "gateway/bench.hpp"

#include "gateway/bench_lanes.hpp"

#include <cstdio>
#include <string_view>

namespace kvasir::gateway {
namespace {

constexpr const char* kUsage =
    "usage: kvasir bench kernels [--smoke]\n"
    "       kvasir bench engine --model FILE.gguf [--prompt N] [--generate N] [--runs N] [--threads N] [--smoke]\n";

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

bool BenchArguments::flag(std::string_view name) const {
  for (const std::string_view word : words)
    if (word == name) return true;
  return false;
}

int run_bench(int count, char** arguments) {
  const std::string_view lane = count > 0 ? arguments[0] : "";
  BenchArguments rest;
  for (int i = 1; i < count; ++i) rest.words.emplace_back(arguments[i]);
  if (lane == "kernels") return bench_kernels(rest);
  if (lane == "engine") return bench_engine(rest);
  std::fputs(kUsage, stderr);
  return 2;
}

}  // namespace kvasir::gateway
