#include "client/optimizers/device/device_sketched_amsgrad.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/adam_factors.h"
#include "client/optimizers/device/dealt_elements.h"
#include "client/optimizers/device/device_array.h"
#include "client/optimizers/device/device_input.h"
#include "client/optimizers/device/device_sketch_feedback.h"
#include "client/optimizers/device/lane_use.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/sketched_sum.h"
#include "client/optimizers/sketched_update.h"
#include "client/optimizers/step_arguments.h"
#include "client/saved_state.h"
#include "client/state_scope.h"
#include "kernels/device/lane.h"

namespace tally {
namespace {

class DeviceSketchedAmsgrad final : public Optimizer {
 public:
  DeviceSketchedAmsgrad(Exchanger* exchanger, const SketchedAmsgradOptions& options,
                        std::unique_ptr<Lane> lane, DealtElements elements)
      : options_(options),
        exchanger_(*exchanger),
        lane_(std::move(lane)),
        parts_(exchanger, MethodOptionsOf(options)),
        factors_(options.adam),
        update_(options.adam.beta2),
        elements_(std::move(elements)),
        last_chosen_(layout().num_compressed()),
        host_gradients_(layout().chunks().size()) {}
  ~DeviceSketchedAmsgrad() override { lane_->Abandon(); }

  // After the constructor, once. Returns RESOURCE_EXHAUSTED or UNAVAILABLE as the lane does.
  absl::Status Allocate();

