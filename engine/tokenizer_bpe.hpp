// Byte pair encoding: the symbols of a word are merged pair by pair, best rank first.
// (Sennrich et al., arXiv 1508.07909, section 3.2)
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"
#include "engine/tokenizer.hpp"
#include "engine/tokenizer_vocabulary.hpp"

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvasir::engine {

// Immutable; any thread.
class BytePairMerges {
 public:
  // Error: bad_model_file; the message does not name the file.
  static Result<BytePairMerges> from(const ModelFile& file, const Vocabulary& vocabulary);

  // Memory that `encode` uses from word to word.
  struct Scratch {
    struct Symbol {
      TokenId token = -1;
      std::int32_t previous = -1;  // -1: none
      std::int32_t next = -1;      // -1: none
      std::uint32_t rank = 0;      // of the merge with `next`
      TokenId merged = -1;         // what that merge makes; -1: there is no such merge
    };
    std::vector<Symbol> symbols;
    std::vector<std::uint64_t> heap;  // rank << 32 | index of the left symbol; the smallest in front
  };

  // Appends the tokens of one word, O(n log n) in its bytes (fewer than 2^31). A byte that the vocabulary
  // lacks is left out.
  void encode(std::string_view word, const Vocabulary& vocabulary, Scratch& scratch,
              std::vector<TokenId>& tokens) const;

 private:
  struct Merge {
    std::uint32_t rank;
    TokenId merged;
  };
  struct PairHash {
    std::size_t operator()(std::uint64_t pair) const { return pair * 0x9E3779B97F4A7C15ULL >> 20; }
  };

  BytePairMerges() = default;
  static std::uint64_t pair(TokenId left, TokenId right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  void propose(Scratch& scratch, std::int32_t left) const;

  std::unordered_map<std::uint64_t, Merge, PairHash> merges_;
};

}  // namespace kvasir::engine
