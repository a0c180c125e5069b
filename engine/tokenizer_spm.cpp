// SentencePiece's BPE: characters are merged as long as what they make is a piece, the highest score first.
// (Kudo & Richardson, arXiv 1808.06226; ids as llama.cpp gives them)
#include "engine/tokenizer_encoder.hpp"
#include "engine/tokenizer_merges.hpp"
#include "engine/tokenizer_utf8.hpp"

#include <algorithm>
#include <functional>
#include <string>

namespace kvasir::engine {
namespace {

class SentencePieceEncoder final : public TextEncoder {
 public:
  SentencePieceEncoder(const Vocabulary& vocabulary, TokenId unknown, bool adds_space)
      : vocabulary_(vocabulary), unknown_(unknown), adds_space_(adds_space) {
    rank_scores();
  }

  void encode(std::string_view text, bool starts, std::vector<TokenId>& tokens) const override {
    std::string spaced = adds_space_ && starts ? std::string(kSpacePiece) : std::string();
    append_with_space_pieces(spaced, text);
    const std::string_view all = spaced;
    SymbolChain chain;
    std::vector<std::size_t> begins;  // of the symbols
    for (std::size_t at = 0; at < all.size(); at += utf8_bytes(all[at])) {
      begins.push_back(at);
      chain.append(merge_of(all.substr(at, utf8_bytes(all[at]))).value_or(SymbolChain::Merge{0, -1}).token);
    }
    const auto end = [&](SymbolChain::Index index) {
      const SymbolChain::Index next = chain.next(index);
      return next < 0 ? all.size() : begins[static_cast<std::size_t>(next)];
    };
    const auto span = [&](SymbolChain::Index first, SymbolChain::Index last) {
      const std::size_t begin = begins[static_cast<std::size_t>(first)];
      return all.substr(begin, end(last) - begin);
    };
    chain.merge([&](SymbolChain::Index left, SymbolChain::Index right) { return merge_of(span(left, right)); });
    for (SymbolChain::Index i = chain.first(); i >= 0; i = chain.next(i)) {
      if (chain.token(i) >= 0) {
        tokens.push_back(chain.token(i));
      } else {
        vocabulary_.append_bytes(span(i, i), unknown_, tokens);
      }
    }
  }
  bool adds_space() const override { return adds_space_; }
  bool adds_bos() const override { return true; }

 private:
  // Equal scores have equal ranks: between them, the leftmost comes first.
  void rank_scores() {
    std::vector<float> scores;
    for (TokenId token = 0; token < vocabulary_.size(); ++token) {
      scores.push_back(vocabulary_.score(token));
      longest_ = std::max(longest_, vocabulary_.piece(token).size());
    }
    std::vector<float> order = scores;
    std::sort(order.begin(), order.end(), std::greater<>());
    order.erase(std::unique(order.begin(), order.end()), order.end());
    for (const float score : scores) {
      const auto place = std::lower_bound(order.begin(), order.end(), score, std::greater<>());
      ranks_.push_back(static_cast<std::uint32_t>(place - order.begin()));
    }
  }

  // The characters of a control token are text unless it was asked for; text never becomes the token by merging.
  std::optional<SymbolChain::Merge> merge_of(std::string_view text) const {
    if (text.size() > longest_) return std::nullopt;
    const TokenId token = vocabulary_.find(text);
    if (token < 0 || vocabulary_.is_control(token)) return std::nullopt;
    return SymbolChain::Merge{ranks_[static_cast<std::size_t>(token)], token};
  }

  const Vocabulary& vocabulary_;
  TokenId unknown_;
  bool adds_space_;
  std::vector<std::uint32_t> ranks_;  // by token
  std::size_t longest_ = 0;           // bytes of a piece
};

}  // namespace

Result<std::unique_ptr<TextEncoder>> sentence_piece_encoder(const ModelFile& file, const Vocabulary& vocabulary,
                                                            TokenId unknown) {
  const bool adds_space = file.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  return std::unique_ptr<TextEncoder>(std::make_unique<SentencePieceEncoder>(vocabulary, unknown, adds_space));
}

}  // namespace kvasir::engine
