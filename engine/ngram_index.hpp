// Where the last tokens of a text stood before.
#pragma once

#include "engine/tokenizer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvasir::engine {

// For each run of 2, 3 and 4 tokens, the latest place that something follows it: a hash table of places for each
// length, in which the tokens themselves are compared. A token is taken in and a text looked up in constant time.
class NgramIndex {
 public:
  static constexpr int kShortest = 2;
  static constexpr int kLongest = 4;

  struct Match {
    int next = 0;    // the place after the earlier run
    int length = 0;  // of the run; 0: none
  };

  // Takes in what is new: `tokens` begins with what it was in the last call.
  void extend(std::span<const TokenId> tokens);
  // The longest run at the end of `tokens`, those of the last extend(), that stood there before.
  Match find(std::span<const TokenId> tokens) const;

 private:
  // Open addressing; half of the slots at least are empty. A slot holds the place after a run, 0 if empty.
  struct Table {
    std::vector<std::int32_t> slots;
    std::size_t used = 0;
  };

  static std::size_t slot_of(const Table& table, std::span<const TokenId> tokens, int length, std::size_t next);
  static void insert(Table& table, std::span<const TokenId> tokens, int length, std::size_t next);
  static void grow(Table& table, std::span<const TokenId> tokens, int length);

  std::array<Table, kLongest - kShortest + 1> tables_;
  std::size_t taken_ = 1;  // places before this one are in
};

}  // namespace kvasir::engine
