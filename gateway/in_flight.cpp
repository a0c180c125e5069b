#include "gateway/in_flight.hpp"

#include <algorithm>

#include <boost/asio/post.hpp>

namespace kvasir::gateway {

// Outlives its client for as long as a wake-up is on its way.
struct Flight::Waiter {
  explicit Waiter(Executor executor) : timer(executor) {}
  Timer timer;
  bool asleep = false;   // guarded by the flight's mutex
  bool hung_up = false;  // of the client's thread
};

std::unique_ptr<FlightClient> Flight::join(Executor executor) {
  auto waiter = std::make_shared<Waiter>(executor);
  {
    const std::lock_guard lock(mutex_);
    if (abandoned_ || phase_ == FlightPhase::failed) return nullptr;
    waiters_.push_back(waiter);
  }
  return std::make_unique<FlightClient>(shared_from_this(), std::move(waiter));
}

void Flight::started() {
  const std::lock_guard lock(mutex_);
  if (phase_ != FlightPhase::waiting) return;
  phase_ = FlightPhase::started;
  wake_all();
}

void Flight::push(FlightDelta delta) {
  const std::lock_guard lock(mutex_);
  deltas_.push_back(std::move(delta));
  if (phase_ == FlightPhase::waiting) phase_ = FlightPhase::started;
  wake_all();
}

void Flight::finish(FlightResult result, bool store) {
  const auto on_finished = std::exchange(on_finished_, nullptr);
  const bool stores = on_finished && store;
  {
    const std::lock_guard lock(mutex_);
    result_ = std::move(result);
    // An entry that will not be is promised to nobody, not even for a moment.
    phase_ = stores ? FlightPhase::finished : FlightPhase::settled;
    cancel_ = nullptr;
    wake_all();
  }
  if (stores) {
    on_finished(*this);
  } else {
    settle(Kept::no);
  }
}

void Flight::fail(ApiError error) {
  {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    phase_ = FlightPhase::failed;
    cancel_ = nullptr;
    wake_all();
  }
  gone();
}

void Flight::on_cancel(std::function<void()> cancel) {
  {
    const std::lock_guard lock(mutex_);
    if (phase_ >= FlightPhase::finished) return;
    if (!abandoned_) {
      cancel_ = std::move(cancel);
      return;
    }
  }
  cancel();
}

void Flight::settle(Kept kept) {
  {
    const std::lock_guard lock(mutex_);
    kept_ = kept;
    phase_ = FlightPhase::settled;
    wake_all();
  }
  gone();
}

void Flight::leave(const std::shared_ptr<Waiter>& waiter) {
  std::function<void()> cancel;
  {
    const std::lock_guard lock(mutex_);
    waiters_.erase(std::remove(waiters_.begin(), waiters_.end(), waiter), waiters_.end());
    if (!waiters_.empty() || phase_ >= FlightPhase::finished) return;
    abandoned_ = true;
    cancel = std::move(cancel_);
  }
  gone();
  if (cancel) cancel();
}

void Flight::wake_all() {
  for (const auto& waiter : waiters_) {
    if (!std::exchange(waiter->asleep, false)) continue;
    const Executor executor = waiter->timer.get_executor();
    if (executor.running_in_this_thread()) {
      waiter->timer.cancel();
    } else {
      asio::post(executor, [waiter] { waiter->timer.cancel(); });
    }
  }
}

void Flight::gone() {
  if (on_gone_) on_gone_(*this);
}

FlightClient::FlightClient(std::shared_ptr<Flight> flight, std::shared_ptr<Flight::Waiter> waiter)
    : flight_(std::move(flight)), waiter_(std::move(waiter)) {}

FlightClient::~FlightClient() {
  flight_->leave(waiter_);
}

Task<FlightNews> FlightClient::next(std::chrono::steady_clock::time_point deadline) {
  FlightNews news;
  while (!look(news)) {
    if (std::chrono::steady_clock::now() >= deadline) {
      news.timed_out = true;
      break;
    }
    waiter_->timer.expires_at(deadline);
    co_await waiter_->timer.async_wait(use_tuple);
  }
  co_return news;
}

void FlightClient::hang_up() {
  waiter_->hung_up = true;
  waiter_->timer.cancel();
}

bool FlightClient::shared() const {
  const std::lock_guard lock(flight_->mutex_);
  return flight_->waiters_.size() > 1;
}

// Goes to sleep (waiter_->asleep) in the same step in which there was nothing to see, so no wake-up is lost.
bool FlightClient::look(FlightNews& news) {
  if (waiter_->hung_up) {
    news.hung_up = true;
    return true;
  }
  const std::lock_guard lock(flight_->mutex_);
  news.phase = flight_->phase_;
  news.kept = flight_->kept_;
  for (; seen_deltas_ < flight_->deltas_.size(); ++seen_deltas_) {
    news.deltas.push_back(&flight_->deltas_[seen_deltas_]);
  }
  if (!news.deltas.empty() || news.phase != seen_phase_) {
    seen_phase_ = news.phase;
    return true;
  }
  waiter_->asleep = true;
  return false;
}

FlightTable::Place FlightTable::join_or_lead(const std::string& key, Executor executor, std::string entry_id,
                                             std::function<void(Flight&)> on_finished) {
  const std::lock_guard lock(mutex_);
  auto& slot = flights_[key];
  if (slot) {
    if (auto client = slot->join(executor)) return {slot, std::move(client), false};
  }
  slot = std::make_shared<Flight>(std::move(entry_id), std::move(on_finished),
                                  [this, key](Flight& flight) { remove(key, flight); });
  return {slot, slot->join(executor), true};
}

std::optional<FlightTable::Place> FlightTable::join(const std::string& key, Executor executor) {
  const std::lock_guard lock(mutex_);
  const auto found = flights_.find(key);
  if (found == flights_.end()) return std::nullopt;
  auto client = found->second->join(executor);
  if (!client) return std::nullopt;
  return Place{found->second, std::move(client), false};
}

void FlightTable::remove(const std::string& key, const Flight& flight) {
  std::shared_ptr<Flight> last;  // its destructor must not run under the lock
  const std::lock_guard lock(mutex_);
  const auto found = flights_.find(key);
  if (found == flights_.end() || found->second.get() != &flight) return;
  last = std::move(found->second);
  flights_.erase(found);
}

}  // namespace kvasir::gateway
