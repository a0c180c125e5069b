#include "gateway/connection_limit.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

using boost::asio::ip::address;
using boost::asio::ip::address_v6;

address network_of(const address& from) {
  if (!from.is_v6()) return from;
  const address_v6 v6 = from.to_v6();
  if (v6.is_v4_mapped()) return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6);
  auto bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
  return address_v6(bytes);
}

}  // namespace

ConnectionLimit::Place ConnectionLimit::enter(const address& from) {
  const address network = network_of(from);
  const std::lock_guard lock(mutex_);
  if (open_ >= in_all_) {
    ++counters_->refused;
    return {};
  }
  if (per_address_ > 0) {
    std::size_t& count = by_address_[network];
    if (count >= per_address_) {
      ++counters_->refused_by_address;
      return {};
    }
    ++count;
  }
  ++open_;
  ++counters_->opened;
  ++counters_->open;
  return {this, network};
}

void ConnectionLimit::leave(const address& network) {
  const std::lock_guard lock(mutex_);
  --open_;
  --counters_->open;
  if (per_address_ == 0) return;
  const auto found = by_address_.find(network);
  if (--found->second == 0) by_address_.erase(found);
}

}  // namespace kvasir::gateway
