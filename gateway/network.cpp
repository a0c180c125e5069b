#include "gateway/network.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

namespace kvasir::gateway {
namespace {

using boost::asio::ip::address_v4;
using boost::asio::ip::make_address_v4;

template <typename Bytes>
bool same_prefix(const Bytes& a, const Bytes& b, unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

std::vector<Network> networks(std::initializer_list<std::string_view> texts) {
  std::vector<Network> parsed;
  for (const auto text : texts) parsed.push_back(*Network::parse(text));
  return parsed;
}

}  // namespace

std::optional<Network> Network::parse(std::string_view text) {
  const auto slash = text.find('/');
  boost::system::error_code error;
  const auto base = boost::asio::ip::make_address(std::string(text.substr(0, slash)), error);
  if (error) return std::nullopt;
  const unsigned most = base.is_v4() ? 32 : 128;
  unsigned bits = most;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (problem != std::errc{} || end != digits.data() + digits.size() || bits > most) return std::nullopt;
  }
  return Network(base, bits);
}

bool Network::contains(const boost::asio::ip::address& address) const {
  const auto candidate = base_.is_v4() ? unmapped(address) : address;
  if (base_.is_v4() != candidate.is_v4()) return false;
  if (base_.is_v4()) return same_prefix(base_.to_v4().to_bytes(), candidate.to_v4().to_bytes(), prefix_bits_);
  return same_prefix(base_.to_v6().to_bytes(), candidate.to_v6().to_bytes(), prefix_bits_);
}

boost::asio::ip::address unmapped(const boost::asio::ip::address& address) {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
}

bool is_private(const boost::asio::ip::address& address) {
  static const std::vector<Network> ranges =
      networks({"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128",
                "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"});
  // IPv4 in the last (or, with 6to4, the first) bytes of an IPv6 address.
  static const std::vector<Network> wrapped = networks({"::/96", "64:ff9b::/96", "64:ff9b:1::/48"});
  static const Network six_to_four = *Network::parse("2002::/16");
  const auto candidate = unmapped(address);
  const auto holds = [&](const Network& network) { return network.contains(candidate); };
  if (std::any_of(ranges.begin(), ranges.end(), holds)) return true;
  if (!candidate.is_v6()) return false;
  const auto bytes = candidate.to_v6().to_bytes();
  const auto v4_at = [&](std::size_t at) {
    return boost::asio::ip::address(address_v4({bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]}));
  };
  if (std::any_of(wrapped.begin(), wrapped.end(), holds)) return is_private(v4_at(12));
  return six_to_four.contains(candidate) && is_private(v4_at(2));
}

}  // namespace kvasir::gateway
