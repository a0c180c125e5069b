#include "engine/tokenizer_vocabulary.hpp"

#include "engine/tokenizer_utf8.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

constexpr char32_t kAlphabetEnd = 0x144;  // GPT-2's byte alphabet ends with U+0143

// GPT-2 writes a printable Latin-1 byte as its own character and the 68 others, in order, as U+0100 and on.
std::array<int, kAlphabetEnd> bytes_of_alphabet() {
  std::array<int, kAlphabetEnd> bytes{};
  bytes.fill(-1);
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    bytes[printable ? byte : next++] = static_cast<int>(byte);
  }
  return bytes;
}

// The bytes that a piece stands for. A piece with a character outside of the alphabet stands for itself.
std::string decode_piece(const std::string& piece) {
  static const std::array<int, kAlphabetEnd> kBytes = bytes_of_alphabet();
  std::string bytes;
  for (std::string_view rest = piece; !rest.empty();) {
    const Utf8Character next = decode_utf8(rest);
    if (next.code_point >= kAlphabetEnd || kBytes[next.code_point] < 0) return piece;
    bytes.push_back(static_cast<char>(kBytes[next.code_point]));
    rest.remove_prefix(next.bytes);
  }
  return bytes;
}

std::string byte_piece(unsigned byte) {
  return fmt::format("<0x{:02X}>", byte);
}

// The byte that "<0x0A>" names; -1: it names none.
int byte_of(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || !piece.ends_with('>')) return -1;
  int byte = -1;
  const char* end = piece.data() + 5;
  const auto read = std::from_chars(piece.data() + 3, end, byte, 16);
  return read.ec == std::errc() && read.ptr == end ? byte : -1;
}

// A piece with its space pieces as spaces.
std::string decode_spaces(std::string piece) {
  for (std::size_t at = piece.find(kSpacePiece); at != piece.npos; at = piece.find(kSpacePiece, at + 1)) {
    piece.replace(at, kSpacePiece.size(), 1, ' ');
  }
  return piece;
}

std::string bytes_of(const std::string& piece, TokenType type, PieceForm form) {
  switch (type) {
    case TokenType::control:
    case TokenType::unknown:
      return {};
    case TokenType::user_defined:
      return piece;
    default:
      if (form == PieceForm::byte_level) return decode_piece(piece);
      if (const int byte = type == TokenType::byte ? byte_of(piece) : -1; byte >= 0) {
        return {static_cast<char>(byte)};
      }
      return decode_spaces(piece);
  }
}

bool ordinary(TokenType type) {
  return type == TokenType::normal || type == TokenType::byte;
}

Error bad_vocabulary(std::string message) {
  return {.code = ErrorCode::bad_model_file, .message = std::move(message), .param = {}};
}

Result<std::vector<TokenType>> read_types(const ModelFile& file, std::size_t count) {
  std::vector<TokenType> types(count, TokenType::normal);
  const auto* numbers = file.integers("tokenizer.ggml.token_type");
  if (numbers == nullptr) return types;
  if (numbers->size() != count) {
    return bad_vocabulary(fmt::format("has {} tokens and {} token types", count, numbers->size()));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t number = (*numbers)[i];
    if (number < 1 || number > 6) return bad_vocabulary(fmt::format("token {} has the unknown type {}", i, number));
    types[i] = static_cast<TokenType>(number);
  }
  return types;
}

Result<std::vector<float>> read_scores(const ModelFile& file, std::size_t count) {
  const auto* numbers = file.numbers("tokenizer.ggml.scores");
  if (numbers == nullptr) return bad_vocabulary("tokenizer.ggml.scores is missing");
  if (numbers->size() != count) {
    return bad_vocabulary(fmt::format("has {} tokens and {} scores", count, numbers->size()));
  }
  std::vector<float> scores;
  scores.reserve(count);
  for (const double number : *numbers) {
    if (!std::isfinite(number)) return bad_vocabulary(fmt::format("token {} has no finite score", scores.size()));
    scores.push_back(static_cast<float>(number));
  }
  return scores;
}

