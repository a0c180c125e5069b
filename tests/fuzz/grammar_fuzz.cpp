// A JSON schema is refused, or each token that its masks allow leads on, and there always is one until the end.
// The input is a way through the masks, a zero byte, and the schema.
#include "engine/output_constraints.hpp"
#include "tests/engine/tiny_model.hpp"
#include "tests/fuzz/memory_file.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace kvasir::engine {
namespace {

// Of bytes: whatever a grammar asks for can be spelled.
std::unique_ptr<Tokenizer> byte_tokenizer() {
  std::vector<std::string> tokens = byte_alphabet();
  std::vector<std::int32_t> types(tokens.size(), 1);
  tokens.insert(tokens.end(), {"th", "<|im_end|>"});
  types.insert(types.end(), {1, 3});
  GgufWriter gguf;
  gguf.text("tokenizer.ggml.model", "gpt2");
  gguf.text("tokenizer.ggml.pre", "smollm");
  gguf.texts("tokenizer.ggml.tokens", tokens);
  gguf.integers("tokenizer.ggml.token_type", types);
  gguf.texts("tokenizer.ggml.merges", {"t h"});
  gguf.integer("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(tokens.size()) - 1);
  const MemoryFile file("");
  gguf.write(file.path());
  const auto opened = ModelFile::open(file.path());
  must(opened.has_value());
  auto tokenizer = Tokenizer::from(*opened);
  must(tokenizer.has_value());
  return *std::move(tokenizer);
}

void use(std::string_view data) {
  static const std::unique_ptr<Tokenizer> tokenizer = byte_tokenizer();
  static const auto trie = std::make_shared<const TokenTrie>(*tokenizer);
  const std::size_t end = data.find('\0');
  if (end == data.npos) return;
  const auto grammar = format_grammar({OutputFormat::Kind::json_schema, std::string(data.substr(end + 1))});
  if (!grammar) return must(!grammar.error().message.empty());
  TokenMatcher matcher(std::make_shared<TokenConstraint>(*grammar, trie));
  for (const char step : data.substr(0, std::min(end, std::size_t{64}))) {
    if (matcher.complete()) return;
    std::vector<TokenId> choices;
    matcher.allowed().for_each([&](TokenId token) { choices.push_back(token); });
    must(!choices.empty());
    const TokenId chosen = choices[static_cast<std::uint8_t>(step) % choices.size()];
    if (tokenizer->ends_generation(chosen)) return must(matcher.may_end());
    matcher.accept(tokenizer->bytes(chosen));
    must(matcher.alive());
  }
}

}  // namespace
}  // namespace kvasir::engine

KVASIR_FUZZ(kvasir::engine::use)
