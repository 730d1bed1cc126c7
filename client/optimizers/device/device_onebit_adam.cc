#include "client/optimizers/device/device_onebit_adam.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/buffer.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/dense_carry.h"
#include "client/optimizers/device/device_adam_state.h"
#include "client/optimizers/device/device_array.h"
#include "client/optimizers/device/device_input.h"
#include "client/optimizers/device/device_sign_rounds.h"
#include "client/optimizers/device/lane_use.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/saved_feedback.h"
#include "client/optimizers/step_arguments.h"
#include "client/optimizers/variance_freeze.h"
#include "client/saved_state.h"
#include "client/state_scope.h"
#include "codecs/layout.h"
#include "kernels/device/lane.h"
#include "kernels/sign_block.h"

namespace tally {
namespace {

class DeviceOneBitAdam final : public Optimizer {
 public:
  DeviceOneBitAdam(Exchanger* exchanger, const OneBitAdamOptions& options,
                   std::unique_ptr<Lane> lane, DeviceAdamState state)
      : options_(options),
        layout_(exchanger->layout()),
        lane_(std::move(lane)),
        driver_(exchanger),
        guard_(options.adam.non_finite, &layout_, &BackendOf(options.adam)),
        state_(std::move(state)),
        freeze_(FreezeOptionsOf(options)),
        carry_(&layout_, options.dense_dtype, &guard_, &BackendOf(options.adam)),
        host_gradients_(layout_.chunks().size()) {}
  ~DeviceOneBitAdam() override { lane_->Abandon(); }

