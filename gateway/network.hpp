// Ranges of IP addresses, and which of them are nobody's on the open internet.
#pragma once

#include <optional>
#include <string_view>

#include <boost/asio/ip/address.hpp>

namespace kvasir::gateway {

// "10.0.0.0/8", "fd00::/8", or a single address.
class Network {
 public:
  static std::optional<Network> parse(std::string_view text);
  // An IPv4 address mapped into IPv6 is the IPv4 address.
  bool contains(const boost::asio::ip::address& address) const;

 private:
  Network(boost::asio::ip::address base, unsigned prefix_bits) : base_(std::move(base)), prefix_bits_(prefix_bits) {}

  boost::asio::ip::address base_;
  unsigned prefix_bits_;
};

// ::ffff:a.b.c.d as a.b.c.d; anything else as it is.
boost::asio::ip::address unmapped(const boost::asio::ip::address& address);

// Loopback, private, link-local, shared, multicast and reserved ranges (RFC 6890), and IPv4 ones wrapped into IPv6.
bool is_private(const boost::asio::ip::address& address);

}  // namespace kvasir::gateway
