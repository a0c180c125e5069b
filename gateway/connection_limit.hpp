// How many connections a listener has, in all and from one address.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include <boost/asio/ip/address.hpp>

namespace kvasir::gateway {

// What /metrics shows of a listener. Any thread.
struct ConnectionCounters {
  std::atomic<std::size_t> limit{0};  // of `open`
  std::atomic<std::uint64_t> opened{0};
  std::atomic<std::int64_t> open{0};
  std::atomic<std::uint64_t> refused{0};             // the limit in all
  std::atomic<std::uint64_t> refused_by_address{0};  // the limit of one address
  std::atomic<std::uint64_t> accept_failures{0};     // out of descriptors, most likely
  std::atomic<std::uint64_t> failed_handshakes{0};   // of TLS
  std::atomic<std::uint64_t> bad_requests{0};        // answered by the HTTP edge itself
};

// Thread safe.
class ConnectionLimit {
 public:
  // `per_address` 0: no limit.
  ConnectionLimit(std::size_t in_all, std::size_t per_address, ConnectionCounters& counters)
      : in_all_(in_all), per_address_(per_address), counters_(&counters) {
    counters.limit = in_all;
  }

  // A place, given back when it is destroyed.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : limit_(other.limit_), address_(std::move(other.address_)) {
      other.limit_ = nullptr;
    }
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (limit_ != nullptr) limit_->leave(address_);
    }
    // False: a limit is reached.
    explicit operator bool() const { return limit_ != nullptr; }

   private:
    friend class ConnectionLimit;
    Place(ConnectionLimit* limit, const boost::asio::ip::address& address) : limit_(limit), address_(address) {}
    ConnectionLimit* limit_ = nullptr;
    boost::asio::ip::address address_;
  };

  // An IPv6 client is known by its network of 64 bits, within which it may choose addresses.
  Place enter(const boost::asio::ip::address& from);

 private:
  void leave(const boost::asio::ip::address& network);

  const std::size_t in_all_;
  const std::size_t per_address_;
  ConnectionCounters* counters_;
  std::mutex mutex_;
  std::size_t open_ = 0;
  std::map<boost::asio::ip::address, std::size_t> by_address_;  // no larger than open_
};

}  // namespace kvasir::gateway
