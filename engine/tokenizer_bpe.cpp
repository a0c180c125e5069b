#include "engine/tokenizer_bpe.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

Error bad_merge(std::size_t rank, std::string_view why) {
  return {.code = ErrorCode::bad_model_file, .message = fmt::format("merge {} {}", rank, why), .param = {}};
}

std::size_t at(std::int32_t index) {
  return static_cast<std::size_t>(index);
}

}  // namespace

Result<BytePairMerges> BytePairMerges::from(const ModelFile& file, const Vocabulary& vocabulary) {
  const auto* lines = file.texts("tokenizer.ggml.merges");
  if (lines == nullptr) {
    return Error{.code = ErrorCode::bad_model_file, .message = "tokenizer.ggml.merges is missing", .param = {}};
  }
  BytePairMerges merges;
  merges.merges_.reserve(lines->size());
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
    merges.merges_.try_emplace(pair(left_token, right_token), Merge{static_cast<std::uint32_t>(rank), merged});
  }
  return merges;
}

// Notes the merge of `left` with its right neighbour, if there is one.
void BytePairMerges::propose(Scratch& scratch, std::int32_t left) const {
  Scratch::Symbol& symbol = scratch.symbols[at(left)];
  symbol.merged = -1;
  if (symbol.next < 0) return;
  const auto found = merges_.find(pair(symbol.token, scratch.symbols[at(symbol.next)].token));
  if (found == merges_.end()) return;
  symbol.rank = found->second.rank;
  symbol.merged = found->second.merged;
  scratch.heap.push_back(std::uint64_t{symbol.rank} << 32 | static_cast<std::uint32_t>(left));
  std::push_heap(scratch.heap.begin(), scratch.heap.end(), std::greater<>());
}

void BytePairMerges::encode(std::string_view word, const Vocabulary& vocabulary, Scratch& scratch,
                            std::vector<TokenId>& tokens) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  symbols.clear();
  heap.clear();
  const auto count = static_cast<std::int32_t>(word.size());
  for (std::int32_t i = 0; i < count; ++i) {
    const TokenId token = vocabulary.byte_token(static_cast<std::uint8_t>(word[at(i)]));
    symbols.push_back({.token = token, .previous = i - 1, .next = i + 1 < count ? i + 1 : -1});
  }
  for (std::int32_t i = 0; i < count; ++i) propose(scratch, i);
  while (!heap.empty()) {
    const std::uint64_t best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    const auto left = static_cast<std::int32_t>(best & 0xFFFFFFFFU);
    Scratch::Symbol& symbol = symbols[at(left)];
    // A rank names one pair: if it is still this symbol's, so is the merge.
    if (symbol.merged < 0 || symbol.rank != best >> 32) continue;
    Scratch::Symbol& right = symbols[at(symbol.next)];
    symbol.token = symbol.merged;
    symbol.next = right.next;
    right.merged = -1;
    if (symbol.next >= 0) symbols[at(symbol.next)].previous = left;
    if (symbol.previous >= 0) propose(scratch, symbol.previous);
    propose(scratch, left);
  }
  for (std::int32_t i = count > 0 ? 0 : -1; i >= 0; i = symbols[at(i)].next) {
    if (symbols[at(i)].token >= 0) tokens.push_back(symbols[at(i)].token);
  }
}

}  // namespace kvasir::engine