  // The state of the host's optimizer.
  absl::string_view name() const override { return "onebit_adam"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override;

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    options_.adam.learning_rate = learning_rate;
    state_.set_learning_rate(learning_rate);
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override {
    const ScopedFloatEnvironment float_environment;
    OptimizerStatistics statistics = {.steps = steps_,
                                      .abstained_chunks = guard_.abstained_chunks(),
                                      .compressing = signs_ != nullptr};
    if (signs_ != nullptr) statistics.residual_norm = signs_->Norm().value_or(0.0);
    return statistics;
  }

  absl::Status Follow(absl::Span<float> parameters) override {
    const InputGuard::Following following(&guard_);
    // Nothing that is not accepted is read.
    return Step(parameters, parameters);
  }

  std::vector<float> Residual() const override {
    const ScopedFloatEnvironment float_environment;
    if (signs_ == nullptr) return {};
    absl::StatusOr<std::vector<float>> residual = signs_->Residual();
    return residual.ok() ? *std::move(residual) : std::vector<float>();
  }

  absl::StatusOr<bool> TurnIntoSharedPart(uint64_t offset, absl::Span<float> mean) const override {
    if (mean.empty()) return true;
    TALLY_ASSIGN_OR_RETURN(const std::vector<float> variance,
                           FetchElements(state_.second_moment(offset, mean.size()), *lane_));
    for (size_t i = 0; i < mean.size(); ++i) {
      mean[i] = variance[i] > 0.0f ? options_.adam.beta1 * mean[i] : 0.0f;
    }
    return true;
  }

  absl::Status Inherit(uint64_t offset, absl::Span<const float> x) override {
    const ScopedFloatEnvironment float_environment;
    return signs_ == nullptr ? NoResidualError() : Join(offset, 1.0f, x);
  }

  std::string Save(StateScope scope) const override;
  absl::Status LoadState(absl::string_view bytes) override;

 private:
  absl::Status Play(absl::Span<float> parameters, absl::Span<const float> gradients);
  bool IsCompressed(uint32_t chunk) const {
    return signs_ != nullptr && !layout_.chunks()[chunk].dense;
  }
  absl::StatusOr<std::unique_ptr<DeviceSignRounds>> NewSigns() const {
    return DeviceSignRounds::Create(SignExchangeOf(options_), &layout_, &BackendOf(options_.adam),
                                    lane_.get());
  }

  absl::StatusOr<ChunkContribution> EncodeDense(uint32_t chunk, absl::Span<const float> gradients);
  absl::Status EncodeSigns(absl::Span<const float> gradients);
  absl::Status ApplyDense(const ChunkResult& result, Fate fate, absl::Span<float> parameters);
  absl::Status ApplySigns(const ChunkResult& result, Fate fate, absl::Span<float> parameters);

  absl::StatusOr<bool> FreezeIsDue();
  absl::Status Freeze();
  // Where results may move anything, by compressed chunk: a bitmap, or empty for everywhere. Not
  // where no gradient was seen before the freeze; `variance_of` gives a chunk's second moment.
  absl::StatusOr<std::vector<DeviceArray<uint8_t>>> NewMovable(
      absl::FunctionRef<absl::StatusOr<std::vector<float>>(const Layout::Chunk& chunk)> variance_of)
      const;
  // Adds values of the host to the residual.
  absl::Status Join(uint64_t offset, float factor, absl::Span<const float> x);

  OneBitAdamOptions options_;
  const Layout& layout_;
  const std::unique_ptr<Lane> lane_;
  RoundDriver driver_;
  InputGuard guard_;
  DeviceAdamState state_;
  VarianceFreeze freeze_;
  DenseCarry carry_;
  absl::Status failure_;
  uint64_t steps_ = 0;
  // By chunk: what was sent of it uncompressed in the last round.
  std::vector<std::vector<float>> host_gradients_;
  // Since the freeze.
  std::unique_ptr<DeviceSignRounds> signs_;
  float frozen_correction_ = 1.0f;
  std::vector<DeviceArray<uint8_t>> movable_;
  // Of the round under way, by compressed chunk.
  std::vector<absl::optional<Buffer>> payloads_;
};

absl::Status DeviceOneBitAdam::Step(absl::Span<float> parameters,
                                    absl::Span<const float> gradients) {
  TALLY_RETURN_IF_ERROR(CheckStepArguments(layout_, parameters, gradients));
  TALLY_RETURN_IF_ERROR(failure_);
  const ScopedFloatEnvironment float_environment;
  failure_ = Play(parameters, gradients);
  if (!failure_.ok()) lane_->Abandon();
  return failure_;
}

absl::Status DeviceOneBitAdam::Play(absl::Span<float> parameters,
                                    absl::Span<const float> gradients) {
  state_.BeginStep();
  payloads_.clear();
  const auto encode = [&](uint32_t chunk) -> absl::StatusOr<ChunkContribution> {
    if (!IsCompressed(chunk)) return EncodeDense(chunk, gradients);
    if (payloads_.empty()) TALLY_RETURN_IF_ERROR(EncodeSigns(gradients));
    return ChunkContribution{SignExchangeOf(options_), std::move(payloads_[chunk])};
  };
  const auto apply = [&](const ChunkResult& result, Fate fate) {
    return IsCompressed(result.chunk) ? ApplySigns(result, fate, parameters)
                                      : ApplyDense(result, fate, parameters);
  };
  TALLY_RETURN_IF_ERROR(driver_.Run(encode, apply));
  TALLY_RETURN_IF_ERROR(lane_->Finish());
  ++steps_;
  if (signs_ != nullptr) return absl::OkStatus();
  TALLY_ASSIGN_OR_RETURN(const bool freezes, FreezeIsDue());
  return freezes ? Freeze() : absl::OkStatus();
}

absl::StatusOr<ChunkContribution> DeviceOneBitAdam::EncodeDense(uint32_t chunk,
                                                                absl::Span<const float> gradients) {
  std::vector<float>& gradient = host_gradients_[chunk];
  gradient.resize(layout_.chunks()[chunk].num_elements);
  if (!guard_.follows()) {
    TALLY_ASSIGN_OR_RETURN(gradient, FetchElements(ChunkOf(gradients, layout_, chunk), *lane_));
  }
  TALLY_ASSIGN_OR_RETURN(absl::optional<Buffer> payload, carry_.Encode(chunk, gradient));
  return ChunkContribution{DenseExchangeOf(options_), std::move(payload)};
}

absl::Status DeviceOneBitAdam::EncodeSigns(absl::Span<const float> gradients) {
  TALLY_ASSIGN_OR_RETURN(const std::vector<bool> takes_part,
                         AcceptedChunks(gradients, layout_, guard_, *lane_));
  TALLY_ASSIGN_OR_RETURN(
      payloads_, signs_->Encode(takes_part, [&](uint32_t chunk, absl::Span<float> out) {
        return lane_->queue().Blend(
            options_.adam.beta1, state_.first_moment(layout_.chunks()[chunk].offset, out.size()),
            state_.factors().one_minus_beta1(), ChunkOf(gradients, layout_, chunk), out);
      }));
  return absl::OkStatus();
}

absl::Status DeviceOneBitAdam::ApplyDense(const ChunkResult& result, Fate fate,
                                          absl::Span<float> parameters) {
  TALLY_RETURN_IF_ERROR(carry_.Settle(result.chunk, fate, host_gradients_[result.chunk]));
  if (!result.exchange.has_value()) return absl::OkStatus();
  const Layout::Chunk& chunk = layout_.chunks()[result.chunk];
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> payload,
                         lane_->In(result.payload->bytes()));
  TALLY_ASSIGN_OR_RETURN(const absl::Span<float> mean, lane_->Scratch<float>(chunk.num_elements));
  TALLY_RETURN_IF_ERROR(lane_->queue().Convert(
      options_.dense_dtype, payload, DType::kFloat32,
      {reinterpret_cast<uint8_t*>(mean.data()), mean.size() * sizeof(float)}));
  TALLY_RETURN_IF_ERROR(
      state_.Step(chunk.offset, mean, ChunkOf(parameters, layout_, result.chunk)));
  // Or a warm-up round would take twice the memory of all parameters.
  return lane_->Finish();
}

absl::Status DeviceOneBitAdam::ApplySigns(const ChunkResult& result, Fate fate,
                                          absl::Span<float> parameters) {
  const Layout::Chunk& chunk = layout_.chunks()[result.chunk];
  const absl::Span<float> moment = state_.first_moment(chunk.offset, chunk.num_elements);
  signs_->Settle(result.chunk, fate);
  // As in OneBitAdam: the others' mean carries the shared momentum already.
  if (fate == Fate::kMissed) {
    TALLY_RETURN_IF_ERROR(signs_->Add(chunk.offset, -options_.adam.beta1, moment));
  }
  if (!result.exchange.has_value()) return absl::OkStatus();
  TALLY_RETURN_IF_ERROR(signs_->Decode(result, movable_[result.chunk].span(), moment));
  return state_.StepWithFixedVariance(chunk.offset, frozen_correction_,
                                      ChunkOf(parameters, layout_, result.chunk));
}

absl::StatusOr<bool> DeviceOneBitAdam::FreezeIsDue() {
  return freeze_.IsDue(steps_, state_.factors(), layout_, [&](const Layout::Chunk& chunk) {
    return state_.SumOfSecondMoment(chunk.offset, chunk.num_elements);
  });
}

absl::Status DeviceOneBitAdam::Freeze() {
  TALLY_ASSIGN_OR_RETURN(signs_, NewSigns());
  frozen_correction_ = state_.factors().second_correction();
  TALLY_ASSIGN_OR_RETURN(movable_, NewMovable([this](const Layout::Chunk& chunk) {
                           return FetchElements(
                               state_.second_moment(chunk.offset, chunk.num_elements), *lane_);
                         }));
  for (uint32_t c = 0; c < movable_.size(); ++c) {
    host_gradients_[c] = {};
    // It would have entered the momentum with this factor.
    if (!carry_.carried(c).empty()) {
      TALLY_RETURN_IF_ERROR(
          Join(layout_.chunks()[c].offset, state_.factors().one_minus_beta1(), carry_.carried(c)));
    }
    carry_.Drop(c);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DeviceArray<uint8_t>>> DeviceOneBitAdam::NewMovable(
    absl::FunctionRef<absl::StatusOr<std::vector<float>>(const Layout::Chunk& chunk)> variance_of)
    const {
  std::vector<DeviceArray<uint8_t>> maps;
  for (uint32_t c = 0; c < layout_.chunks().size() && !layout_.chunks()[c].dense; ++c) {
    const Layout::Chunk& chunk = layout_.chunks()[c];
    TALLY_ASSIGN_OR_RETURN(const std::vector<float> variance, variance_of(chunk));
    std::vector<uint8_t> bitmap(BitmapBytes(chunk.num_elements));
    size_t num_movable = 0;
    for (size_t i = 0; i < variance.size(); ++i) {
      const bool lives = layout_.live(c).empty() || ((layout_.live(c)[i / 8] >> (i % 8)) & 1) != 0;
      if (!lives || !(variance[i] > 0.0f)) continue;
      bitmap[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
      ++num_movable;
    }
    DeviceArray<uint8_t>& map = maps.emplace_back();
    if (num_movable == chunk.num_elements) continue;
    TALLY_ASSIGN_OR_RETURN(map, DeviceArray<uint8_t>::Create(&lane_->device(), bitmap.size()));
    const LaneUse use(lane_.get());
    TALLY_RETURN_IF_ERROR(CopyToDevice(lane_->queue(), absl::MakeConstSpan(bitmap), map.span()));
    TALLY_RETURN_IF_ERROR(lane_->Finish());
  }
  return maps;
}

absl::Status DeviceOneBitAdam::Join(uint64_t offset, float factor, absl::Span<const float> x) {
  const LaneUse use(lane_.get());
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> values, lane_->In(x));
  TALLY_RETURN_IF_ERROR(signs_->Add(offset, factor, values));
  return lane_->Finish();
}

std::string DeviceOneBitAdam::Save(StateScope scope) const {
  if (!failure_.ok()) return "";
  SavedStateWriter writer(name(), layout_, steps_, scope);
  if (!state_.Save(writer).ok()) return "";
  carry_.Save(writer);
  freeze_.Save(writer);
  if (signs_ != nullptr) {
    writer.AddValues<float>("frozen_correction", {&frozen_correction_, 1});
    if (!signs_->Save(writer).ok()) return "";
  }
  return std::move(writer).Finish();
}

absl::Status DeviceOneBitAdam::LoadState(absl::string_view bytes) {
  const ScopedFloatEnvironment float_environment;
  TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
  TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), layout_));
  TALLY_ASSIGN_OR_RETURN(const DeviceAdamState::Saved state, state_.Read(saved));
  VarianceFreeze freeze = freeze_;
  TALLY_RETURN_IF_ERROR(freeze.Load(saved));
  std::unique_ptr<DeviceSignRounds> signs;
  std::vector<DeviceArray<uint8_t>> movable;
  float frozen_correction = 1.0f;
  if (saved.Has("frozen_correction")) {
    TALLY_RETURN_IF_ERROR(saved.Values("frozen_correction", absl::MakeSpan(&frozen_correction, 1)));
    TALLY_ASSIGN_OR_RETURN(signs, NewSigns());
    std::vector<float> sum(layout_.num_compressed());
    TALLY_ASSIGN_OR_RETURN(const SavedFeedback feedback,
                           LoadFeedback(saved, layout_, signs->segments(), absl::MakeSpan(sum)));
    TALLY_RETURN_IF_ERROR(signs->Restore(feedback));
    const auto variance_of = [&](const Layout::Chunk& chunk) -> absl::StatusOr<std::vector<float>> {
      const auto begin = state.second_moment.begin() + static_cast<std::ptrdiff_t>(chunk.offset);
      return std::vector<float>(begin, begin + chunk.num_elements);
    };
    TALLY_ASSIGN_OR_RETURN(movable, NewMovable(variance_of));
  }
  TALLY_RETURN_IF_ERROR(carry_.Load(saved));
  // Only the device can fail now, and then it has failed for good.
  failure_.Update(state_.Restore(state));
  TALLY_RETURN_IF_ERROR(failure_);
  freeze_ = freeze;
  signs_ = std::move(signs);
  movable_ = std::move(movable);
  frozen_correction_ = frozen_correction;
  steps_ = saved.steps();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateDeviceOneBitAdam(Exchanger* exchanger,
                                                                  const OneBitAdamOptions& options,
                                                                  Device* device) {
  TALLY_RETURN_IF_ERROR(ValidateOneBitOptions(options, exchanger->layout()));
  TALLY_ASSIGN_OR_RETURN(std::unique_ptr<Lane> lane, Lane::Create(device));
  TALLY_ASSIGN_OR_RETURN(
      DeviceAdamState state,
      DeviceAdamState::Create(options.adam, exchanger->layout().num_elements(), lane.get()));
  return std::make_unique<DeviceOneBitAdam>(exchanger, options, std::move(lane), std::move(state));
}

}  // namespace tally
