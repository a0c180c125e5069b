#include "engine/prediction.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace kvasir::engine {

Prediction::Prediction(std::vector<TokenId> tokens) : tokens_(std::move(tokens)) {
  if (tokens_.size() < kRun) return;
  runs_.resize(tokens_.size() - kRun + 1);
  std::iota(runs_.begin(), runs_.end(), 0);
  std::sort(runs_.begin(), runs_.end(), [this](std::int32_t a, std::int32_t b) {
    const auto order =
        std::lexicographical_compare_three_way(run_at(a).begin(), run_at(a).end(), run_at(b).begin(), run_at(b).end());
    return order != 0 ? order < 0 : a < b;
  });
}

std::optional<std::size_t> Prediction::find(std::span<const TokenId, kRun> run, std::size_t from) const {
  const auto first = std::partition_point(runs_.begin(), runs_.end(), [&](std::int32_t place) {
    return std::ranges::lexicographical_compare(run_at(place), run);
  });
  const auto last = std::partition_point(first, runs_.end(),
                                         [&](std::int32_t place) { return std::ranges::equal(run_at(place), run); });
  if (first == last) return std::nullopt;
  const auto ahead = std::lower_bound(first, last, static_cast<std::int32_t>(from));
  return static_cast<std::size_t>(ahead == last ? *first : *ahead) + kRun;
}

}  // namespace kvasir::engine
