// The addresses of one host: looked up on threads of their own, kept for a while, filtered by where a name may lead.
#pragma once

#include "gateway/asio.hpp"
#include "gateway/network.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

using Address = asio::ip::address;
// Blocking. Gives addresses, or an error. May still run when nobody waits for it any more.
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
  // Nobody hears of a look-up that still runs; it is not waited for.
  void close();

 private:
  struct Waiter;
  struct State;

  std::shared_ptr<State> state_;  // shared with the look-up that runs
};

}  // namespace kvasir::gateway
