// Text to token ids and back, as the model file says.
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine {

using TokenId = std::int32_t;

// Byte-level BPE (Sennrich et al., arXiv 1508.07909; GPT-2's byte alphabet) with the pre-tokenizer that
// `tokenizer.ggml.pre` names. Immutable; any thread.
class Tokenizer {
 public:
  // Errors: unsupported_model (another tokenizer or pre-tokenizer), bad_model_file.
  static Result<std::unique_ptr<Tokenizer>> from(const ModelFile& file);
  virtual ~Tokenizer() = default;

  // Ids of a UTF-8 text. With `parse_special`, control and user-defined tokens written in the text ("<|im_end|>")
  // become their ids; without, their characters are ordinary text. BOS is added if the file says so.
  virtual std::vector<TokenId> encode(std::string_view text, bool parse_special) const = 0;
  // The bytes of one token (not always whole UTF-8 characters); empty for control tokens.
  virtual std::string_view bytes(TokenId token) const = 0;
  // A control token's text as it stands in the vocabulary, e.g. "<|im_end|>".
  virtual std::string_view piece(TokenId token) const = 0;
  virtual bool is_control(TokenId token) const = 0;
  // True for tokens that end an answer (eos, eot, <|im_end|> …).
  virtual bool ends_generation(TokenId token) const = 0;
  virtual TokenId bos() const = 0;  // -1: none
  virtual TokenId eos() const = 0;  // -1: none
  virtual int size() const = 0;
};

// Turns tokens into text as they come, never splitting a UTF-8 character: bytes of an unfinished character wait for the
// next token. Invalid bytes become U+FFFD.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  std::string push(TokenId token);
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
};

}  // namespace kvasir::engine
