// Byte-level BPE: words are cut by the pre-tokenizer, their bytes merged by the ranks that the file lists.
#include "engine/pretokenizer.hpp"
#include "engine/tokenizer_encoder.hpp"
#include "engine/tokenizer_merges.hpp"

#include <string>
#include <unordered_map>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

Error bad_merge(std::size_t rank, std::string_view why) {
  return {.code = ErrorCode::bad_model_file, .message = fmt::format("merge {} {}", rank, why), .param = {}};
}

struct PairHash {
  std::size_t operator()(std::uint64_t pair) const { return pair * 0x9E3779B97F4A7C15ULL >> 20; }
};
using Merges = std::unordered_map<std::uint64_t, SymbolChain::Merge, PairHash>;

std::uint64_t pair(TokenId left, TokenId right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

Result<Merges> read_merges(const ModelFile& file, const Vocabulary& vocabulary) {
  const auto* lines = file.texts("tokenizer.ggml.merges");
  if (lines == nullptr) {
    return Error{.code = ErrorCode::bad_model_file, .message = "tokenizer.ggml.merges is missing", .param = {}};
  }
  Merges merges;
  merges.reserve(lines->size());
  for (std::size_t rank = 0; rank < lines->size(); ++rank) {
    const std::string_view line = (*lines)[rank];
    const std::size_t space = line.find(' ', 1);
    if (space == std::string_view::npos) return bad_merge(rank, "does not name two pieces");
    const std::string_view left = line.substr(0, space);
    const std::string_view right = line.substr(space + 1);
    const TokenId left_token = vocabulary.find(left);
    const TokenId right_token = vocabulary.find(right);
    const TokenId merged = vocabulary.find(std::string(left) + std::string(right));
    if (left_token < 0 || right_token < 0 || merged < 0) return bad_merge(rank, "names a piece that is not a token");
    merges.try_emplace(pair(left_token, right_token), SymbolChain::Merge{static_cast<std::uint32_t>(rank), merged});
  }
  return merges;
}

class ByteLevelEncoder final : public TextEncoder {
 public:
  ByteLevelEncoder(const Vocabulary& vocabulary, Merges merges, const PreTokenizer& pre_tokenizer)
      : vocabulary_(vocabulary), merges_(std::move(merges)), pre_tokenizer_(pre_tokenizer) {}

  void encode(std::string_view text, bool /*starts*/, std::vector<TokenId>& tokens) const override {
    SymbolChain chain;
    for (const std::string_view word : pre_tokenizer_.split(text)) {
      const TokenId whole = pre_tokenizer_.whole_words_first() ? vocabulary_.find_bytes(word) : -1;
      if (whole >= 0) {
        tokens.push_back(whole);
      } else {
        merge_word(word, chain, tokens);
      }
    }
  }
  bool adds_bos() const override { return pre_tokenizer_.adds_bos(); }

 private:
  // A byte that the vocabulary lacks is left out.
  void merge_word(std::string_view word, SymbolChain& chain, std::vector<TokenId>& tokens) const {
    chain.clear();
    for (const char byte : word) chain.append(vocabulary_.byte_token(static_cast<std::uint8_t>(byte)));
    chain.merge([&](SymbolChain::Index left, SymbolChain::Index right) -> std::optional<SymbolChain::Merge> {
      const auto found = merges_.find(pair(chain.token(left), chain.token(right)));
      return found == merges_.end() ? std::nullopt : std::optional(found->second);
    });
    for (SymbolChain::Index i = chain.first(); i >= 0; i = chain.next(i)) {
      if (chain.token(i) >= 0) tokens.push_back(chain.token(i));
    }
  }

  const Vocabulary& vocabulary_;
  Merges merges_;
  const PreTokenizer& pre_tokenizer_;
};

}  // namespace

Result<std::unique_ptr<TextEncoder>> byte_level_encoder(const ModelFile& file, const Vocabulary& vocabulary,
                                                        TokenId /*unknown*/) {
  const auto unsupported = [](std::string message) {
    return Error{.code = ErrorCode::unsupported_model, .message = std::move(message), .param = {}};
  };
  const std::string* pre = file.text("tokenizer.ggml.pre");
  if (pre == nullptr) return unsupported("tokenizer.ggml.pre is missing; convert the model again");
  const PreTokenizer* pre_tokenizer = PreTokenizer::named(*pre);
  if (pre_tokenizer == nullptr) {
    return unsupported(fmt::format("needs the pre-tokenizer '{}', which is unknown", *pre));
  }
  Result<Merges> merges = read_merges(file, vocabulary);
  if (!merges) return merges.error();
  return std::unique_ptr<TextEncoder>(
      std::make_unique<ByteLevelEncoder>(vocabulary, *std::move(merges), *pre_tokenizer));
}

}  // namespace kvasir::engine