  // The state of the host's optimizer.
  absl::string_view name() const override { return "sketched_amsgrad"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override;

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    factors_.set_learning_rate(learning_rate);
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override {
    const ScopedFloatEnvironment float_environment;
    OptimizerStatistics statistics = parts_.Statistics();
    statistics.compressing = !warming_up();
    statistics.residual_norm = feedback_->Norm().value_or(0.0);
    return statistics;
  }

  absl::Status Follow(absl::Span<float> parameters) override {
    const InputGuard::Following following(&parts_.guard());
    // Nothing that is not accepted is read.
    return Step(parameters, parameters);
  }

  std::vector<float> Residual() const override {
    const ScopedFloatEnvironment float_environment;
    absl::StatusOr<std::vector<float>> residual = feedback_->Residual();
    return residual.ok() ? *std::move(residual) : std::vector<float>();
  }

  absl::Status Inherit(uint64_t offset, absl::Span<const float> x) override {
    const ScopedFloatEnvironment float_environment;
    return feedback_->Add(offset, x);
  }

  std::string Save(StateScope scope) const override;
  absl::Status LoadState(absl::string_view bytes) override;

 private:
  struct SavedMoments {
    std::vector<float> first;
    std::vector<float> second;
    std::vector<float> largest;
    std::vector<float> sum;
  };

  const Layout& layout() const { return parts_.layout(); }
  bool warming_up() const { return parts_.steps() < options_.warmup_rounds; }
  DeviceSketchFeedback::Weights weights() const {
    return {.second_moment = largest_moment_.span(),
            .second_correction = factors_.second_correction(),
            .epsilon = factors_.options().epsilon};
  }

  absl::Status Play(absl::Span<float> parameters, absl::Span<const float> gradients);
  // A chunk's gradients, of a group side by side; valid until the next call.
  absl::StatusOr<absl::Span<const float>> GradientOf(uint32_t chunk,
                                                     absl::Span<const float> gradients);
  absl::StatusOr<ChunkContribution> EncodeDense(uint32_t chunk, absl::Span<const float> gradients);
  absl::StatusOr<ChunkContribution> EncodeSketch(uint32_t group, absl::Span<const float> gradients);
  absl::Status ApplyDense(const ChunkResult& result, Fate fate, absl::Span<float> parameters);
  absl::Status Move(const std::vector<DeviceSketchFeedback::Chosen>& update,
                    absl::Span<float> parameters);
  absl::Status Upload(const SavedMoments& saved);

  const SketchedAmsgradOptions options_;
  Exchanger& exchanger_;
  const std::unique_ptr<Lane> lane_;
  MethodParts parts_;
  absl::Status failure_;
  AdamFactors factors_;
  const SketchedUpdate update_;
  DealtElements elements_;
  std::unique_ptr<DeviceSketchFeedback> feedback_;
  // Grouped vectors [num_elements].
  DeviceArray<float> first_moment_;
  DeviceArray<float> second_moment_;
  DeviceArray<float> largest_moment_;
  // Of one group: its gradients, or its parameters in the warm-up.
  DeviceArray<float> group_;
  // On the host, in the order of the flat vector: the step, counted from 1, at which an element was
  // chosen last. Replicated, as are all but the first moments.
  std::vector<uint64_t> last_chosen_;
  // By chunk, what was sent of it uncompressed in the round under way.
  std::vector<std::vector<float>> host_gradients_;
};

absl::Status DeviceSketchedAmsgrad::Allocate() {
  Device* const device = &lane_->device();
  const LaneUse use(lane_.get());
  for (DeviceArray<float>* const moment : {&first_moment_, &second_moment_, &largest_moment_}) {
    TALLY_ASSIGN_OR_RETURN(*moment, DeviceArray<float>::Create(device, layout().num_elements()));
    TALLY_RETURN_IF_ERROR(Clear(lane_->queue(), moment->span()));
  }
  TALLY_ASSIGN_OR_RETURN(group_, DeviceArray<float>::Create(device, elements_.largest_group()));
  TALLY_RETURN_IF_ERROR(lane_->Finish());
  TALLY_ASSIGN_OR_RETURN(
      feedback_, DeviceSketchFeedback::Create(&layout(), options_.sketch, exchanger_.run_seed(),
                                              &parts_.backend(), &elements_, lane_.get()));
  return absl::OkStatus();
}

absl::Status DeviceSketchedAmsgrad::Step(absl::Span<float> parameters,
                                         absl::Span<const float> gradients) {
  TALLY_RETURN_IF_ERROR(CheckStepArguments(layout(), parameters, gradients));
  TALLY_RETURN_IF_ERROR(failure_);
  const ScopedFloatEnvironment float_environment;
  failure_ = Play(parameters, gradients);
  if (!failure_.ok()) lane_->Abandon();
  return failure_;
}

absl::Status DeviceSketchedAmsgrad::Play(absl::Span<float> parameters,
                                         absl::Span<const float> gradients) {
  factors_.BeginStep();
  const bool dense_round = warming_up();
  TALLY_RETURN_IF_ERROR(feedback_->StartRound(exchanger_.next_round()));
  const auto is_dense = [&](uint32_t chunk) {
    return dense_round || layout().chunks()[chunk].dense;
  };
  const auto encode = [&](uint32_t chunk) {
    return is_dense(chunk) ? EncodeDense(chunk, gradients) : EncodeSketch(chunk, gradients);
  };
  const auto answer = [&](const ChunkResult& result, Fate fate) {
    return feedback_->Answer(result, fate);
  };
  const auto apply = [&](const ChunkResult& result, Fate fate) {
    return is_dense(result.chunk) ? ApplyDense(result, fate, parameters)
                                  : feedback_->Take(result, fate);
  };
  TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, answer, apply));
  TALLY_RETURN_IF_ERROR(lane_->Finish());
  if (dense_round) {
    parts_.CountStep();
    std::fill(last_chosen_.begin(), last_chosen_.end(), parts_.steps());
    for (uint32_t group = 0; group < elements_.num_groups() && !warming_up(); ++group) {
      host_gradients_[group] = {};
    }
    return absl::OkStatus();
  }
  TALLY_ASSIGN_OR_RETURN(const std::vector<DeviceSketchFeedback::Chosen> update,
                         feedback_->ChooseUpdate(weights()));
  parts_.CountStep();
  return Move(update, parameters);
}

absl::StatusOr<absl::Span<const float>> DeviceSketchedAmsgrad::GradientOf(
    uint32_t chunk, absl::Span<const float> gradients) {
  if (!layout().chunks()[chunk].dealt) return ChunkOf(gradients, layout(), chunk);
  const absl::Span<float> gradient = group_.span().first(layout().chunks()[chunk].num_elements);
  TALLY_RETURN_IF_ERROR(elements_.Gather(gradients, chunk, gradient));
  return gradient;
}

absl::StatusOr<ChunkContribution> DeviceSketchedAmsgrad::EncodeDense(
    uint32_t chunk, absl::Span<const float> gradients) {
  std::vector<float>& gradient = host_gradients_[chunk];
  gradient.resize(layout().chunks()[chunk].num_elements);
  if (!parts_.guard().follows()) {
    TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> own, GradientOf(chunk, gradients));
    TALLY_ASSIGN_OR_RETURN(gradient, FetchElements(own, *lane_));
  }
  return parts_.EncodeDense(chunk, gradient);
}