// Texts are compared with pieces byte by byte from each of their places on.
std::optional<Error> check_lengths(const std::vector<std::string>& pieces, PieceForm form) {
  // GPT-2's alphabet writes a byte as two at most.
  const std::size_t most = Vocabulary::kMaxPiece * (form == PieceForm::byte_level ? 2 : 1);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].size() > most) {
      return bad_vocabulary(fmt::format("token {} has {} bytes, more than {}", i, pieces[i].size(), most));
    }
  }
  return std::nullopt;
}

}  // namespace

void append_with_space_pieces(std::string& to, std::string_view text) {
  for (const char byte : text) {
    if (byte == ' ') {
      to += kSpacePiece;
    } else {
      to.push_back(byte);
    }
  }
}

Result<Vocabulary> Vocabulary::from(const ModelFile& file, PieceForm form) {
  const auto* pieces = file.texts("tokenizer.ggml.tokens");
  if (pieces == nullptr || pieces->empty()) return bad_vocabulary("tokenizer.ggml.tokens is missing");
  if (const auto error = check_lengths(*pieces, form)) return *error;
  Result<std::vector<TokenType>> types = read_types(file, pieces->size());
  if (!types) return types.error();
  if (form == PieceForm::byte_level) return Vocabulary(*pieces, *std::move(types), {}, form);
  Result<std::vector<float>> scores = read_scores(file, pieces->size());
  if (!scores) return scores.error();
  return Vocabulary(*pieces, *std::move(types), *std::move(scores), form);
}

Vocabulary::Vocabulary(std::vector<std::string> pieces, std::vector<TokenType> types, std::vector<float> scores,
                       PieceForm form)
    : pieces_(std::move(pieces)), types_(std::move(types)), scores_(std::move(scores)) {
  bytes_.reserve(pieces_.size());
  for (std::size_t i = 0; i < pieces_.size(); ++i) bytes_.push_back(bytes_of(pieces_[i], types_[i], form));
  byte_tokens_.fill(-1);
  index_pieces();
  if (form == PieceForm::byte_level) {
    index_bytes();
  } else {
    find_byte_tokens();
  }
}

void Vocabulary::index_pieces() {
  by_piece_.reserve(pieces_.size());
  for (TokenId token = 0; token < size(); ++token) {
    by_piece_.try_emplace(pieces_[index(token)], token);
    if (type(token) == TokenType::user_defined) user_defined_.add(piece(token), token);
    if (type(token) == TokenType::user_defined || is_control(token)) specials_.add(piece(token), token);
  }
  specials_.sort();
  user_defined_.sort();
}

void Vocabulary::index_bytes() {
  by_bytes_.reserve(pieces_.size());
  for (TokenId token = 0; token < size(); ++token) {
    const std::string& bytes = bytes_[index(token)];
    if (!ordinary(type(token)) || bytes.empty()) continue;
    by_bytes_.try_emplace(bytes, token);
    TokenId& byte_token = byte_tokens_[static_cast<std::uint8_t>(bytes[0])];
    if (bytes.size() == 1 && byte_token < 0) byte_token = token;
  }
}

void Vocabulary::find_byte_tokens() {
  for (unsigned byte = 0; byte < byte_tokens_.size(); ++byte) byte_tokens_[byte] = find(byte_piece(byte));
}

void Vocabulary::append_bytes(std::string_view text, TokenId unknown, std::vector<TokenId>& tokens) const {
  const auto token_of = [&](char byte) { return byte_token(static_cast<std::uint8_t>(byte)); };
  if (std::all_of(text.begin(), text.end(), [&](char byte) { return token_of(byte) >= 0; })) {
    for (const char byte : text) tokens.push_back(token_of(byte));
  } else if (unknown >= 0) {
    tokens.push_back(unknown);
  }
}

TokenId Vocabulary::find(std::string_view piece) const {
  const auto found = by_piece_.find(piece);
  return found == by_piece_.end() ? -1 : found->second;
}

TokenId Vocabulary::find_bytes(std::string_view bytes) const {
  const auto found = by_bytes_.find(bytes);
  return found == by_bytes_.end() ? -1 : found->second;
}

std::optional<SpecialMatch> Vocabulary::match_special(std::string_view text, bool control) const {
  std::optional<SpecialMatch> longest;
  (control ? specials_ : user_defined_).prefixes_of(text, [&](TokenId token, std::size_t bytes) {
    longest = {token, bytes};
  });
  return longest;
}

}  // namespace kvasir::engine
