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

// The families that `tokenizer.ggml.model` names: byte-level BPE ("gpt2") with the pre-tokenizer of
// `tokenizer.ggml.pre`, SentencePiece's BPE ("llama") and its unigram model ("t5"). Immutable; any thread.
class Tokenizer {
 public:
  // Errors: unsupported_model (another tokenizer or pre-tokenizer), bad_model_file.
  static Result<std::unique_ptr<Tokenizer>> from(const ModelFile& file);
  virtual ~Tokenizer() = default;

  // Ids of a UTF-8 text. User-defined tokens written in the text become their ids, and with `parse_special` control
  // tokens ("<|im_end|>") do so too; without, the characters of those are ordinary text. BOS and EOS are added if the
  // file says so and the text does not have them already.
  virtual std::vector<TokenId> encode(std::string_view text, bool parse_special) const = 0;
  // The bytes of one token (not always whole UTF-8 characters); empty for control tokens.
  virtual std::string_view bytes(TokenId token) const = 0;
  // A control token's text as it stands in the vocabulary, e.g. "<|im_end|>".
  virtual std::string_view piece(TokenId token) const = 0;
  virtual bool is_control(TokenId token) const = 0;
  // True for tokens that end an answer (eos, eot, <|im_end|> …).
  virtual bool ends_generation(TokenId token) const = 0;
  // True if texts get a space in front that is not part of them: what tokens say as a whole begins behind it.
  virtual bool adds_space() const = 0;
  virtual TokenId bos() const = 0;  // -1: none
  virtual TokenId eos() const = 0;  // -1: none
  virtual int size() const = 0;
};

// Turns tokens into text as they come, never splitting a UTF-8 character: bytes of an unfinished character wait for the
// next token. Invalid bytes become U+FFFD.
class Detokenizer {
 public:
  // What the tokens are: a text of their own, as the answer of a chat is, or the rest of a text that goes before. Where
  // the family adds a space in front of texts, "▁Paris" alone says "Paris", but " Paris" behind "The capital is". An
  // answer that kept the space would also come back as two in the next turn's prompt, and miss the KV of its own
  // tokens.
  enum class Of { text, continuation };

  explicit Detokenizer(const Tokenizer& tokenizer, Of of = Of::continuation)
      : tokenizer_(&tokenizer), drops_space_(of == Of::text && tokenizer.adds_space()) {}
  std::string push(TokenId token);
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool drops_space_;  // of the first bytes that come
  std::string pending_;
};

}  // namespace kvasir::engine
