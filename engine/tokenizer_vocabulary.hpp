// The tokens of a byte-level vocabulary: ids to text and bytes, special tokens by their text.
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"
#include "engine/tokenizer.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvasir::engine {

// `tokenizer.ggml.token_type`
enum class TokenType : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct SpecialMatch {
  TokenId token = -1;
  std::size_t bytes = 0;
};

// Immutable; any thread. Ids outside of the vocabulary have no text and no bytes.
class Vocabulary {
 public:
  Vocabulary(Vocabulary&&) noexcept = default;
  Vocabulary& operator=(Vocabulary&&) noexcept = default;
  Vocabulary(const Vocabulary&) = delete;  // the indexes point into this one's strings
  Vocabulary& operator=(const Vocabulary&) = delete;
  ~Vocabulary() = default;

  // Error: bad_model_file; the message does not name the file.
  static Result<Vocabulary> from(const ModelFile& file);

  int size() const { return static_cast<int>(pieces_.size()); }
  bool contains(TokenId token) const { return token >= 0 && token < size(); }
  // As it stands in the file, in GPT-2's byte alphabet for ordinary tokens.
  std::string_view piece(TokenId token) const { return contains(token) ? pieces_[index(token)] : std::string_view(); }
  // What the token stands for; empty for control tokens.
  std::string_view bytes(TokenId token) const { return contains(token) ? bytes_[index(token)] : std::string_view(); }
  TokenType type(TokenId token) const { return contains(token) ? types_[index(token)] : TokenType::unknown; }

  // -1: none. If two tokens have the same text, the first.
  TokenId find(std::string_view piece) const;
  // The ordinary token that stands for exactly these bytes; -1: none.
  TokenId find_bytes(std::string_view bytes) const;
  // The ordinary token of a single byte; -1: the vocabulary lacks it.
  TokenId byte_token(std::uint8_t byte) const { return byte_tokens_[byte]; }
  // The longest control or user-defined token that `text` starts with.
  std::optional<SpecialMatch> match_special(std::string_view text) const;

 private:
  Vocabulary(std::vector<std::string> pieces, std::vector<TokenType> types);
  static std::size_t index(TokenId token) { return static_cast<std::size_t>(token); }
  void index_pieces();

  std::vector<std::string> pieces_;
  std::vector<TokenType> types_;
  std::vector<std::string> bytes_;
  std::unordered_map<std::string_view, TokenId> by_piece_;
  std::unordered_map<std::string_view, TokenId> by_bytes_;
  std::array<TokenId, 256> byte_tokens_{};
  std::vector<TokenId> specials_;  // sorted by text
};

}  // namespace kvasir::engine
