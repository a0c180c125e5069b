// What the fuzzers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

// Ends the run, and libFuzzer keeps the input.
inline void must(bool holds) {
  if (!holds) std::abort();
}

// Calls use(data) for each input that libFuzzer tries.
#define KVASIR_FUZZ(use)                                                             \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size); \
  int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {           \
    use(std::string_view(reinterpret_cast<const char*>(data), size));                \
    return 0;                                                                        \
  }
