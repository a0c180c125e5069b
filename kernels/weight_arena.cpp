#include "kernels/weight_arena.hpp"

#include <algorithm>

#include <sys/mman.h>

namespace kvasir::kernels {
namespace {

constexpr std::size_t kChunk = std::size_t{64} << 20;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kAlignment = 64;

}  // namespace

void WeightArena::Unmap::operator()(std::byte* memory) const {
  ::munmap(memory, bytes);
}

std::byte* WeightArena::allocate(std::size_t bytes) {
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (bytes > left_) {
    const std::size_t size = (std::max(bytes, kChunk) + kHugePage - 1) / kHugePage * kHugePage;
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    ::madvise(memory, size, MADV_HUGEPAGE);  // a wish: without it everything works, slower
    chunks_.emplace_back(static_cast<std::byte*>(memory), Unmap{size});
    next_ = static_cast<std::byte*>(memory);
    left_ = size;
  }
  std::byte* result = next_;
  next_ += bytes;
  left_ -= bytes;
  return result;
}

}  // namespace kvasir::kernels