absl::StatusOr<ChunkContribution> DeviceSketchedAmsgrad::EncodeSketch(
    uint32_t group, absl::Span<const float> gradients) {
  if (parts_.guard().follows()) return feedback_->Abstain(group);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> gradient, GradientOf(group, gradients));
  TALLY_ASSIGN_OR_RETURN(const bool takes_part,
                         IsAccepted(group, gradient, parts_.guard(), *lane_));
  if (!takes_part) return feedback_->Abstain(group);
  const absl::Span<float> moment = elements_.In(first_moment_.span(), group);
  const AdamOptions& adam = factors_.options();
  TALLY_RETURN_IF_ERROR(
      lane_->queue().Blend(adam.beta1, moment, factors_.one_minus_beta1(), gradient, moment));
  return feedback_->Encode(group, adam.learning_rate * factors_.first_correction(), moment,
                           weights());
}

absl::Status DeviceSketchedAmsgrad::ApplyDense(const ChunkResult& result, Fate fate,
                                               absl::Span<float> parameters) {
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> host_mean,
                         parts_.TakeDense(result, fate, host_gradients_[result.chunk]));
  if (host_mean.empty()) return absl::OkStatus();
  const bool dealt = layout().chunks()[result.chunk].dealt;
  const LaneUse use(lane_.get());
  AdamArgs args = factors_.Step();
  TALLY_ASSIGN_OR_RETURN(args.gradient, lane_->In(host_mean));
  args.parameters =
      dealt ? group_.span().first(host_mean.size()) : ChunkOf(parameters, layout(), result.chunk);
  args.first_moment = elements_.In(first_moment_.span(), result.chunk);
  args.second_moment = elements_.In(second_moment_.span(), result.chunk);
  args.largest_moment = elements_.In(largest_moment_.span(), result.chunk);
  if (dealt) {
    TALLY_RETURN_IF_ERROR(elements_.Gather(parameters, result.chunk, args.parameters));
  }
  TALLY_RETURN_IF_ERROR(lane_->queue().AdamStep(args));
  if (dealt) {
    TALLY_RETURN_IF_ERROR(elements_.Scatter(args.parameters, result.chunk, parameters));
  }
  return lane_->Finish();
}

absl::Status DeviceSketchedAmsgrad::Move(const std::vector<DeviceSketchFeedback::Chosen>& update,
                                         absl::Span<float> parameters) {
  std::map<uint32_t, std::vector<const DeviceSketchFeedback::Chosen*>> groups;
  for (const DeviceSketchFeedback::Chosen& chosen : update) {
    groups[chosen.group].push_back(&chosen);
  }
  for (const auto& [group, chosen] : groups) {
    std::vector<uint32_t> elements;
    std::vector<uint32_t> indices;
    for (const DeviceSketchFeedback::Chosen* const one : chosen) {
      elements.push_back(one->element);
      indices.push_back(static_cast<uint32_t>(one->index));
    }
    const absl::Span<float> second_moment = elements_.In(second_moment_.span(), group);
    const absl::Span<float> largest_moment = elements_.In(largest_moment_.span(), group);
    std::vector<float> x(chosen.size());
    std::vector<float> second(chosen.size());
    std::vector<float> largest(chosen.size());
    TALLY_RETURN_IF_ERROR(FetchAt(parameters, indices, absl::MakeSpan(x), *lane_));
    TALLY_RETURN_IF_ERROR(FetchAt(second_moment, elements, absl::MakeSpan(second), *lane_));
    TALLY_RETURN_IF_ERROR(FetchAt(largest_moment, elements, absl::MakeSpan(largest), *lane_));
    for (size_t k = 0; k < chosen.size(); ++k) {
      const uint64_t age =
          parts_.steps() - std::exchange(last_chosen_[chosen[k]->index], parts_.steps());
      SketchedElement element = {x[k], second[k], largest[k]};
      update_.Move(factors_, chosen[k]->value, age, element);
      x[k] = element.parameter;
      second[k] = element.second_moment;
      largest[k] = element.largest_moment;
    }
    TALLY_RETURN_IF_ERROR(StoreAt(x, indices, parameters, *lane_));
    TALLY_RETURN_IF_ERROR(StoreAt(second, elements, second_moment, *lane_));
    TALLY_RETURN_IF_ERROR(StoreAt(largest, elements, largest_moment, *lane_));
  }
  return absl::OkStatus();
}

