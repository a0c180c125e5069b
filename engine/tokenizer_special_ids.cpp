#include "engine/tokenizer_special_ids.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

// The names that families gave to the end of a turn, of an answer or of everything. Files often give the id of one.
constexpr std::array<std::string_view, 19> kEndPieces{"<|im_end|>",
                                                      "<|endoftext|>",
                                                      "<|eot_id|>",
                                                      "<|eom_id|>",
                                                      "<end_of_turn>",
                                                      "<eos>",
                                                      "</s>",
                                                      "<|end_of_text|>",
                                                      "<|end|>",
                                                      "<|return|>",
                                                      "<|call|>",
                                                      "<EOT>",
                                                      "[EOT]",
                                                      "[EOS]",
                                                      "<|END_OF_TURN_TOKEN|>",
                                                      "<｜end▁of▁sentence｜>",
                                                      "<|EOT|>",
                                                      "<end_of_utterance>",
                                                      "<|eot|>"};

Result<TokenId> token_id(const ModelFile& file, const Vocabulary& vocabulary, const std::string& key,
                         TokenId otherwise) {
  const std::optional<std::int64_t> id = file.integer(key);
  if (!id) return vocabulary.contains(otherwise) ? otherwise : -1;
  if (*id < 0 || *id >= vocabulary.size()) {
    return Error{.code = ErrorCode::bad_model_file,
                 .message = fmt::format("{} is {}, which is not a token", key, *id),
                 .param = {}};
  }
  return static_cast<TokenId>(*id);
}

// -1: there is no such token, or it is an ordinary word.
TokenId special(const Vocabulary& vocabulary, std::string_view piece) {
  const TokenId token = vocabulary.find(piece);
  return vocabulary.type(token) == TokenType::normal ? -1 : token;
}

}  // namespace

Result<SpecialIds> SpecialIds::from(const ModelFile& file, const Vocabulary& vocabulary, const SpecialIds& defaults) {
  const Result<TokenId> bos = token_id(file, vocabulary, "tokenizer.ggml.bos_token_id", defaults.bos);
  const Result<TokenId> eos = token_id(file, vocabulary, "tokenizer.ggml.eos_token_id", defaults.eos);
  const Result<TokenId> eot = token_id(file, vocabulary, "tokenizer.ggml.eot_token_id", -1);
  const Result<TokenId> unknown = token_id(file, vocabulary, "tokenizer.ggml.unknown_token_id", defaults.unknown);
  for (const auto* id : {&bos, &eos, &eot, &unknown}) {
    if (!*id) return id->error();
  }
  SpecialIds ids{.bos = *bos, .eos = *eos, .unknown = *unknown, .ends_generation = {*eos, *eot}};
  // Where answers have channels, <|end|> only closes one of them.
  const bool channels = special(vocabulary, "<|return|>") >= 0 && special(vocabulary, "<|call|>") >= 0;
  for (const std::string_view piece : kEndPieces) {
    if (!channels || piece != "<|end|>") ids.ends_generation.push_back(special(vocabulary, piece));
  }
  std::erase(ids.ends_generation, -1);
  std::sort(ids.ends_generation.begin(), ids.ends_generation.end());
  return ids;
}

}  // namespace kvasir::engine
