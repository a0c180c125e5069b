#include "gateway/host_addresses.hpp"

#include <algorithm>

#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/error.hpp>

namespace kvasir::gateway {
namespace {

constexpr auto kRetry = std::chrono::seconds(5);  // after a look-up that failed, while older addresses serve

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

HostAddresses::HostAddresses(std::string host, std::vector<Network> allowed, const UpstreamHooks& hooks)
    : host_(std::move(host)), allowed_(std::move(allowed)), hooks_(hooks) {
  ErrorCode not_literal;
  const auto address = asio::ip::make_address(host_, not_literal);
  literal_ = !not_literal;
  if (literal_) found_.addresses.push_back(address);
}

Task<HostAddresses::Found> HostAddresses::get(Executor executor, Clock::time_point deadline) {
  if (literal_) co_return found_;
  std::shared_ptr<Waiter> waiter;
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (now >= fresh_until_) start_look_up();
    if (now < usable_until_) co_return found_;
    waiter = std::make_shared<Waiter>(executor);
    waiters_.push_back(waiter);
  }
  waiter->timer.expires_at(deadline);
  co_await waiter->timer.async_wait(use_tuple);
  const std::lock_guard lock(mutex_);
  const bool late = std::erase(waiters_, waiter) > 0;
  if (late || closed_) co_return Found{{}, beast::error::timeout, false};
  co_return found_;
}

void HostAddresses::start_look_up() {
  if (looking_up_ || closed_) return;
  looking_up_ = true;
  if (!thread_) thread_ = std::make_unique<asio::thread_pool>(1);
  asio::post(*thread_, [this] {
    ErrorCode error;
    auto addresses = hooks_.look_up(host_, error);
    keep(std::move(addresses), error);
  });
}

void HostAddresses::keep(std::vector<Address> addresses, const ErrorCode& error) {
  const auto may_use = [this](const Address& address) {
    if (host_ == "localhost" || !is_private(address)) return true;
    return std::any_of(allowed_.begin(), allowed_.end(), [&](const Network& range) { return range.contains(address); });
  };
  const bool any = !addresses.empty();
  std::erase_if(addresses, [&](const Address& address) { return !may_use(address); });
  const bool refused = any && addresses.empty();
  if (refused) {
    hooks_.log("the name '" + host_ + "' leads to a private address, which private_networks does not allow: not used");
  }
  const std::lock_guard lock(mutex_);
  looking_up_ = false;
  const auto now = Clock::now();
  if (any) {
    found_ = {std::move(addresses), refused ? ErrorCode(asio::error::host_unreachable) : ErrorCode{}, refused};
    fresh_until_ = now + hooks_.address_lifetime;
    usable_until_ = fresh_until_ + hooks_.address_lifetime;
  } else if (found_.addresses.empty()) {
    found_.error = error ? error : ErrorCode(asio::error::host_not_found);
    fresh_until_ = usable_until_ = now;  // whoever comes next asks again
  } else {
    fresh_until_ = now + kRetry;
    usable_until_ = now + hooks_.address_lifetime;
  }
  for (auto& waiter : waiters_) {
    asio::post(waiter->timer.get_executor(), [waiter] { waiter->timer.cancel(); });
  }
  waiters_.clear();
}

void HostAddresses::expire() {
  const std::lock_guard lock(mutex_);
  fresh_until_ = usable_until_ = Clock::now();
}

bool HostAddresses::holds(const Address& address) {
  if (literal_) return true;
  const std::lock_guard lock(mutex_);
  if (Clock::now() >= fresh_until_) start_look_up();
  return std::find(found_.addresses.begin(), found_.addresses.end(), address) != found_.addresses.end();
}

void HostAddresses::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiters_.clear();
  }
  if (!thread_) return;
  thread_->stop();
  thread_->join();
  thread_.reset();
}

}  // namespace kvasir::gateway
