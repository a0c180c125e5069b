// An answer that the caller expects, and where in it a run of tokens stands.
#pragma once

#include "engine/tokenizer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kvasir::engine {

// Immutable; any thread: the choices of a request share one.
class Prediction {
 public:
  static constexpr std::size_t kRun = 3;

  explicit Prediction(std::vector<TokenId> tokens);

  std::span<const TokenId> tokens() const { return tokens_; }
  // The place behind the first such run that begins at `from` or later; if there is none, behind the first of all. In
  // logarithmic time.
  std::optional<std::size_t> find(std::span<const TokenId, kRun> run, std::size_t from) const;

 private:
  std::span<const TokenId> run_at(std::int32_t place) const {
    return std::span(tokens_).subspan(static_cast<std::size_t>(place), kRun);
  }

  std::vector<TokenId> tokens_;
  std::vector<std::int32_t> runs_;  // where they begin, ordered by their tokens and then by place
};

}  // namespace kvasir::engine
