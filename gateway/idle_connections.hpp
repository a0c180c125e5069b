// Connections to one upstream server that wait for their next request, on one I/O thread.
#pragma once

#include "gateway/upstream_connection.hpp"

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>

namespace kvasir::gateway {

// Used on its executor's thread, but for size(); destroyed there as well, or once that thread has ended.
class IdleConnections : public std::enable_shared_from_this<IdleConnections> {
 public:
  // After `longest` a connection ends.
  IdleConnections(const Executor& executor, std::chrono::milliseconds longest) : timer_(executor), longest_(longest) {}

  Executor executor() { return timer_.get_executor(); }
  // The one that came last; null if there is none.
  std::unique_ptr<UpstreamConnection> take();
  // One that is too many ends here.
  void keep(std::unique_ptr<UpstreamConnection> connection);
  // Any thread.
  int size() const { return size_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Kept {
    std::unique_ptr<UpstreamConnection> connection;
    Clock::time_point until;
  };

  void drop(const UpstreamConnection& ended);
  void wait();
  void end_late_ones();

  Timer timer_;
  const std::chrono::milliseconds longest_;
  std::deque<Kept> kept_;  // who came first stands first
  std::atomic<int> size_{0};
  bool waiting_ = false;
};

}  // namespace kvasir::gateway
