// Text to token ids: the interface that WordPiece and the unigram tokenizer share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kvasir::embed {

using TokenId = std::int32_t;

// Immutable once made: any thread may encode.
class TextTokenizer {
 public:
  virtual ~TextTokenizer() = default;
  TextTokenizer() = default;
  TextTokenizer(const TextTokenizer&) = default;
  TextTokenizer(TextTokenizer&&) = default;
  TextTokenizer& operator=(const TextTokenizer&) = default;
  TextTokenizer& operator=(TextTokenizer&&) = default;

  // begin() pieces… end(), at most `max_tokens` (at least 2) of them: the pieces that do not fit are cut off.
  virtual std::vector<TokenId> encode(std::string_view text, std::size_t max_tokens) const = 0;
  // Ids are below it.
  virtual std::size_t size() const = 0;
  virtual TokenId unknown() const = 0;
  virtual TokenId begin() const = 0;
  virtual TokenId end() const = 0;
};

}  // namespace kvasir::embed
