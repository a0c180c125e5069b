// The addresses of one host: looked up on a thread of its own, kept for a while, filtered by where a name may lead.
#pragma once

#include "gateway/asio.hpp"
#include "gateway/network.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/thread_pool.hpp>

namespace kvasir::gateway {

using Address = asio::ip::address;
// Blocking. Gives addresses, or an error.
using LookUp = std::function<std::vector<Address>(const std::string& host, ErrorCode& error)>;
std::vector<Address> system_look_up(const std::string& host, ErrorCode& error);

using LogEvent = std::function<void(std::string_view message)>;

// What the world outside gives whoever talks to upstreams.
struct UpstreamHooks {
  LookUp look_up = system_look_up;
  std::chrono::milliseconds address_lifetime{30'000};
  LogEvent log = [](std::string_view) {};
};

// Any thread. Must outlive what waits for it, or be closed first.
class HostAddresses {
 public:
  struct Found {
    std::vector<Address> addresses;
    ErrorCode error;       // with no addresses
    bool refused = false;  // there were addresses, but private ones that nobody has allowed
  };

  // A literal address, and localhost, have named themselves; any other name may lead to public addresses and to
  // `allowed` ones only.
  HostAddresses(std::string host, std::vector<Network> allowed, const UpstreamHooks& hooks);
  ~HostAddresses() { close(); }

  // The addresses; waits for a look-up if there are none, or only ones older than twice their time to live. Past that
  // time once, it starts a look-up and does not wait for it. A failed look-up leaves what was known. Out of time:
  // beast::error::timeout.
  Task<Found> get(Executor executor, std::chrono::steady_clock::time_point deadline);
  // The next get() looks up again: these could not be reached.
  void expire();
  // False if the name leads elsewhere by now. Starts a look-up if the time of what is known is over, and does not wait
  // for it.
  bool holds(const Address& address);
  // Ends look-ups; may wait for the system's resolver.
  void close();

 private:
  struct Waiter;
  using Clock = std::chrono::steady_clock;

  void start_look_up();
  void keep(std::vector<Address> addresses, const ErrorCode& error);

  const std::string host_;
  const std::vector<Network> allowed_;
  const UpstreamHooks hooks_;
  bool literal_ = false;
  std::mutex mutex_;
  Found found_;
  Clock::time_point fresh_until_{};
  Clock::time_point usable_until_{};
  bool looking_up_ = false;
  bool closed_ = false;
  std::vector<std::shared_ptr<Waiter>> waiters_;
  std::unique_ptr<asio::thread_pool> thread_;  // from the first look-up on
};

}  // namespace kvasir::gateway
