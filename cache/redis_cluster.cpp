#include "cache/redis_cluster.hpp"

#include <charconv>

namespace kvasir::cache {
namespace {

constexpr std::uint16_t slots = 16384;

// CRC-16/XMODEM.
std::uint16_t crc16(std::string_view bytes) {
  unsigned crc = 0;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned>(static_cast<unsigned char>(byte)) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000U) != 0 ? (crc << 1) ^ 0x1021U : crc << 1;
  }
  return static_cast<std::uint16_t>(crc);
}

bool is_integer(const RedisReply& reply) {
  return reply.kind == RedisReply::Kind::integer;
}

// One range of CLUSTER SLOTS: first slot, last slot, master, replicas; a node is address, port and more.
bool has_slot(const RedisReply& range, std::uint16_t slot) {
  return range.is_list() && range.list.size() >= 3 && is_integer(range.list[0]) && is_integer(range.list[1]) &&
         range.list[0].integer <= slot && slot <= range.list[1].integer;
}

}  // namespace

std::uint16_t cluster_slot(std::string_view key) {
  const auto open = key.find('{');
  const auto close = open == std::string_view::npos ? open : key.find('}', open + 1);
  if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  return crc16(key) % slots;
}

std::optional<RedisNode> master_of(std::uint16_t slot, const RedisReply& slots_reply, const RedisNode& asked) {
  for (const RedisReply& range : slots_reply.list) {
    if (!has_slot(range, slot)) continue;
    const RedisReply& master = range.list[2];
    if (!master.is_list() || master.list.size() < 2 || !is_integer(master.list[1])) return std::nullopt;
    const std::string& host = master.list[0].text;
    return RedisNode{host.empty() ? asked.host : host, static_cast<std::uint16_t>(master.list[1].integer)};
  }
  return std::nullopt;
}

std::optional<RedisRedirection> redirection(const RedisReply& error, const RedisNode& asked) {
  const bool asking = error.is_error("ASK ");
  if (!asking && !error.is_error("MOVED ")) return std::nullopt;
  const std::string_view text = error.text;
  const auto address = text.substr(text.rfind(' ') + 1);
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  RedisNode node;
  const std::string_view port = address.substr(colon + 1);
  const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), node.port);
  if (problem != std::errc{} || end != port.data() + port.size()) return std::nullopt;
  node.host = colon == 0 ? asked.host : std::string(address.substr(0, colon));
  return RedisRedirection{node, asking};
}

}  // namespace kvasir::cache
