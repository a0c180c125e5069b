// The seam between what all tokenizers share (special tokens, BOS, EOS) and what a family does with the text between.
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"
#include "engine/tokenizer.hpp"
#include "engine/tokenizer_vocabulary.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// Immutable; any thread.
class TextEncoder {
 public:
  TextEncoder() = default;
  TextEncoder(const TextEncoder&) = delete;
  TextEncoder& operator=(const TextEncoder&) = delete;
  virtual ~TextEncoder() = default;

  // Appends the tokens of a text without special tokens, which is not empty. `starts`: it is the first, or stands
  // behind a special token.
  virtual void encode(std::string_view text, bool starts, std::vector<TokenId>& tokens) const = 0;
  // Texts get a space in front that is not part of them.
  virtual bool adds_space() const { return false; }
  // Unless the file says otherwise.
  virtual bool adds_bos() const { return false; }
  virtual bool adds_eos() const { return false; }
};

// One for each family; the vocabulary must outlive the encoder, and `unknown` is the token for what has none (-1: what
// has none is left out). Errors: bad_model_file, unsupported_model; the message does not name the file.
Result<std::unique_ptr<TextEncoder>> byte_level_encoder(const ModelFile& file, const Vocabulary& vocabulary,
                                                        TokenId unknown);
Result<std::unique_ptr<TextEncoder>> sentence_piece_encoder(const ModelFile& file, const Vocabulary& vocabulary,
                                                            TokenId unknown);
Result<std::unique_ptr<TextEncoder>> unigram_encoder(const ModelFile& file, const Vocabulary& vocabulary,
                                                     TokenId unknown);

}  // namespace kvasir::engine
