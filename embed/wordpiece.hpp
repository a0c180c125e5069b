// BERT's tokenizer (Devlin et al., arXiv 1810.04805): text is cleaned, lower-cased and stripped of accents, cut into
// words, and each word into the longest pieces that the vocabulary has.
#pragma once

#include "embed/text_tokenizer.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvasir::embed {

// Gives the ids of Hugging Face's `BertTokenizerFast` with `do_lower_case`. Immutable once made: any thread may encode.
class WordPiece final : public TextTokenizer {
 public:
  // Reads vocab.txt: one piece a line, the line number is the id. On failure nothing, and one sentence in `error`.
  static std::optional<WordPiece> open(const std::filesystem::path& vocabulary, std::string& error);
  // The same from the file's text; `error` then says what is wrong with it.
  static std::optional<WordPiece> parse(std::string_view vocabulary, std::string& error);

  // [CLS] pieces… [SEP], at most `max_tokens` (at least 2) of them: the pieces that do not fit are cut off. Reads only
  // as much of the text as it needs. Bytes that are no UTF-8 are dropped. The literal "[SEP]", "[MASK]", … become those
  // tokens, as in the reference.
  std::vector<TokenId> encode(std::string_view text, std::size_t max_tokens) const override;

  std::size_t size() const override { return size_; }
  TokenId unknown() const override { return unknown_; }  // [UNK]
  TokenId begin() const override { return cls_; }        // [CLS]
  TokenId end() const override { return sep_; }          // [SEP]

 private:
  friend class WordPieceEncoding;

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view piece) const { return std::hash<std::string_view>()(piece); }
  };
  using Pieces = std::unordered_map<std::string, TokenId, Hash, std::equal_to<>>;
  struct Special {
    std::string text;
    TokenId id;
  };

  Pieces starts_;         // pieces that begin a word
  Pieces continuations_;  // pieces inside a word, without their "##"
  std::vector<Special> specials_;
  std::size_t size_ = 0;
  std::size_t longest_ = 0;  // bytes of the longest piece
  TokenId cls_ = 0;
  TokenId sep_ = 0;
  TokenId unknown_ = 0;
};

}  // namespace kvasir::embed
