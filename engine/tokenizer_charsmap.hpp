// SentencePiece's compiled normalisation: what to write instead of which characters (NFKC, mostly).
// (XOR-compressed double array: Kanda, "Space- and Time-Efficient String Dictionaries", 2018; layout of Darts-clone)
#pragma once

#include "engine/error.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine {

// Immutable; any thread. Every index in the file is checked where it is used; one that leads outside matches nothing.
class Charsmap {
 public:
  // No rules.
  Charsmap() = default;
  // `bytes` of `tokenizer.ggml.precompiled_charsmap`. Error: bad_model_file; the message does not name the file.
  static Result<Charsmap> from(std::span<const std::int64_t> bytes);

  struct Rule {
    std::size_t bytes = 0;         // of the text that it is for
    std::string_view replacement;  // at most kMaxReplacement
  };
  static constexpr std::size_t kMaxReplacement = 64;  // the longest one of NFKC has 33 bytes
  static constexpr std::size_t kMaxText = 64;         // bytes that a rule may be for; NFKC's are a few characters
  // The rule for the longest beginning of `text`, of kMaxText bytes at most, that has one.
  std::optional<Rule> match(std::string_view text) const;

 private:
  std::vector<std::uint32_t> units_;
  std::string replacements_;  // each ends with a NUL
};

}  // namespace kvasir::engine
