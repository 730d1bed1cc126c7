// The moments of Adam and their bias corrections.
#ifndef TALLY_CLIENT_OPTIMIZERS_ADAM_STATE_H_
#define TALLY_CLIENT_OPTIMIZERS_ADAM_STATE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/optimizers/adam_options.h"
#include "client/saved_state.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

// Replicated state: equal on all workers. Powers of beta are products in fp64, one more factor a
// step; a correction is computed in fp64 and rounded to fp32 once: no libm, so hosts agree. Ranges
// of the flat vector are given by their first element and a span. Not thread-safe.
class AdamState {
 public:
  // `backend` must outlive the state; options.backend is not looked at.
  AdamState(const AdamOptions& options, bool amsgrad, uint64_t num_elements,
            const Backend* backend);

  // Once per step, before the rest: moves the powers of beta on; beta2's only if this step moves
  // the second moment.
  void BeginStep(bool moves_second_moment = true);

  void set_learning_rate(float learning_rate) { options_.learning_rate = learning_rate; }

  float beta1() const { return options_.beta1; }
  float one_minus_beta1() const { return 1.0f - options_.beta1; }
  // 1 / (1 - beta1^t) and 1 / (1 - beta2^t), or 1 without bias correction; t counts the steps that
  // moved the moment.
  float first_correction() const;
  float second_correction() const;
  // 1 - beta2^t, whatever the options say: what the mean of v is short of that of g^2.
  double second_weight() const { return 1.0 - second_power_; }

  absl::Span<float> first_moment(uint64_t offset, uint64_t num_elements) {
    return absl::MakeSpan(first_moment_).subspan(offset, num_elements);
  }
  absl::Span<const float> second_moment(uint64_t offset, uint64_t num_elements) const {
    return absl::MakeConstSpan(second_moment_).subspan(offset, num_elements);
  }

  // Moves both moments of a range; the parameters wait.
  absl::Status MoveMoments(uint64_t offset, absl::Span<const float> gradient);

  // values[i] = 0 where the second moment is 0: no gradient was ever seen there, so nothing says
  // how far such an element may step, and what signs tell of it is noise.
  void DropWithoutVariance(uint64_t offset, absl::Span<float> values) const;

  // Adam's step on a range: moves both moments and the parameters. `gradient` and `parameters` are
  // of the range alone.
  absl::Status Step(uint64_t offset, absl::Span<const float> gradient,
                    absl::Span<float> parameters);

  // The same with a gradient as it comes from a dense exchange: `payload`
  // [DensePayloadBytes(dtype, parameters.size())].
  absl::Status StepWithPayload(uint64_t offset, DType dtype, absl::Span<const uint8_t> payload,
                               absl::Span<float> parameters);

  // The same where the gradient is not known, but its moving average is: `momentum` becomes the
  // first moment. Successive momenta of noise g have squares of (1 - beta1) / (1 + beta1) g^2, so
  // that the second moment is fed with momentum^2 (1 + beta1) / (1 - beta1).
  absl::Status StepWithMomentum(uint64_t offset, absl::Span<const float> momentum,
                                absl::Span<float> parameters);

  // Writes sqrt(v c2) + epsilon of a range, by which Step divides; v is the largest one with
  // AMSGrad.
  void WriteRoot(uint64_t offset, absl::Span<float> out) const;

  // Adam's last line on a range whose first moment was set and whose second one stays, under a
  // correction of the caller's.
  absl::Status StepWithFixedVariance(uint64_t offset, float second_correction,
                                     absl::Span<float> parameters);

  // The same with a learning rate of the caller's.
  absl::Status StepWithFixedVariance(uint64_t offset, float second_correction, float learning_rate,
                                     absl::Span<float> parameters);

  // What such a step goes against, without the decay: out[i] = (m * first correction) / (sqrt(v *
  // second_correction) + epsilon).
  absl::Status Direction(uint64_t offset, float second_correction, absl::Span<float> out);

  void Save(SavedStateWriter& writer) const;
  // On error the state is not to be used.
  // Returns INVALID_ARGUMENT if the saved one has other sizes.
  absl::Status Load(const SavedState& saved);

 private:
  // Of Adam's step on a range.
  AdamArgs Arguments(uint64_t offset, absl::Span<const float> gradient,
                     absl::Span<float> parameters);

  AdamOptions options_;
  const Backend* backend_;
  std::vector<float> first_moment_;
  std::vector<float> second_moment_;
  std::vector<float> largest_moment_;  // empty without AMSGrad
  std::vector<float> gradient_;        // of one tile
  double first_power_ = 1.0;
  double second_power_ = 1.0;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ADAM_STATE_H_
