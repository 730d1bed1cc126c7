// LAMB tensor by tensor, and the rate that a tensor keeps after the freeze of 1-bit LAMB.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_LAMB_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_LAMB_H_

#include <cstddef>
#include <vector>

#include "tests/reference/reference_adam.h"
#include "tests/reference/reference_model.h"

namespace tally {

struct ReferenceLambOptions {
  // Bounds of c, and how much of its mean stays in a round.
  double min_coefficient = 0.01;
  double max_coefficient = 10.0;
  double coefficient_beta = 0.9;
  // Bounds of f, and of its change in a round.
  double min_factor = 0.5;
  double max_factor = 4.0;
  double factor_threshold = 0.1;
};

class ReferenceLamb {
 public:
  // `model` must outlive this.
  ReferenceLamb(const ReferenceModel* model, const ReferenceAdamOptions& adam_options,
                const ReferenceLambOptions& options);

  // Before the rest of a round.
  void BeginStep();
  // The chunk's moments have their values for this round.
  void ChunkMoved(size_t chunk);
  // Whether all of a tensor's have.
  bool HasMoved(size_t tensor) const;

  // How often the bounds of c held, so far.
  size_t num_clamped_low() const { return num_clamped_low_; }
  size_t num_clamped_high() const { return num_clamped_high_; }

  // x = x - γ c u
  void Step(size_t tensor, float learning_rate, float weight_decay, std::vector<float>& x);
  // x = x - γ c̄ f u, where v has that correction, and r is `largest_ratio`.
  void FrozenStep(size_t tensor, float largest_ratio, float correction, float learning_rate,
                  float weight_decay, std::vector<float>& x);

  // The root of the mean of the squares of a tensor's elements; 0 if none lives.
  double RootMeanSquare(size_t tensor, const std::vector<float>& values) const;

  ReferenceAdam adam;

 private:
  struct Norms {
    double direction;  // of u without decay
    double update;     // of u
    double weights;
  };
  Norms NormsOf(size_t tensor, float correction, float weight_decay,
                const std::vector<float>& x) const;
  // Sum over the elements that live, in the documented order.
  double Squares(size_t tensor, const std::vector<float>& values) const;
  void Move(size_t tensor, double coefficient, float correction, float learning_rate,
            float weight_decay, std::vector<float>& x) const;

  const ReferenceModel& model_;
  const ReferenceLambOptions options_;
  std::vector<bool> moved_;  // by element
  // By tensor.
  std::vector<double> sums_;     // of c, the newest with the largest weight
  std::vector<double> weights_;  // of all that is in the sum
  std::vector<double> factors_;  // f
  size_t num_clamped_low_ = 0;
  size_t num_clamped_high_ = 0;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_LAMB_H_
