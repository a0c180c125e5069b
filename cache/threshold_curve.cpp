#include "cache/threshold_curve.hpp"

#include <algorithm>
#include <cmath>
#include <ranges>

namespace kvasir::cache {
namespace {

constexpr double kNormal = 1.959963984540054;  // 97.5 % of a normal distribution lie below

}  // namespace

Share share(int hits, int of) {
  Share result{hits, of};
  if (of == 0) return result;
  const double n = of;
  const double p = hits / n;
  const double z2 = kNormal * kNormal;
  const double middle = p + z2 / (2 * n);
  const double spread = kNormal * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  result.low = hits == 0 ? 0.0 : (middle - spread) / (1 + z2 / n);
  result.high = hits == of ? 1.0 : (middle + spread) / (1 + z2 / n);
  return result;
}

CurvePoint judge_threshold(std::span<const JudgedPair> pairs, bool guarded, float threshold) {
  int hits[2] = {};
  int of[2] = {};
  for (const JudgedPair& pair : pairs) {
    const bool served = pair.cosine >= threshold && (!guarded || pair.admitted);
    ++of[pair.same ? 1 : 0];
    hits[pair.same ? 1 : 0] += served ? 1 : 0;
  }
  return {threshold, share(hits[1], of[1]), share(hits[0], of[0])};
}

std::optional<float> choose_threshold(std::span<const JudgedPair> pairs, bool guarded,
                                      std::span<const float> thresholds, double max_error_rate) {
  std::optional<float> chosen;
  int most = -1;
  for (const float threshold : thresholds | std::views::reverse) {
    const CurvePoint point = judge_threshold(pairs, guarded, threshold);
    if (point.false_hits.of == 0 || point.false_hits.high > max_error_rate) break;
    if (point.true_hits.hits <= most) continue;
    most = point.true_hits.hits;
    chosen = threshold;
  }
  return chosen;
}

// Wilson's upper end of 0 hits of n is z²/(n + z²).
int fewest_pairs(double max_error_rate) {
  const double z2 = kNormal * kNormal;
  return static_cast<int>(std::ceil(z2 / max_error_rate - z2));
}

}  // namespace kvasir::cache
