// Pieces of a vocabulary in order, to find those that a text begins with.
#pragma once

#include "engine/tokenizer.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// The text of the pieces must outlive this. Immutable once sorted; any thread.
class PieceIndex {
 public:
  // Empty pieces are left out.
  void add(std::string_view piece, TokenId token) {
    if (!piece.empty()) entries_.push_back({piece, token});
  }
  // Before the first look-up.
  void sort();

  // Calls visit(token, bytes) for each piece that `text` begins with, the shortest first. If two tokens have the same
  // text, for the first of them.
  template <typename Visit>
  void prefixes_of(std::string_view text, Visit visit) const {
    if (text.empty()) return;
    auto first = entries_.begin() + starts_[byte_at(text, 0)];
    auto last = entries_.begin() + starts_[byte_at(text, 0) + 1];
    // Pieces that agree with `text` on the first `length` bytes are neighbours; one more byte narrows their range.
    for (std::size_t length = 1; first != last; ++length) {
      if (first->piece.size() == length) visit(first->token, length);
      if (length == text.size()) return;
      const std::size_t next = byte_at(text, length);
      first = std::partition_point(first, last, [&](const Entry& entry) {
        return entry.piece.size() <= length || byte_at(entry.piece, length) < next;
      });
      last =
          std::partition_point(first, last, [&](const Entry& entry) { return byte_at(entry.piece, length) == next; });
    }
  }

 private:
  struct Entry {
    std::string_view piece;
    TokenId token;
  };
  static std::size_t byte_at(std::string_view text, std::size_t at) { return static_cast<std::uint8_t>(text[at]); }

  std::vector<Entry> entries_;
  std::array<std::int32_t, 257> starts_{};  // of the pieces by their first byte
};

}  // namespace kvasir::engine
