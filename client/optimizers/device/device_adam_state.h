// The moments of Adam in a device's memory.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ADAM_STATE_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ADAM_STATE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/optimizers/adam_factors.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/device/device_array.h"
#include "client/saved_state.h"
#include "kernels/device/lane.h"

namespace tally {

// AdamState without AMSGrad, with the same bits and the same sections of a saved state. Spans of
// elements lie in the memory of the lane's device; methods enqueue on the lane, and those that give
// something back wait for it. They return RESOURCE_EXHAUSTED or UNAVAILABLE as the lane does; if
// Restore does, the state is not to be used. Not thread-safe.
class DeviceAdamState {
 public:
  // Moments as they are in the host's memory.
  struct Saved {
    AdamFactors factors;
    std::vector<float> first_moment;
    std::vector<float> second_moment;
  };

  // `lane` must outlive the state.
  static absl::StatusOr<DeviceAdamState> Create(const AdamOptions& options, uint64_t num_elements,
                                                Lane* lane);

  void BeginStep() { factors_.BeginStep(); }
  void set_learning_rate(float learning_rate) { factors_.set_learning_rate(learning_rate); }
  const AdamFactors& factors() const { return factors_; }

  absl::Span<float> first_moment(uint64_t offset, uint64_t num_elements) {
    return first_moment_.span().subspan(offset, num_elements);
  }
  absl::StatusOr<double> SumOfSecondMoment(uint64_t offset, uint64_t num_elements);
  absl::Span<const float> second_moment(uint64_t offset, uint64_t num_elements) const {
    return second_moment_.span().subspan(offset, num_elements);
  }

  // As AdamState.
  absl::Status Step(uint64_t offset, absl::Span<const float> gradient,
                    absl::Span<float> parameters);
  absl::Status StepWithFixedVariance(uint64_t offset, float second_correction,
                                     absl::Span<float> parameters);

  absl::Status Save(SavedStateWriter& writer) const;
  // Changes nothing.
  // Returns INVALID_ARGUMENT if the saved state has other sizes.
  absl::StatusOr<Saved> Read(const SavedState& saved) const;
  absl::Status Restore(const Saved& saved);

 private:
  DeviceAdamState(const AdamOptions& options, Lane* lane) : factors_(options), lane_(lane) {}

  AdamFactors factors_;
  Lane* lane_;
  DeviceArray<float> first_moment_;
  DeviceArray<float> second_moment_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ADAM_STATE_H_
