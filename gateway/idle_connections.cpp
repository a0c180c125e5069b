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
  // `this` lives longer: it is what holds the connection.
  connection->rest([this, ended = connection.get()] { drop(*ended); });
  kept_.push_back({std::move(connection), Clock::now() + longest_});
  ++size_;
  if (!waiting_) wait();
}

void IdleConnections::drop(const UpstreamConnection& ended) {
  std::erase_if(kept_, [&](const Kept& kept) { return kept.connection.get() == &ended; });
  size_ = static_cast<int>(kept_.size());
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
