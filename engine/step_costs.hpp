// What a step takes, by the number of its rows.
#pragma once

namespace kvasir::engine {

// A line through the steps of late (exponentially weighted least squares): time = fixed + rows × slope. Steps of one
// size alone do not tell the slope; it then goes back to what is usual, so that a bad measurement is not believed for
// ever.
class StepCosts {
 public:
  void measured(int rows, double seconds);
  // An estimate; 0 before the first measurement.
  double seconds(int rows) const;

 private:
  double slope() const;

  double rows_ = 0;  // means
  double seconds_ = 0;
  double rows_variance_ = 0;
  double covariance_ = 0;
};

}  // namespace kvasir::engine
