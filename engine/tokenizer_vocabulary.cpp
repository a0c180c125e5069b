#include "engine/tokenizer_vocabulary.hpp"

#include "engine/tokenizer_utf8.hpp"

#include <algorithm>
#include <limits>
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

std::string bytes_of(const std::string& piece, TokenType type) {
  switch (type) {
    case TokenType::control:
    case TokenType::unknown:
      return {};
    case TokenType::user_defined:
      return piece;
    default:
      return decode_piece(piece);
  }
}

bool ordinary(TokenType type) {
  return type == TokenType::normal || type == TokenType::byte;
}
bool special(TokenType type) {
  return type == TokenType::control || type == TokenType::user_defined;
}

Error bad_vocabulary(std::string message) {
  return {.code = ErrorCode::bad_model_file, .message = std::move(message), .param = {}};
}

}  // namespace

Result<Vocabulary> Vocabulary::from(const ModelFile& file) {
  const auto* pieces = file.texts("tokenizer.ggml.tokens");
  if (pieces == nullptr || pieces->empty()) return bad_vocabulary("tokenizer.ggml.tokens is missing");
  std::vector<TokenType> types(pieces->size(), TokenType::normal);
  if (const auto* numbers = file.integers("tokenizer.ggml.token_type")) {
    if (numbers->size() != pieces->size()) {
      return bad_vocabulary(fmt::format("has {} tokens and {} token types", pieces->size(), numbers->size()));
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
      const std::int64_t number = (*numbers)[i];
      if (number < 1 || number > 6) return bad_vocabulary(fmt::format("token {} has the unknown type {}", i, number));
      types[i] = static_cast<TokenType>(number);
    }
  }
  return Vocabulary(*pieces, std::move(types));
}

Vocabulary::Vocabulary(std::vector<std::string> pieces, std::vector<TokenType> types)
    : pieces_(std::move(pieces)), types_(std::move(types)) {
  bytes_.reserve(pieces_.size());
  for (std::size_t i = 0; i < pieces_.size(); ++i) bytes_.push_back(bytes_of(pieces_[i], types_[i]));
  byte_tokens_.fill(-1);
  index_pieces();
}

void Vocabulary::index_pieces() {
  by_piece_.reserve(pieces_.size());
  by_bytes_.reserve(pieces_.size());
  for (TokenId token = 0; token < size(); ++token) {
    by_piece_.try_emplace(pieces_[index(token)], token);
    const TokenType type = types_[index(token)];
    if (special(type) && !pieces_[index(token)].empty()) specials_.push_back(token);
    const std::string& bytes = bytes_[index(token)];
    if (!ordinary(type) || bytes.empty()) continue;
    by_bytes_.try_emplace(bytes, token);
    TokenId& byte_token = byte_tokens_[static_cast<std::uint8_t>(bytes[0])];
    if (bytes.size() == 1 && byte_token < 0) byte_token = token;
  }
  std::sort(specials_.begin(), specials_.end(), [&](TokenId a, TokenId b) { return piece(a) < piece(b); });
}

TokenId Vocabulary::find(std::string_view piece) const {
  const auto found = by_piece_.find(piece);
  return found == by_piece_.end() ? -1 : found->second;
}

TokenId Vocabulary::find_bytes(std::string_view bytes) const {
  const auto found = by_bytes_.find(bytes);
  return found == by_bytes_.end() ? -1 : found->second;
}

std::optional<SpecialMatch> Vocabulary::match_special(std::string_view text) const {
  std::optional<SpecialMatch> longest;
  auto first = specials_.begin();
  auto last = specials_.end();
  // The specials that agree with `text` on the first `length` bytes are neighbours; one more byte narrows their range.
  for (std::size_t length = 0; length < text.size() && first != last; ++length) {
    const auto before = [&](TokenId token, char byte) {
      const std::string_view candidate = piece(token);
      return candidate.size() <= length ||
             static_cast<std::uint8_t>(candidate[length]) < static_cast<std::uint8_t>(byte);
    };
    const auto after = [&](char byte, TokenId token) {
      return static_cast<std::uint8_t>(byte) < static_cast<std::uint8_t>(piece(token)[length]);
    };
    first = std::lower_bound(first, last, text[length], before);
    last = std::upper_bound(first, last, text[length], after);
    if (first != last && piece(*first).size() == length + 1) longest = {*first, length + 1};
  }
  return longest;
}

}  // namespace kvasir::engine
