// The moments of Adam.
#ifndef TALLY_CLIENT_OPTIMIZERS_ADAM_STATE_H_
#define TALLY_CLIENT_OPTIMIZERS_ADAM_STATE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/optimizers/adam_factors.h"
#include "client/optimizers/adam_options.h"
#include "client/saved_state.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

// Replicated state: equal on all workers. Ranges of the flat vector are given by their first
// element and a span. Not thread-safe.
class AdamState {
 public:
  // `backend` must outlive the state; options.backend is not looked at.
  AdamState(const AdamOptions& options, bool amsgrad, uint64_t num_elements,
            const Backend* backend);

  // As AdamFactors.
  void BeginStep(bool moves_second_moment = true) { factors_.BeginStep(moves_second_moment); }
  void set_learning_rate(float learning_rate) { factors_.set_learning_rate(learning_rate); }
  const AdamFactors& factors() const { return factors_; }

  float beta1() const { return factors_.options().beta1; }
  float one_minus_beta1() const { return factors_.one_minus_beta1(); }
  float first_correction() const { return factors_.first_correction(); }
  float second_correction() const { return factors_.second_correction(); }

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
  // Of the one whose variance stays.
  MomentumArgs FixedArguments(uint64_t offset, float second_correction,
                              absl::Span<float> parameters);

  AdamFactors factors_;
  const Backend* backend_;
  std::vector<float> first_moment_;
  std::vector<float> second_moment_;
  std::vector<float> largest_moment_;  // empty without AMSGrad
  std::vector<float> gradient_;        // of one tile
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ADAM_STATE_H_