std::string DeviceSketchedAmsgrad::Save(StateScope scope) const {
  if (!failure_.ok()) return "";
  SavedStateWriter writer = parts_.BeginSave(name(), scope);
  factors_.Save(writer);
  const std::pair<absl::string_view, absl::Span<const float>> moments[] = {
      {"first_moment", first_moment_.span()},
      {"second_moment", second_moment_.span()},
      {"largest_moment", largest_moment_.span()}};
  for (const auto& [section, moment] : moments) {
    const absl::StatusOr<std::vector<float>> grouped = FetchElements(moment, *lane_);
    if (!grouped.ok()) return "";
    writer.AddValues<float>(section, elements_.Flat(*grouped));
  }
  writer.AddValues<uint64_t>("last_chosen", last_chosen_);
  if (!feedback_->Save(writer).ok()) return "";
  return std::move(writer).Finish();
}

absl::Status DeviceSketchedAmsgrad::LoadState(absl::string_view bytes) {
  TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
  TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), layout()));
  AdamFactors factors = factors_;
  SavedMoments moments = {.first = std::vector<float>(layout().num_elements()),
                          .second = std::vector<float>(layout().num_elements()),
                          .largest = std::vector<float>(layout().num_elements())};
  std::vector<uint64_t> last_chosen(last_chosen_.size());
  TALLY_RETURN_IF_ERROR(factors.Load(saved));
  TALLY_RETURN_IF_ERROR(saved.Values("first_moment", absl::MakeSpan(moments.first)));
  TALLY_RETURN_IF_ERROR(saved.Values("second_moment", absl::MakeSpan(moments.second)));
  TALLY_RETURN_IF_ERROR(saved.Values("largest_moment", absl::MakeSpan(moments.largest)));
  TALLY_RETURN_IF_ERROR(saved.Values("last_chosen", absl::MakeSpan(last_chosen)));
  TALLY_ASSIGN_OR_RETURN(moments.sum, LoadSketchedSum(saved, layout()));
  TALLY_RETURN_IF_ERROR(parts_.Load(saved));
  factors_ = factors;
  last_chosen_ = std::move(last_chosen);
  // Only the device can fail now, and then it has failed for good.
  failure_.Update(Upload(moments));
  return failure_;
}

absl::Status DeviceSketchedAmsgrad::Upload(const SavedMoments& saved) {
  TALLY_RETURN_IF_ERROR(feedback_->Restore(saved.sum));
  const std::vector<float> first = elements_.Grouped(saved.first);
  const std::vector<float> second = elements_.Grouped(saved.second);
  const std::vector<float> largest = elements_.Grouped(saved.largest);
  const LaneUse use(lane_.get());
  DeviceQueue& queue = lane_->queue();
  TALLY_RETURN_IF_ERROR(CopyToDevice(queue, absl::MakeConstSpan(first), first_moment_.span()));
  TALLY_RETURN_IF_ERROR(CopyToDevice(queue, absl::MakeConstSpan(second), second_moment_.span()));
  TALLY_RETURN_IF_ERROR(CopyToDevice(queue, absl::MakeConstSpan(largest), largest_moment_.span()));
  return lane_->Finish();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateDeviceSketchedAmsgrad(
    Exchanger* exchanger, const SketchedAmsgradOptions& options, Device* device) {
  TALLY_RETURN_IF_ERROR(ValidateSketchedAmsgradOptions(options, exchanger->layout()));
  TALLY_ASSIGN_OR_RETURN(std::unique_ptr<Lane> lane, Lane::Create(device));
  TALLY_ASSIGN_OR_RETURN(DealtElements elements,
                         DealtElements::Create(&exchanger->layout(), lane.get()));
  auto optimizer = std::make_unique<DeviceSketchedAmsgrad>(exchanger, options, std::move(lane),
                                                           std::move(elements));
  TALLY_RETURN_IF_ERROR(optimizer->Allocate());
  return optimizer;
}

}  // namespace tally
