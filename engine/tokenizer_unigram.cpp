// SentencePiece's unigram model: of all ways to cut a text into pieces, the one with the highest sum of scores.
// (Kudo, arXiv 1804.10959; Viterbi over the text, one character after the other)
#include "engine/tokenizer_charsmap.hpp"
#include "engine/tokenizer_encoder.hpp"
#include "engine/tokenizer_piece_index.hpp"
#include "engine/tokenizer_utf8.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace kvasir::engine {
namespace {

constexpr double kUnknownPenalty = 10;  // below the worst piece

struct SpaceRules {
  bool prefix = false;  // a text gets a space in front
  bool merge = false;   // runs of spaces become one, those at the end none
};

class UnigramEncoder final : public TextEncoder {
 public:
  UnigramEncoder(const Vocabulary& vocabulary, TokenId unknown, SpaceRules spaces, Charsmap charsmap)
      : vocabulary_(vocabulary), unknown_(unknown), spaces_(spaces), charsmap_(std::move(charsmap)) {
    double worst = 0;
    for (TokenId token = 0; token < vocabulary.size(); ++token) {
      const TokenType type = vocabulary.type(token);
      if (type == TokenType::normal) worst = std::min(worst, score(token));
      if (type == TokenType::normal || type == TokenType::user_defined || type == TokenType::unused) {
        pieces_.add(vocabulary.piece(token), token);
      }
    }
    pieces_.sort();
    unknown_score_ = worst - kUnknownPenalty;
  }

  void encode(std::string_view text, bool /*starts*/, std::vector<TokenId>& tokens) const override {
    const std::string normal = normalize(text);
    const std::vector<Step> best = best_steps(normal);
    std::vector<std::size_t> ends;  // of the tokens, the last first
    for (std::size_t end = normal.size(); end > 0; end = best[end].begin) ends.push_back(end);
    bool after_unknown = false;
    for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
      const Step& step = best[*end];
      if (step.token >= 0) {
        tokens.push_back(step.token);
      } else if (vocabulary_.spells_bytes()) {
        vocabulary_.append_bytes(std::string_view(normal).substr(step.begin, *end - step.begin), -1, tokens);
      } else if (unknown_ >= 0 && !after_unknown) {
        tokens.push_back(unknown_);
      }
      after_unknown = step.token < 0;
    }
  }
  bool adds_space() const override { return spaces_.prefix || spaces_.merge; }
  bool adds_eos() const override { return true; }

 private:
  // The last token of the best way to cut the text up to some point.
  struct Step {
    std::size_t begin = 0;
    TokenId token = -1;  // -1: unknown
    double score = -std::numeric_limits<double>::infinity();
  };

  double score(TokenId token) const {
    return vocabulary_.type(token) == TokenType::user_defined ? 0 : double{vocabulary_.score(token)};
  }

  std::vector<Step> best_steps(std::string_view text) const {
    std::vector<Step> best(text.size() + 1);
    best[0].score = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t character = std::min<std::size_t>(utf8_bytes(text[at]), text.size() - at);
      const double before = best[at].score;
      const auto offer = [&](TokenId token, std::size_t bytes, double score) {
        Step& step = best[at + bytes];
        if (before + score > step.score) step = {at, token, before + score};
      };
      bool known = false;
      pieces_.prefixes_of(text.substr(at), [&](TokenId token, std::size_t bytes) {
        known = known || bytes == character;
        offer(token, bytes, score(token));
      });
      if (!known) offer(-1, character, unknown_score_);
      at += character;
    }
    return best;
  }

  // Characters are replaced by the map, what is no character by U+FFFD; spaces become the space piece.
  std::string normalize(std::string_view text) const {
    std::string normal;
    bool prefixed = false;
    bool in_word = false;
    while (!text.empty()) {
      Charsmap::Rule rule;
      if (const auto found = charsmap_.match(text)) {
        rule = *found;
      } else {
        const Utf8Character next = decode_utf8(text);
        const bool valid = next.status == Utf8Status::valid;
        rule = {valid ? next.bytes : std::size_t{1}, valid ? text.substr(0, next.bytes) : kReplacementCharacter};
      }
      for (const char byte : rule.replacement) {
        if (byte == ' ') {
          in_word = false;
          if (!spaces_.merge) normal += kSpacePiece;
          continue;
        }
        if (!in_word && ((spaces_.prefix && !prefixed) || spaces_.merge)) {
          normal += kSpacePiece;
          prefixed = true;
        }
        in_word = true;
        normal.push_back(byte);
      }
      text.remove_prefix(rule.bytes);
    }
    return normal;
  }

  const Vocabulary& vocabulary_;
  TokenId unknown_;
  SpaceRules spaces_;
  Charsmap charsmap_;
  PieceIndex pieces_;
  double unknown_score_ = 0;
};

}  // namespace

Result<std::unique_ptr<TextEncoder>> unigram_encoder(const ModelFile& file, const Vocabulary& vocabulary,
                                                     TokenId unknown) {
  Charsmap charsmap;
  if (const auto* bytes = file.integers("tokenizer.ggml.precompiled_charsmap"); bytes != nullptr && !bytes->empty()) {
    Result<Charsmap> read = Charsmap::from(*bytes);
    if (!read) return read.error();
    charsmap = *std::move(read);
  }
  const SpaceRules spaces{.prefix = file.boolean("tokenizer.ggml.add_space_prefix").value_or(false),
                          .merge = file.boolean("tokenizer.ggml.remove_extra_whitespaces").value_or(false)};
  return std::unique_ptr<TextEncoder>(
      std::make_unique<UnigramEncoder>(vocabulary, unknown, spaces, std::move(charsmap)));
}

}  // namespace kvasir::engine
