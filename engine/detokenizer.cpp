#include "engine/tokenizer.hpp"
#include "engine/tokenizer_utf8.hpp"

#include <utility>

namespace kvasir::engine {

std::string Detokenizer::push(TokenId token) {
  std::string_view bytes = tokenizer_->bytes(token);
  if (!bytes.empty() && std::exchange(drops_space_, false) && bytes.front() == ' ') bytes.remove_prefix(1);
  pending_ += bytes;
  std::string text;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Character next = decode_utf8(rest);
    if (next.status == Utf8Status::incomplete) break;
    text += next.status == Utf8Status::valid ? rest.substr(0, next.bytes) : kReplacementCharacter;
    rest.remove_prefix(next.bytes);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return text;
}

std::string Detokenizer::finish() {
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacementCharacter);
}

}  // namespace kvasir::engine
