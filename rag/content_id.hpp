// Identity is content: 128-bit ids of prompt parts (system prompt, document, turn).
#pragma once

#include "rag/sha256.hpp"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace kvasir::rag {

// SHA-256 (FIPS 180-4) of the content, cut to its first 128 bits. Equal ids mean equal content: nobody can forge a
// collision, so ids may be compared across tenants and kept on disk.
struct ContentId {
  std::array<std::uint8_t, 16> bytes{};

  static ContentId of(std::string_view content);
  // Reads 32 lower-case hexadecimal digits; nothing else is accepted.
  static std::optional<ContentId> from_hex(std::string_view text);
  std::string hex() const;
  bool empty() const { return *this == ContentId{}; }
  auto operator<=>(const ContentId&) const = default;
};

// Hashes a sequence of fields. Every field goes in with its length, so ("ab","c") and ("a","bc") differ.
// Not thread safe; finish() may be called once.
class ContentHasher {
 public:
  ContentHasher& field(std::string_view bytes);
  ContentHasher& field(const ContentId& id);
  ContentHasher& field(std::uint64_t number);
  ContentId finish();

 private:
  Sha256 hash_;
};

}  // namespace kvasir::rag

template <>
struct std::hash<kvasir::rag::ContentId> {
  std::size_t operator()(const kvasir::rag::ContentId& id) const noexcept;
};
