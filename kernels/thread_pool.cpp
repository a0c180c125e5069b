#include "kernels/thread_pool.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kvasir::kernels {
namespace {

// About 20 µs: longer than the gap between two loops of a step, shorter than anyone would notice as load.
constexpr int kSpins = 600;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  loops_.fetch_add(1);
  loops_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::drain() {
  for (;;) {
    std::uint64_t ticket = ticket_.load();
    const Item item = item_.load();
    void* context = context_.load();
    const std::uint32_t count = count_.load();
    const auto index = static_cast<std::uint32_t>(ticket);
    if (index == kClosed || index >= count) return;
    if (!ticket_.compare_exchange_strong(ticket, ticket + 1)) continue;
    item(context, static_cast<int>(index));
    if (done_.fetch_add(1) + 1 == count) done_.notify_one();
  }
}

void ThreadPool::run(int count, Item item, void* context) {
  if (count <= 0) return;
  if (workers_.empty() || count == 1) {
    for (int index = 0; index < count; ++index) item(context, index);
    return;
  }
  const auto items = static_cast<std::uint32_t>(count);
  const std::uint64_t loop = (ticket_.load() >> 32) + 1;
  ticket_.store(loop << 32 | kClosed);
  item_.store(item);
  context_.store(context);
  count_.store(items);
  done_.store(0);
  ticket_.store(loop << 32);
  loops_.fetch_add(1);
  loops_.notify_all();
  drain();
  for (int spins = 0;; ++spins) {
    const std::uint32_t done = done_.load();
    if (done == items) return;
    if (spins < kSpins)
      relax();
    else
      done_.wait(done);
  }
}

void ThreadPool::work() {
  std::uint32_t seen = 0;
  for (;;) {
    for (int spins = 0; loops_.load() == seen; ++spins) {
      if (spins < kSpins)
        relax();
      else
        loops_.wait(seen);
    }
    seen = loops_.load();
    if (stop_.load()) return;
    drain();
  }
}

}  // namespace kvasir::kernels
