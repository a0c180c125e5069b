// Memory for packed weights: few large mappings on huge pages. Decode streams all weights for every token; with 4 KiB
// pages it spends a third of its time on address translation (measured: 5.5 against 8.2 GB/s on one core).
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace kvasir::kernels {

class WeightArena {
 public:
  // Zeroed, 64-byte aligned, alive as long as the arena. Null if there is no memory.
  std::byte* allocate(std::size_t bytes);

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(std::byte* memory) const;
  };
  std::vector<std::unique_ptr<std::byte, Unmap>> chunks_;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace kvasir::kernels
