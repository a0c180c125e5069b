// The lanes of `kvasir bench`. Each prints what it measured and a ratio against an alternative of the same run; none
// asserts a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

struct BenchArguments {
  std::vector<std::string_view> words;

  std::string_view text(std::string_view name, std::string_view absent) const;
  int number(std::string_view name, int absent) const;      // throws std::invalid_argument if it is none
  double real(std::string_view name, double absent) const;  // as number()
  std::vector<int> numbers(std::string_view name) const;    // of every time it is given; as number()
  bool flag(std::string_view name) const;
};

// Packed matrix products of every instruction set here against the f32 product of the same shape and set.
int bench_kernels(const BenchArguments& arguments);
// Prefill and decode speed of a model, and the time to first token behind a shared prefix against without it. One JSON
// object a line, for the script that alternates it with llama.cpp.
int bench_engine(const BenchArguments& arguments);
// Which share of a trace's KV blocks the prefix tree finds, and of their compute, with LRU and with PGDSF.
int bench_prefix_trace(const BenchArguments& arguments);

}  // namespace kvasir::gateway
