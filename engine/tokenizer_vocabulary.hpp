// The tokens of a vocabulary: ids to text and bytes, special tokens by their text.
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"
#include "engine/tokenizer.hpp"
#include "engine/tokenizer_piece_index.hpp"

#include <algorithm>
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

// How pieces are written: in GPT-2's byte alphabet, or as text with kSpacePiece for a space and "<0x0A>" for a byte.
enum class PieceForm : std::uint8_t { byte_level, sentence_piece };

inline constexpr std::string_view kSpacePiece = "\xE2\x96\x81";  // U+2581
// Appends `text` with its spaces as SentencePiece writes them.
void append_with_space_pieces(std::string& to, std::string_view text);

struct SpecialMatch {
  TokenId token = -1;
  std::size_t bytes = 0;
};

// Immutable; any thread. Ids outside of the vocabulary have no text and no bytes.
class Vocabulary {
 public:
  static constexpr std::size_t kMaxPiece = 1024;  // bytes; the longest ones in use are runs of 128 spaces

  Vocabulary(Vocabulary&&) noexcept = default;
  Vocabulary& operator=(Vocabulary&&) noexcept = default;
  Vocabulary(const Vocabulary&) = delete;  // the indexes point into this one's strings
  Vocabulary& operator=(const Vocabulary&) = delete;
  ~Vocabulary() = default;

  // Error: bad_model_file; the message does not name the file.
  static Result<Vocabulary> from(const ModelFile& file, PieceForm form);

  int size() const { return static_cast<int>(pieces_.size()); }
  bool contains(TokenId token) const { return token >= 0 && token < size(); }
  // As it stands in the file.
  std::string_view piece(TokenId token) const { return contains(token) ? pieces_[index(token)] : std::string_view(); }
  // What the token stands for; empty for control tokens.
  std::string_view bytes(TokenId token) const { return contains(token) ? bytes_[index(token)] : std::string_view(); }
  TokenType type(TokenId token) const { return contains(token) ? types_[index(token)] : TokenType::unknown; }
  bool is_control(TokenId token) const {
    return type(token) == TokenType::control || type(token) == TokenType::unknown;
  }
  // A finite number; the higher, the better the piece. 0 for byte-level vocabularies.
  float score(TokenId token) const { return index(token) < scores_.size() ? scores_[index(token)] : 0; }

  // -1: none. If two tokens have the same text, the first.
  TokenId find(std::string_view piece) const;
  // The ordinary token that stands for exactly these bytes; -1: none. For byte-level vocabularies.
  TokenId find_bytes(std::string_view bytes) const;
  // The token of a single byte; -1: the vocabulary lacks it.
  TokenId byte_token(std::uint8_t byte) const { return byte_tokens_[byte]; }
  bool spells_bytes() const { return std::find(byte_tokens_.begin(), byte_tokens_.end(), -1) == byte_tokens_.end(); }
  // Appends the token of each byte; if one of them has none, `unknown` for all of them (-1: nothing).
  void append_bytes(std::string_view text, TokenId unknown, std::vector<TokenId>& tokens) const;
  // The longest special token that `text` starts with: a user-defined one or, with `control`, any.
  std::optional<SpecialMatch> match_special(std::string_view text, bool control) const;

 private:
  Vocabulary(std::vector<std::string> pieces, std::vector<TokenType> types, std::vector<float> scores, PieceForm form);
  static std::size_t index(TokenId token) { return static_cast<std::size_t>(token); }
  void index_pieces();
  void index_bytes();
  void find_byte_tokens();

  std::vector<std::string> pieces_;
  std::vector<TokenType> types_;
  std::vector<float> scores_;
  std::vector<std::string> bytes_;
  std::unordered_map<std::string_view, TokenId> by_piece_;
  std::unordered_map<std::string_view, TokenId> by_bytes_;
  std::array<TokenId, 256> byte_tokens_{};
  PieceIndex specials_;
  PieceIndex user_defined_;
};

}  // namespace kvasir::engine
