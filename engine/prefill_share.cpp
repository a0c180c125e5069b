#include "engine/prefill_share.hpp"

#include <algorithm>

namespace kvasir::engine {
namespace {

constexpr int kFirst = 16;       // before anything is known
constexpr int kFewest = 4;       // prompts go on, whatever it costs
constexpr double kNew = 0.3;     // weight of a new measurement
constexpr double kOutlier = 2;   // times the estimate: somebody else had the processor
constexpr double kLowest = 0.1;  // of the estimate: what decoding takes is an estimate, too

}  // namespace

int PrefillShare::tokens(double decode_seconds, int most) const {
  if (slowdown_ == 0) return most;
  if (each_ == 0 || decode_seconds == 0) return std::min(kFirst, most);
  const double allowed = (slowdown_ - 1) * decode_seconds / each_;
  return static_cast<int>(std::clamp<double>(allowed, std::min(kFewest, most), most));
}

void PrefillShare::measured(double decode_seconds, int tokens, double seconds) {
  const double each = (seconds - decode_seconds) / tokens;
  if (each_ == 0)
    each_ = std::max(0.0, each);
  else
    each_ += kNew * (std::clamp(each, kLowest * each_, kOutlier * each_) - each_);
}

}  // namespace kvasir::engine
