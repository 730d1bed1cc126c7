#include "client/optimizers/device/device_adam_state.h"

#include <utility>

#include "base/status_macros.h"
#include "client/optimizers/device/device_input.h"
#include "client/optimizers/device/lane_use.h"
#include "kernels/backend.h"

namespace tally {

absl::StatusOr<DeviceAdamState> DeviceAdamState::Create(const AdamOptions& options,
                                                        uint64_t num_elements, Lane* lane) {
  DeviceAdamState state(options, lane);
  const LaneUse use(lane);
  for (DeviceArray<float>* const moment : {&state.first_moment_, &state.second_moment_}) {
    TALLY_ASSIGN_OR_RETURN(*moment, DeviceArray<float>::Create(&lane->device(), num_elements));
    TALLY_RETURN_IF_ERROR(Clear(lane->queue(), moment->span()));
  }
  TALLY_RETURN_IF_ERROR(lane->Finish());
  return state;
}

absl::StatusOr<double> DeviceAdamState::SumOfSecondMoment(uint64_t offset, uint64_t num_elements) {
  double sum = 0.0;
  const LaneUse use(lane_);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<double> out, lane_->Out(absl::MakeSpan(&sum, 1)));
  TALLY_RETURN_IF_ERROR(lane_->queue().SumOfMagnitudes(
      second_moment_.span().subspan(offset, num_elements), out.data()));
  TALLY_RETURN_IF_ERROR(lane_->Finish());
  return sum;
}

absl::Status DeviceAdamState::Step(uint64_t offset, absl::Span<const float> gradient,
                                   absl::Span<float> parameters) {
  AdamArgs arguments = factors_.Step();
  arguments.parameters = parameters;
  arguments.first_moment = first_moment(offset, parameters.size());
  arguments.second_moment = second_moment_.span().subspan(offset, parameters.size());
  arguments.gradient = gradient;
  return lane_->queue().AdamStep(arguments);
}

absl::Status DeviceAdamState::StepWithFixedVariance(uint64_t offset, float second_correction,
                                                    absl::Span<float> parameters) {
  MomentumArgs arguments = factors_.MomentumStep(second_correction);
  arguments.parameters = parameters;
  arguments.first_moment = first_moment(offset, parameters.size());
  arguments.second_moment = second_moment_.span().subspan(offset, parameters.size());
  return lane_->queue().MomentumStep(arguments);
}

absl::Status DeviceAdamState::Save(SavedStateWriter& writer) const {
  TALLY_ASSIGN_OR_RETURN(const std::vector<float> first,
                         FetchElements(first_moment_.span(), *lane_));
  TALLY_ASSIGN_OR_RETURN(const std::vector<float> second,
                         FetchElements(second_moment_.span(), *lane_));
  factors_.Save(writer);
  writer.AddValues<float>("first_moment", first);
  writer.AddValues<float>("second_moment", second);
  writer.AddValues<float>("largest_moment", {});
  return absl::OkStatus();
}

absl::StatusOr<DeviceAdamState::Saved> DeviceAdamState::Read(const SavedState& saved) const {
  Saved read = {.factors = factors_,
                .first_moment = std::vector<float>(first_moment_.span().size()),
                .second_moment = std::vector<float>(second_moment_.span().size())};
  TALLY_RETURN_IF_ERROR(read.factors.Load(saved));
  TALLY_RETURN_IF_ERROR(saved.Values("first_moment", absl::MakeSpan(read.first_moment)));
  TALLY_RETURN_IF_ERROR(saved.Values("second_moment", absl::MakeSpan(read.second_moment)));
  TALLY_RETURN_IF_ERROR(saved.Values("largest_moment", absl::Span<float>()));
  return read;
}

absl::Status DeviceAdamState::Restore(const Saved& saved) {
  const LaneUse use(lane_);
  TALLY_RETURN_IF_ERROR(
      CopyToDevice(lane_->queue(), absl::MakeConstSpan(saved.first_moment), first_moment_.span()));
  TALLY_RETURN_IF_ERROR(CopyToDevice(lane_->queue(), absl::MakeConstSpan(saved.second_moment),
                                     second_moment_.span()));
  TALLY_RETURN_IF_ERROR(lane_->Finish());
  factors_ = saved.factors;
  return absl::OkStatus();
}

}  // namespace tally
