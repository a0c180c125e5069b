#include "engine/tokenizer_charsmap.hpp"

#include <cstring>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

Error bad_charsmap(std::string_view why) {
  return {.code = ErrorCode::bad_model_file,
          .message = fmt::format("tokenizer.ggml.precompiled_charsmap {}", why),
          .param = {}};
}

// A unit: bit 31 marks a value, bit 8 that a value hangs below, bit 9 that the offset counts in 256s.
std::uint32_t offset_of(std::uint32_t unit) {
  return (unit >> 10) << ((unit & (1U << 9)) >> 6);
}
std::uint32_t label_of(std::uint32_t unit) {
  return unit & ((1U << 31) | 0xFFU);
}
bool has_value(std::uint32_t unit) {
  return ((unit >> 8) & 1U) != 0;
}

}  // namespace

Result<Charsmap> Charsmap::from(std::span<const std::int64_t> bytes) {
  std::string blob;
  for (const std::int64_t byte : bytes) blob.push_back(static_cast<char>(byte & 0xFF));
  std::uint32_t trie_bytes = 0;
  if (blob.size() < sizeof trie_bytes) return bad_charsmap("is cut");
  std::memcpy(&trie_bytes, blob.data(), sizeof trie_bytes);
  const std::size_t left = blob.size() - sizeof trie_bytes;
  if (trie_bytes > left || trie_bytes % sizeof(std::uint32_t) != 0) return bad_charsmap("has no room for its trie");
  Charsmap map;
  map.units_.resize(trie_bytes / sizeof(std::uint32_t));
  if (trie_bytes > 0) std::memcpy(map.units_.data(), blob.data() + sizeof trie_bytes, trie_bytes);
  map.replacements_ = blob.substr(sizeof trie_bytes + trie_bytes);
  std::size_t begin = 0;
  for (std::size_t at = 0; at < map.replacements_.size(); ++at) {
    if (map.replacements_[at] == '\0') begin = at + 1;
    if (at + 1 > begin + kMaxReplacement) return bad_charsmap("has a replacement of more than 64 bytes");
  }
  if (begin != map.replacements_.size()) return bad_charsmap("ends inside a replacement");
  return map;
}

std::optional<Charsmap::Rule> Charsmap::match(std::string_view text) const {
  if (units_.empty()) return std::nullopt;
  std::optional<Rule> longest;
  std::size_t node = offset_of(units_[0]);
  text = text.substr(0, kMaxText);  // units may form a circle
  for (std::size_t at = 0; at < text.size() && text[at] != '\0'; ++at) {
    const auto byte = static_cast<std::uint8_t>(text[at]);
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) break;
    const std::uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_value(unit)) continue;
    if (node >= units_.size()) break;
    const std::size_t value = units_[node] & ((1U << 31) - 1);
    if (value < replacements_.size()) longest = {at + 1, std::string_view(&replacements_[value])};
  }
  return longest;
}

}  // namespace kvasir::engine
