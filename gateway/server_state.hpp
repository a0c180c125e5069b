// What the process is doing, for health checks and for the drain.
#pragma once

#include <atomic>

namespace kvasir::gateway {

struct ServerState {
  std::atomic<bool> ready{false};
  std::atomic<bool> draining{false};  // new work is refused; what runs goes on
};

}  // namespace kvasir::gateway
