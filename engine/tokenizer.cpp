#include "engine/tokenizer.hpp"

#include "engine/tokenizer_encoder.hpp"
#include "engine/tokenizer_special_ids.hpp"
#include "engine/tokenizer_vocabulary.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

struct Family {
  std::string_view model;  // `tokenizer.ggml.model`
  PieceForm form;
  Result<std::unique_ptr<TextEncoder>> (*encoder)(const ModelFile&, const Vocabulary&, TokenId);
  TokenId bos, eos, unknown;  // of files that do not say
};

constexpr std::array<Family, 3> kFamilies{{{"gpt2", PieceForm::byte_level, byte_level_encoder, -1, -1, -1},
                                           {"llama", PieceForm::sentence_piece, sentence_piece_encoder, 1, 2, 0},
                                           {"t5", PieceForm::sentence_piece, unigram_encoder, -1, 1, 2}}};

// Phi-3's special tokens take the white space behind them along, but the file has no key for it.
bool is_phi3(const ModelFile& file) {
  std::string name = file.text("general.name") == nullptr ? "" : *file.text("general.name");
  for (char& letter : name) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return name.find("phi-3") != name.npos || name.find("phi3") != name.npos;
}

// What a file says of all families alike: special tokens, and what goes in front of a text and behind it.
class FileTokenizer final : public Tokenizer {
 public:
  FileTokenizer(const ModelFile& file, std::unique_ptr<const Vocabulary> vocabulary, SpecialIds specials,
                std::unique_ptr<TextEncoder> encoder)
      : vocabulary_(std::move(vocabulary)),
        specials_(std::move(specials)),
        encoder_(std::move(encoder)),
        add_bos_(specials_.bos >= 0 && file.boolean("tokenizer.ggml.add_bos_token").value_or(encoder_->adds_bos())),
        add_eos_(specials_.eos >= 0 && file.boolean("tokenizer.ggml.add_eos_token").value_or(encoder_->adds_eos())),
        strips_behind_specials_(is_phi3(file)) {}

  std::vector<TokenId> encode(std::string_view text, bool parse_special) const override {
    std::vector<TokenId> tokens;
    tokens.reserve(text.size() / 3 + 2);
    std::size_t ordinary = 0;  // where the ordinary text before `at` begins
    bool starts = true;
    const auto encode_ordinary = [&](std::size_t end) {
      if (end == ordinary) return;
      encoder_->encode(text.substr(ordinary, end - ordinary), starts, tokens);
      starts = false;
    };
    for (std::size_t at = 0; at < text.size();) {
      const std::optional<SpecialMatch> match = vocabulary_->match_special(text.substr(at), parse_special);
      if (!match) {
        ++at;
        continue;
      }
      encode_ordinary(at);
      tokens.push_back(match->token);
      starts = true;
      at += match->bytes;
      if (strips_behind(match->token)) at = std::min(text.find_first_not_of(" \t\n\v\f\r", at), text.size());
      ordinary = at;
    }
    encode_ordinary(text.size());
    // Chat templates may write BOS themselves.
    if (add_bos_ && (tokens.empty() || tokens.front() != specials_.bos)) tokens.insert(tokens.begin(), specials_.bos);
    if (add_eos_ && (tokens.empty() || tokens.back() != specials_.eos)) tokens.push_back(specials_.eos);
    return tokens;
  }

  std::string_view bytes(TokenId token) const override { return vocabulary_->bytes(token); }
  std::string_view piece(TokenId token) const override { return vocabulary_->piece(token); }
  bool is_control(TokenId token) const override { return vocabulary_->is_control(token); }
  bool ends_generation(TokenId token) const override {
    return std::binary_search(specials_.ends_generation.begin(), specials_.ends_generation.end(), token);
  }
  bool adds_space() const override { return encoder_->adds_space(); }
  TokenId bos() const override { return specials_.bos; }
  TokenId eos() const override { return specials_.eos; }
  int size() const override { return vocabulary_->size(); }

 private:
  bool strips_behind(TokenId token) const {
    if (!strips_behind_specials_) return false;
    const std::string_view piece = vocabulary_->piece(token);
    return piece != "<unk>" && piece != "<s>" && piece != "<|endoftext|>";
  }

  std::unique_ptr<const Vocabulary> vocabulary_;
  SpecialIds specials_;
  std::unique_ptr<TextEncoder> encoder_;
  bool add_bos_;
  bool add_eos_;
  bool strips_behind_specials_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from(const ModelFile& file) {
  const auto fail = [&](ErrorCode code, const std::string& message) {
    return Error{.code = code, .message = file.path() + ": " + message, .param = {}};
  };
  const std::string* model = file.text("tokenizer.ggml.model");
  if (model == nullptr) return fail(ErrorCode::bad_model_file, "tokenizer.ggml.model is missing");
  const auto* family =
      std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family& known) { return known.model == *model; });
  if (family == kFamilies.end()) {
    return fail(ErrorCode::unsupported_model,
                fmt::format("has a tokenizer of the kind '{}'; byte-level BPE ('gpt2') and SentencePiece ('llama', "
                            "'t5') are supported",
                            *model));
  }
  Result<Vocabulary> read = Vocabulary::from(file, family->form);
  if (!read) return fail(read.error().code, read.error().message);
  auto vocabulary = std::make_unique<const Vocabulary>(*std::move(read));
  Result<SpecialIds> specials =
      SpecialIds::from(file, *vocabulary, {.bos = family->bos, .eos = family->eos, .unknown = family->unknown});
  if (!specials) return fail(specials.error().code, specials.error().message);
  Result<std::unique_ptr<TextEncoder>> encoder = family->encoder(file, *vocabulary, specials->unknown);
  if (!encoder) return fail(encoder.error().code, encoder.error().message);
  return std::make_unique<FileTokenizer>(file, std::move(vocabulary), *std::move(specials), *std::move(encoder));
}

}  // namespace kvasir::engine
