#include "engine/tokenizer.hpp"

#include "engine/pretokenizer.hpp"
#include "engine/tokenizer_bpe.hpp"
#include "engine/tokenizer_vocabulary.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

struct SpecialIds {
  TokenId bos = -1;
  TokenId eos = -1;
  bool add_bos = false;
  std::vector<TokenId> ends_generation;  // sorted
};

class ByteLevelTokenizer final : public Tokenizer {
 public:
  ByteLevelTokenizer(Vocabulary vocabulary, BytePairMerges merges, const PreTokenizer& pre_tokenizer,
                     bool whole_words_first, SpecialIds specials)
      : vocabulary_(std::move(vocabulary)),
        merges_(std::move(merges)),
        pre_tokenizer_(&pre_tokenizer),
        whole_words_first_(whole_words_first),
        specials_(std::move(specials)) {}

  std::vector<TokenId> encode(std::string_view text, bool parse_special) const override {
    std::vector<TokenId> tokens;
    tokens.reserve(text.size() / 3 + 1);
    BytePairMerges::Scratch scratch;
    std::size_t ordinary = 0;  // where the ordinary text before `at` begins
    for (std::size_t at = 0; parse_special && at < text.size();) {
      const std::optional<SpecialMatch> match = vocabulary_.match_special(text.substr(at));
      if (!match) {
        ++at;
        continue;
      }
      encode_ordinary(text.substr(ordinary, at - ordinary), scratch, tokens);
      tokens.push_back(match->token);
      at += match->bytes;
      ordinary = at;
    }
    encode_ordinary(text.substr(ordinary), scratch, tokens);
    // Chat templates may write BOS themselves.
    if (specials_.add_bos && (tokens.empty() || tokens.front() != specials_.bos)) {
      tokens.insert(tokens.begin(), specials_.bos);
    }
    return tokens;
  }

  std::string_view bytes(TokenId token) const override { return vocabulary_.bytes(token); }
  std::string_view piece(TokenId token) const override { return vocabulary_.piece(token); }
  bool is_control(TokenId token) const override {
    const TokenType type = vocabulary_.type(token);
    return type == TokenType::control || type == TokenType::unknown;
  }
  bool ends_generation(TokenId token) const override {
    return std::binary_search(specials_.ends_generation.begin(), specials_.ends_generation.end(), token);
  }
  TokenId bos() const override { return specials_.bos; }
  TokenId eos() const override { return specials_.eos; }
  int size() const override { return vocabulary_.size(); }

 private:
  void encode_ordinary(std::string_view text, BytePairMerges::Scratch& scratch, std::vector<TokenId>& tokens) const {
    for (const std::string_view word : pre_tokenizer_->split(text)) {
      const TokenId whole = whole_words_first_ ? vocabulary_.find_bytes(word) : -1;
      if (whole >= 0) {
        tokens.push_back(whole);
      } else {
        merges_.encode(word, vocabulary_, scratch, tokens);
      }
    }
  }

  Vocabulary vocabulary_;
  BytePairMerges merges_;
  const PreTokenizer* pre_tokenizer_;
  bool whole_words_first_;
  SpecialIds specials_;
};

Error fail(const ModelFile& file, ErrorCode code, const std::string& message) {
  return {.code = code, .message = file.path() + ": " + message, .param = {}};
}

// -1 if the file has no such key.
Result<TokenId> token_id(const ModelFile& file, const Vocabulary& vocabulary, const std::string& key) {
  const std::optional<std::int64_t> id = file.integer(key);
  if (!id) return TokenId{-1};
  if (*id < 0 || *id >= vocabulary.size()) {
    return fail(file, ErrorCode::bad_model_file, fmt::format("{} is {}, which is not a token", key, *id));
  }
  return static_cast<TokenId>(*id);
}

constexpr std::array<std::string_view, 5> kEndPieces{"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<end_of_turn>",
                                                     "<|end_of_text|>"};

Result<SpecialIds> special_ids(const ModelFile& file, const Vocabulary& vocabulary, bool bos_by_default) {
  const Result<TokenId> bos = token_id(file, vocabulary, "tokenizer.ggml.bos_token_id");
  const Result<TokenId> eos = token_id(file, vocabulary, "tokenizer.ggml.eos_token_id");
  const Result<TokenId> eot = token_id(file, vocabulary, "tokenizer.ggml.eot_token_id");
  for (const auto* id : {&bos, &eos, &eot}) {
    if (!*id) return id->error();
  }
  SpecialIds ids{.bos = *bos, .eos = *eos, .add_bos = false, .ends_generation = {*eos, *eot}};
  ids.add_bos = ids.bos >= 0 && file.boolean("tokenizer.ggml.add_bos_token").value_or(bos_by_default);
  for (const std::string_view piece : kEndPieces) {
    const TokenId token = vocabulary.find(piece);
    if (vocabulary.type(token) != TokenType::normal) ids.ends_generation.push_back(token);
  }
  std::erase(ids.ends_generation, -1);
  std::sort(ids.ends_generation.begin(), ids.ends_generation.end());
  return ids;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from(const ModelFile& file) {
  const std::string* model = file.text("tokenizer.ggml.model");
  if (model == nullptr) return fail(file, ErrorCode::bad_model_file, "tokenizer.ggml.model is missing");
  if (*model != "gpt2") {
    return fail(file, ErrorCode::unsupported_model,
                fmt::format("has a tokenizer of the kind '{}'; only byte-level BPE ('gpt2') is supported", *model));
  }
  const std::string* pre = file.text("tokenizer.ggml.pre");
  if (pre == nullptr) {
    return fail(file, ErrorCode::unsupported_model, "tokenizer.ggml.pre is missing; convert the model again");
  }
  const PreTokenizer* pre_tokenizer = PreTokenizer::named(*pre);
  if (pre_tokenizer == nullptr) {
    return fail(file, ErrorCode::unsupported_model,
                fmt::format("needs the pre-tokenizer '{}', which is unknown", *pre));
  }
  // Llama 3 takes a word that is a token as it is, even where merges would not build it, and starts with BOS.
  const bool llama3 = *pre == "llama-bpe" || *pre == "llama3" || *pre == "llama-v3";
  Result<Vocabulary> vocabulary = Vocabulary::from(file);
  if (!vocabulary) return fail(file, vocabulary.error().code, vocabulary.error().message);
  Result<BytePairMerges> merges = BytePairMerges::from(file, *vocabulary);
  if (!merges) return fail(file, merges.error().code, merges.error().message);
  Result<SpecialIds> specials = special_ids(file, *vocabulary, llama3);
  if (!specials) return specials.error();
  return std::make_unique<ByteLevelTokenizer>(*std::move(vocabulary), *std::move(merges), *pre_tokenizer, llama3,
                                              *std::move(specials));
}

}  // namespace kvasir::engine
