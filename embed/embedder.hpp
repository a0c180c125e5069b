// Text to unit vector. The interface that the response cache knows; encoders implement it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::embed {

class Embedder {
 public:
  virtual ~Embedder() = default;

  // Names the model and its weights (hash). Vectors of different identities must never be compared: thresholds and
  // neighbours do not transfer between embedders.
  virtual const std::string& identity() const = 0;
  virtual int dimension() const = 0;

  // False if the model would not see all of this text: an unknown word, or an end beyond its limit. Its vector then
  // equals those of different texts, so nothing may be concluded from it. May be called from any thread.
  virtual bool sees_all(std::string_view text) const = 0;

  // One unit vector (L2 norm 1, `dimension()` floats) per text, in order, row after row. Texts are UTF-8; a text longer
  // than the model's limit is cut there. A text's vector does not depend on the other texts of the call.
  // May be called from any thread; blocks until done.
  virtual std::vector<float> embed(std::span<const std::string_view> texts) = 0;

  // The same in two steps, for who must know what the model reads of a text. An input's tokens are ids of the model's
  // vocabulary, those that the model puts around every text included. Any thread.
  using Tokens = std::vector<std::int32_t>;
  // Tokens that an input may have.
  virtual int max_tokens() const = 0;
  // A text's tokens. More than max_tokens(), but not necessarily all, if it is too long.
  virtual Tokens tokenize(std::string_view text) const = 0;
  // Ids that the caller chose, with what the model puts around a text where it is missing. Empty if one of them is not
  // in the vocabulary.
  virtual Tokens complete(std::span<const std::int32_t> ids) const = 0;
  // Rows as embed()'s. Inputs have from 1 to max_tokens() tokens.
  virtual std::vector<float> embed_tokens(std::span<const Tokens> inputs) = 0;
};

}  // namespace kvasir::embed
