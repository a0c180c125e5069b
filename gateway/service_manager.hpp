// Tells systemd how the service is doing: the protocol of sd_notify(3), datagrams to the socket in NOTIFY_SOCKET.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace kvasir::gateway {

// Without such a socket nothing is sent. One thread.
class ServiceManager {
 public:
  // From this process's environment.
  ServiceManager();

  void ready() const { send("READY=1"); }
  // ready() must follow.
  void reloading() const;
  void stopping() const { send("STOPPING=1"); }
  void alive() const { send("WATCHDOG=1"); }
  // How often alive() has to be called, with room to spare; empty: nobody waits for it.
  std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }

 private:
  void send(std::string_view state) const;

  std::string socket_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace kvasir::gateway
