// Work that no I/O thread may wait for: one thread, a bounded queue, and coroutines that sleep until theirs is done.
#pragma once

#include "gateway/asio.hpp"

#include <atomic>
#include <functional>
#include <optional>

#include <boost/asio/thread_pool.hpp>

namespace kvasir::gateway {

class WorkerThread {
 public:
  explicit WorkerThread(int max_waiting) : max_waiting_(max_waiting), thread_(std::in_place, 1) {}
  // Finishes what runs; what waits is dropped, coroutines included: call it while their I/O threads' contexts live.
  void stop();

  // Runs `work` on the thread and returns on the caller's executor; what `work` refers to may live in the calling
  // coroutine. False: too many wait already, and it did not run.
  Task<bool> run(std::function<void()> work);

 private:
  const int max_waiting_;
  std::atomic<int> waiting_{0};
  std::optional<asio::thread_pool> thread_;
};

}  // namespace kvasir::gateway
