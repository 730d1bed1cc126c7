// How far one tensor steps in LAMB, relative to the learning rate.
#ifndef TALLY_CLIENT_OPTIMIZERS_LAYER_RATE_H_
#define TALLY_CLIENT_OPTIMIZERS_LAYER_RATE_H_

#include <array>

#include "absl/status/status.h"

namespace tally {

// The defaults are those of DeepSpeed's 1-bit LAMB.
struct LayerRateOptions {
  // Bounds of LAMB's coefficient, the norm of the weights over that of the update.
  double min_coefficient = 0.01;  // positive
  double max_coefficient = 10.0;  // at least min_coefficient
  // Of the coefficient's moving mean, whose last value stays after the freeze.
  double coefficient_beta = 0.9;  // [0, 1)
  // Bounds of the factor that adapts the frozen coefficient, and of its change in one step, as a
  // share.
  double min_factor = 0.5;        // in (0, 1]
  double max_factor = 4.0;        // at least 1
  double factor_threshold = 0.1;  // in (0, 1)
};

// Returns INVALID_ARGUMENT, naming the field, if one is out of its range or not finite.
absl::Status ValidateLayerRateOptions(const LayerRateOptions& options);

// Replicated state of one tensor, in fp64 without libm, so that hosts agree. Not thread-safe.
class LayerRate {
 public:
  using State = std::array<double, 3>;

  explicit LayerRate(const LayerRateOptions& options) : options_(options) {}

  // LAMB's coefficient for a step: the first norm over the second, within bounds. It joins the
  // mean. 1 where a norm is 0 or no number, which says nothing, so the mean stays.
  double Coefficient(double weight_norm, double update_norm);

  // The coefficient's mean, each step with its weight; 1 before the first.
  double mean() const;

  // The coefficient of a step after the freeze: the mean, times a factor that follows the largest
  // ratio of the frozen denominator to a fresh one. Weight decay needs no such correction, so the
  // factor is `momentum_share` [0, 1] of the ratio and 1 for the rest; then its bounds hold, and
  // that it changes by at most the threshold.
  double FrozenCoefficient(double largest_ratio, double momentum_share);

  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  double& sum() { return state_[0]; }
  double& weight() { return state_[1]; }
  double& factor() { return state_[2]; }

  LayerRateOptions options_;
  State state_ = {0.0, 0.0, 1.0};
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_LAYER_RATE_H_
