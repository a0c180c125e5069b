#include "gateway/idle_connections.hpp"

namespace kvasir::gateway {
namespace {

constexpr int kMost = 64;

}  // namespace

std::unique_ptr<UpstreamConnection> IdleConnections::take() {
  if (kept_.empty()) return nullptr;
  auto connection = std::move(kept_.back().connection);
  kept_.pop_back();
  --size_;
  return connection;
}

void IdleConnections::keep(std::unique_ptr<UpstreamConnection> connection) {
  if (size() >= kMost) return;
  connection->expires_at(Clock::time_point::max());
  kept_.push_back({std::move(connection), Clock::now() + longest_});
  ++size_;
  if (!waiting_) wait();
}

void IdleConnections::wait() {
  waiting_ = true;
  timer_.expires_at(kept_.front().until);
  timer_.async_wait([weak = weak_from_this()](const ErrorCode& error) {
    const auto self = weak.lock();
    if (!error && self) self->end_late_ones();
  });
}

void IdleConnections::end_late_ones() {
  waiting_ = false;
  const auto now = Clock::now();
  while (!kept_.empty() && now >= kept_.front().until) {
    kept_.pop_front();
    --size_;
  }
  if (!kept_.empty()) wait();
}

}  // namespace kvasir::gateway
