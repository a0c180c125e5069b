// The I/O threads: each runs an io_context of its own.
#pragma once

#include "gateway/asio.hpp"

#include <memory>
#include <thread>
#include <vector>

namespace kvasir::gateway {

class IoThreads {
 public:
  explicit IoThreads(int count);
  ~IoThreads();  // stops; coroutines that still wait are destroyed here

  void start();
  // Ends the event loops and joins. Coroutines keep their state until the destructor.
  void stop();

  std::size_t size() const { return contexts_.size(); }
  asio::io_context& context(std::size_t index) { return *contexts_[index]; }

 private:
  using WorkGuard = asio::executor_work_guard<Executor>;
  std::vector<std::unique_ptr<asio::io_context>> contexts_;
  std::vector<WorkGuard> guards_;
  std::vector<std::thread> threads_;
};

}  // namespace kvasir::gateway
