#include "engine/tokenizer_piece_index.hpp"

#include <tuple>

namespace kvasir::engine {

void PieceIndex::sort() {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.piece, a.token) < std::tie(b.piece, b.token); });
  starts_.fill(0);
  for (const Entry& entry : entries_) ++starts_[byte_at(entry.piece, 0) + 1];
  for (std::size_t byte = 0; byte < 256; ++byte) starts_[byte + 1] += starts_[byte];
}

}  // namespace kvasir::engine
