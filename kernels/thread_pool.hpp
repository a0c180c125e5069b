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
// microseconds after a loop, then sleep, since the process shares its cores with others.
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
    run(count, [](void* context, int index) { (*static_cast<Fn*>(context))(index); }, &body);
  }

 private:
  using Item = void (*)(void* context, int index);
  void run(int count, Item item, void* context);
  void work();
  void drain(Item item, void* context, int count);

  std::vector<std::thread> workers_;
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  alignas(64) std::atomic<int> next_{0};
  alignas(64) std::atomic<int> running_{0};
  Item item_ = nullptr;
  void* context_ = nullptr;
  int count_ = 0;
  std::atomic<bool> stop_{false};
};

}  // namespace kvasir::kernels
