#include "gateway/worker_thread.hpp"

#include <boost/asio/post.hpp>

namespace kvasir::gateway {

void WorkerThread::stop() {
  if (!thread_) return;
  thread_->stop();
  thread_->join();
  thread_.reset();
}

Task<bool> WorkerThread::run(std::function<void()> work) {
  if (waiting_.fetch_add(1, std::memory_order_relaxed) >= max_waiting_) {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    co_return false;
  }
  auto start = [this, &work](auto handler) {
    asio::post(*thread_, [this, &work, handler = std::move(handler)]() mutable {
      work();
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      const auto executor = asio::get_associated_executor(handler);
      asio::post(executor, [handler = std::move(handler)]() mutable { std::move(handler)(); });
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(start, use_task);
  co_return true;
}

}  // namespace kvasir::gateway
