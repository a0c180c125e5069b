// Text to token ids by a unigram model (Kudo, arXiv 1804.10959), as SentencePiece and XLM-RoBERTa have it: of all ways
// to cut the text into pieces, the likeliest.
#pragma once

#include "embed/text_tokenizer.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvasir::embed {

// What a file says of a unigram tokenizer.
struct UnigramVocabulary {
  struct Piece {
    std::string text;
    float score = 0;  // log probability
  };
  std::vector<Piece> pieces;  // by id
  TokenId begin = 0;
  TokenId end = 0;
  TokenId padding = 0;
  TokenId unknown = 0;
  // Characters that become others, or nothing, before the text is cut.
  std::unordered_map<char32_t, std::u32string> replacements;
};

class Unigram final : public TextTokenizer {
 public:
  // `prefix` stands before every text, as the model was trained. The special ids must be those of pieces; no text is
  // ever read as one of them.
  Unigram(const UnigramVocabulary& vocabulary, std::string prefix);

  // Bytes that are no UTF-8 become U+FFFD. A text with more characters than `max_tokens` pieces can have is read only
  // so far.
  std::vector<TokenId> encode(std::string_view text, std::size_t max_tokens) const override;
  std::size_t size() const override { return size_; }
  TokenId unknown() const override { return unknown_; }
  TokenId begin() const override { return begin_; }
  TokenId end() const override { return end_; }

 private:
  struct Entry {
    TokenId id;
    float score;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view piece) const { return std::hash<std::string_view>()(piece); }
  };

  // The text with replacements made, in UTF-8, and where each character begins (and the end).
  struct Normalised {
    std::string text;
    std::vector<std::size_t> starts;
  };
  Normalised normalise(std::string_view text, std::size_t max_characters) const;
  std::vector<TokenId> cut(const Normalised& input) const;

  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> pieces_;
  std::unordered_map<char32_t, std::u32string> replacements_;
  std::string prefix_;
  std::size_t size_;
  std::size_t longest_ = 1;  // bytes of the longest piece
  float unknown_score_ = 0;
  TokenId begin_;
  TokenId end_;
  TokenId unknown_;
};

}  // namespace kvasir::embed
