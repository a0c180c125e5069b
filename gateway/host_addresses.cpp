#include "gateway/host_addresses.hpp"

#include <algorithm>
#include <mutex>
#include <thread>

#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/error.hpp>

namespace kvasir::gateway {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRetry = std::chrono::seconds(5);  // after a look-up that failed, while older addresses serve

ErrorCode exhausted() {
  return boost::system::errc::make_error_code(boost::system::errc::resource_unavailable_try_again);
}

}  // namespace

// Outlives its coroutine for as long as a wake-up is on its way.
struct HostAddresses::Waiter {
  explicit Waiter(Executor executor) : timer(executor) {}
  Timer timer;
};

std::vector<Address> system_look_up(const std::string& host, ErrorCode& error) {
  asio::io_context context;
  Tcp::resolver resolver(context);
  std::vector<Address> addresses;
  for (const auto& entry : resolver.resolve(host, "", error)) addresses.push_back(entry.endpoint().address());
  return addresses;
}

struct HostAddresses::State : std::enable_shared_from_this<State> {
  State(std::string name, std::vector<Network> networks, const UpstreamHooks& given)
      : host(std::move(name)), allowed(std::move(networks)), hooks(given) {}

  bool may_use(const Address& address) const;
  // All that follows under the lock.
  void start_look_up();
  void keep(std::vector<Address> addresses, const ErrorCode& error);

  const std::string host;
  const std::vector<Network> allowed;
  const UpstreamHooks hooks;
  bool literal = false;
  std::mutex mutex;
  Found found;
  Clock::time_point fresh_until{};
  Clock::time_point usable_until{};
  bool looking_up = false;
  bool closed = false;
  std::vector<std::shared_ptr<Waiter>> waiters;
};

HostAddresses::HostAddresses(std::string host, std::vector<Network> allowed, const UpstreamHooks& hooks)
    : state_(std::make_shared<State>(std::move(host), std::move(allowed), hooks)) {
  ErrorCode not_literal;
  const auto address = asio::ip::make_address(state_->host, not_literal);
  state_->literal = !not_literal;
  if (state_->literal) state_->found.addresses.push_back(address);
}

Task<HostAddresses::Found> HostAddresses::get(Executor executor, Clock::time_point deadline) {
  State& state = *state_;
  if (state.literal) co_return state.found;
  std::shared_ptr<Waiter> waiter;
  {
    const std::lock_guard lock(state.mutex);
    const auto now = Clock::now();
    if (now >= state.fresh_until) state.start_look_up();
    if (now < state.usable_until) co_return state.found;
    if (!state.looking_up) co_return Found{{}, exhausted(), false};
    waiter = std::make_shared<Waiter>(executor);
    state.waiters.push_back(waiter);
  }
  waiter->timer.expires_at(deadline);
  co_await waiter->timer.async_wait(use_tuple);
  const std::lock_guard lock(state.mutex);
  const bool late = std::erase(state.waiters, waiter) > 0;
  if (late || state.closed) co_return Found{{}, beast::error::timeout, false};
  co_return state.found;
}

// No thread to be had: whoever comes next tries again.
void HostAddresses::State::start_look_up() {
  if (looking_up || closed) return;
  const auto look_up = [state = shared_from_this()] {
    ErrorCode error;
    std::vector<Address> addresses;
    try {
      addresses = state->hooks.look_up(state->host, error);
    } catch (const std::exception&) {
      error = exhausted();
    }
    const std::lock_guard lock(state->mutex);
    state->keep(std::move(addresses), error);
  };
  try {
    std::thread(look_up).detach();
    looking_up = true;
  } catch (const std::exception&) {
    looking_up = false;
  }
}

bool HostAddresses::State::may_use(const Address& address) const {
  if (host == "localhost" || !is_private(address)) return true;
  return std::any_of(allowed.begin(), allowed.end(), [&](const Network& range) { return range.contains(address); });
}

void HostAddresses::State::keep(std::vector<Address> addresses, const ErrorCode& error) {
  looking_up = false;
  if (closed) return;
  const bool any = !addresses.empty();
  std::erase_if(addresses, [&](const Address& address) { return !may_use(address); });
  const bool refused = any && addresses.empty();
  if (refused) {
    hooks.log("the name '" + host + "' leads to a private address, which private_networks does not allow: not used");
  }
  const auto now = Clock::now();
  if (any) {
    found = {std::move(addresses), refused ? ErrorCode(asio::error::host_unreachable) : ErrorCode{}, refused};
    fresh_until = now + hooks.address_lifetime;
    usable_until = fresh_until + hooks.address_lifetime;
  } else if (found.addresses.empty()) {
    found.error = error ? error : ErrorCode(asio::error::host_not_found);
    fresh_until = usable_until = now;  // whoever comes next asks again
  } else {
    fresh_until = now + kRetry;
    usable_until = now + hooks.address_lifetime;
  }
  for (auto& waiter : waiters) {
    asio::post(waiter->timer.get_executor(), [waiter] { waiter->timer.cancel(); });
  }
  waiters.clear();
}

void HostAddresses::expire() {
  const std::lock_guard lock(state_->mutex);
  state_->fresh_until = state_->usable_until = Clock::now();
}

bool HostAddresses::holds(const Address& address) {
  State& state = *state_;
  if (state.literal) return true;
  const std::lock_guard lock(state.mutex);
  if (Clock::now() >= state.fresh_until) state.start_look_up();
  const auto& known = state.found.addresses;
  return std::find(known.begin(), known.end(), address) != known.end();
}

void HostAddresses::close() {
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
  state_->waiters.clear();
}

}  // namespace kvasir::gateway
