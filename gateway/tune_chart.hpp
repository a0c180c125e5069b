// The curves of `kvasir tune` as a picture.
#pragma once

#include "cache/threshold_curve.hpp"

#include <optional>
#include <string>
#include <vector>

namespace kvasir::gateway {

struct TuneCurve {
  std::string policy;
  std::vector<cache::CurvePoint> points;  // by ascending threshold
  std::optional<float> chosen;
};

// SVG 1.1: hits over thresholds, true and false, with their intervals as bands; the chosen threshold of each.
std::string draw_curves(const std::vector<TuneCurve>& curves);

}  // namespace kvasir::gateway
