#include "engine/step_costs.hpp"

#include <algorithm>

namespace kvasir::engine {
namespace {

constexpr double kNew = 0.05;         // weight of a new measurement
constexpr double kUsualSlope = 0.2;   // of a row more, to a step of one row
constexpr double kUsualWeight = 0.1;  // of the usual slope, in squared rows
constexpr double kOutlier = 2;        // times the estimate: somebody else had the processor

}  // namespace

void StepCosts::measured(int rows, double seconds) {
  if (seconds_ == 0) {
    rows_ = rows;
    seconds_ = seconds;
    return;
  }
  const double more_rows = rows - rows_;
  const double more_seconds = std::min(seconds, kOutlier * this->seconds(rows)) - seconds_;
  rows_ += kNew * more_rows;
  seconds_ += kNew * more_seconds;
  rows_variance_ = (1 - kNew) * (rows_variance_ + kNew * more_rows * more_rows);
  covariance_ = (1 - kNew) * (covariance_ + kNew * more_rows * more_seconds);
}

double StepCosts::seconds(int rows) const {
  if (seconds_ == 0) return 0;
  return seconds_ + slope() * (rows - rows_);
}

double StepCosts::slope() const {
  const double usual = kUsualSlope * seconds_ / (1 + kUsualSlope * (rows_ - 1));
  const double measured = (covariance_ + kUsualWeight * usual) / (rows_variance_ + kUsualWeight);
  return std::clamp(measured, 0.0, seconds_ / rows_);
}

}  // namespace kvasir::engine
