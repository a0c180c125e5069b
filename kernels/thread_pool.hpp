// A fixed set of threads that run one loop together.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace kvasir::kernels {

// parallel_for hands out indices 0..count-1 one by one to the calling thread and the workers, and returns when all are
// done. Items must be independent: who runs which item is not defined. One caller at a time. Workers spin for some
// microseconds after a loop, then sleep, since the process shares its cores with others; a worker that is late (asleep,
// or its core taken by somebody else) is not waited for unless it has an item in hand.
class ThreadPool {
 public:
  // `threads` counts the caller; 1 means no workers.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  template <typename Body>
  void parallel_for(int count, Body&& body) {
    using Fn = std::remove_reference_t<Body>;
    run(
        count, [](void* context, int index) { (*static_cast<Fn*>(context))(index); }, &body);
  }

 private:
  using Item = void (*)(void* context, int index);
  void run(int count, Item item, void* context);
  void work();
  void drain();

  std::vector<std::thread> workers_;
  // Loop number (high half) and next index (low half). An index is claimed by changing the whole word, so a claim
  // proves that the description below was read while its loop was current.
  alignas(64) std::atomic<std::uint64_t> ticket_{kClosed};
  std::atomic<Item> item_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<std::uint32_t> count_{0};
  alignas(64) std::atomic<std::uint32_t> done_{0};
  alignas(64) std::atomic<std::uint32_t> loops_{0};  // what sleeping workers wait on
  std::atomic<bool> stop_{false};

  static constexpr std::uint64_t kClosed = 0xFFFFFFFFU;  // low half: nothing to claim
};

}  // namespace kvasir::kernels
