#include "client/optimizers/onebit_adam.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/adam_state.h"
#include "client/optimizers/dense_carry.h"
#include "client/optimizers/error_feedback.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/saved_state.h"
#include "client/optimizers/step_arguments.h"
#include "client/optimizers/tile.h"
#include "client/optimizers/variance_freeze.h"
#include "codecs/exchange.h"
#include "codecs/sign_codec.h"

namespace tally {
namespace {

// 1 / (1 - beta2), to the nearest integer.
uint64_t VarianceMemorySteps(float beta2) {
  return static_cast<uint64_t>(1.0 / (1.0 - static_cast<double>(beta2)) + 0.5);
}

class OneBitAdam final : public Optimizer {
 public:
  OneBitAdam(Exchanger* exchanger, const OneBitAdamOptions& options, const Exchange& dense_exchange,
             const Exchange& sign_exchange)
      : options_(options),
        backend_(BackendOf(options.adam)),
        layout_(exchanger->layout()),
        dense_exchange_(dense_exchange),
        sign_exchange_(sign_exchange),
        driver_(exchanger),
        guard_(options.adam.non_finite, &layout_, &backend_),
        state_(NewState()),
        freeze_({.warmup_steps = options.warmup_rounds,
                 .threshold = options.freeze_threshold,
                 .interval_steps = options.freeze_interval > 0
                                       ? options.freeze_interval
                                       : VarianceMemorySteps(options.adam.beta2),
                 .min_steps = options.min_warmup_rounds}),
        carry_(&layout_, options.dense_dtype, &guard_, &backend_) {}

  absl::string_view name() const override { return "onebit_adam"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override;

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    options_.adam.learning_rate = learning_rate;
    state_.set_learning_rate(learning_rate);
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override;

  std::string SaveState() const override;
  absl::Status LoadState(absl::string_view bytes) override;

 private:
  AdamState NewState() const {
    return AdamState(options_.adam, /*amsgrad=*/false, layout_.num_elements(), &backend_);
  }
  std::unique_ptr<ErrorFeedback> NewResidual() const {
    return std::make_unique<ErrorFeedback>(&layout_, options_.scale_rule, options_.granularity,
                                           &backend_);
  }

  bool IsCompressed(uint32_t chunk) const {
    return residual_ != nullptr && !layout_.chunks()[chunk].dense;
  }
  absl::StatusOr<absl::optional<Buffer>> EncodeSigns(uint32_t chunk,
                                                     absl::Span<const float> gradients);
  absl::Status ApplyDense(const ChunkResult& result, Fate fate, absl::Span<float> parameters,
                          absl::Span<const float> gradients);
  absl::Status ApplySigns(const ChunkResult& result, Fate fate, absl::Span<float> parameters);
  absl::Status Freeze();

  OneBitAdamOptions options_;
  const Backend& backend_;
  const Layout& layout_;
  const Exchange dense_exchange_;
  const Exchange sign_exchange_;
  RoundDriver driver_;
  InputGuard guard_;
  AdamState state_;
  VarianceFreeze freeze_;
  DenseCarry carry_;
  uint64_t steps_ = 0;
  // Since the freeze.
  std::unique_ptr<ErrorFeedback> residual_;
  float frozen_correction_ = 1.0f;   // of the compressed part's second moment
  std::vector<float> piece_scales_;  // of one tile
};

absl::Status OneBitAdam::Step(absl::Span<float> parameters, absl::Span<const float> gradients) {
  TALLY_RETURN_IF_ERROR(CheckStepArguments(layout_, parameters, gradients));
  const ScopedFloatEnvironment float_environment;
  state_.BeginStep();
  if (residual_ != nullptr) residual_->StartRound();
  const auto encode = [&](uint32_t chunk) -> absl::StatusOr<ChunkContribution> {
    if (IsCompressed(chunk)) {
      TALLY_ASSIGN_OR_RETURN(absl::optional<Buffer> payload, EncodeSigns(chunk, gradients));
      return ChunkContribution{sign_exchange_, std::move(payload)};
    }
    TALLY_ASSIGN_OR_RETURN(absl::optional<Buffer> payload,
                           carry_.Encode(chunk, ChunkOf(gradients, layout_, chunk)));
    return ChunkContribution{dense_exchange_, std::move(payload)};
  };
  const auto apply = [&](const ChunkResult& result, Fate fate) {
    return IsCompressed(result.chunk) ? ApplySigns(result, fate, parameters)
                                      : ApplyDense(result, fate, parameters, gradients);
  };
  TALLY_RETURN_IF_ERROR(driver_.Run(encode, apply));
  ++steps_;
  if (residual_ == nullptr && freeze_.IsDue(steps_, state_, layout_, backend_)) return Freeze();
  return absl::OkStatus();
}

absl::StatusOr<absl::optional<Buffer>> OneBitAdam::EncodeSigns(uint32_t chunk,
                                                               absl::Span<const float> gradients) {
  const auto takes_part = [&](uint32_t c) -> absl::StatusOr<bool> {
    const absl::Span<const float> gradient = ChunkOf(gradients, layout_, c);
    if (guard_.Accepts(gradient)) return true;
    TALLY_RETURN_IF_ERROR(guard_.Refuse(c, gradient, DType::kFloat32));
    return false;
  };
  const auto write = [&](uint64_t offset, absl::Span<float> out) {
    return backend_.Blend(state_.beta1(), state_.first_moment(offset, out.size()),
                          state_.one_minus_beta1(), gradients.subspan(offset, out.size()), out);
  };
  return residual_->Encode(chunk, {takes_part, write});
}

absl::Status OneBitAdam::ApplyDense(const ChunkResult& result, Fate fate,
                                    absl::Span<float> parameters,
                                    absl::Span<const float> gradients) {
  TALLY_RETURN_IF_ERROR(
      carry_.Settle(result.chunk, fate, ChunkOf(gradients, layout_, result.chunk)));
  if (!result.exchange.has_value()) return absl::OkStatus();
  return state_.StepWithPayload(layout_.chunks()[result.chunk].offset, options_.dense_dtype,
                                result.payload->bytes(),
                                ChunkOf(parameters, layout_, result.chunk));
}

absl::Status OneBitAdam::ApplySigns(const ChunkResult& result, Fate fate,
                                    absl::Span<float> parameters) {
  const SegmentMap& segments = residual_->segments();
  const Layout::Chunk& chunk = layout_.chunks()[result.chunk];
  residual_->Settle(result.chunk, fate);
  for (size_t t = 0; t < segments.num_tiles(result.chunk); ++t) {
    const SegmentMap::Tile tile = segments.tile(result.chunk, t);
    const uint64_t offset = chunk.offset + tile.begin;
    const absl::Span<float> moment = state_.first_moment(offset, tile.num_elements);
    // The others' mean carries the shared momentum already: a second copy, kept here, would make
    // the momentum grow for ever.
    if (fate == Fate::kMissed) {
      TALLY_RETURN_IF_ERROR(residual_->Add(offset, -state_.beta1(), moment));
    }
    if (!result.exchange.has_value()) continue;
    const SignBlock mean = SignBlockOf(result.payload->bytes(), chunk.num_elements,
                                       segments.num_segments(result.chunk));
    const SignBlock tile_mean = TileOf(mean, tile, absl::MakeSpan(piece_scales_));
    TALLY_RETURN_IF_ERROR(backend_.SumSigns(absl::MakeConstSpan(&tile_mean, 1), tile.piece_ends,
                                            TileOf(layout_.live(result.chunk), tile), moment));
    TALLY_RETURN_IF_ERROR(state_.StepWithFixedVariance(
        offset, frozen_correction_, parameters.subspan(offset, tile.num_elements)));
  }
  return absl::OkStatus();
}

absl::Status OneBitAdam::Freeze() {
  residual_ = NewResidual();
  piece_scales_.resize(residual_->segments().max_pieces());
  frozen_correction_ = state_.second_correction();
  // A gradient that is still carried would have entered the momentum with this factor.
  for (uint32_t c = 0; c < layout_.chunks().size(); ++c) {
    if (!IsCompressed(c)) continue;
    const absl::Span<const float> carried = carry_.carried(c);
    if (!carried.empty()) {
      TALLY_RETURN_IF_ERROR(
          residual_->Add(layout_.chunks()[c].offset, state_.one_minus_beta1(), carried));
    }
    carry_.Drop(c);
  }
  return absl::OkStatus();
}

OptimizerStatistics OneBitAdam::statistics() const {
  const ScopedFloatEnvironment float_environment;
  OptimizerStatistics statistics = {.steps = steps_,
                                    .abstained_chunks = guard_.abstained_chunks(),
                                    .compressing = residual_ != nullptr};
  if (residual_ != nullptr) statistics.residual_norm = residual_->Norm();
  return statistics;
}

std::string OneBitAdam::SaveState() const {
  if (driver_.failed()) return "";
  SavedStateWriter writer(name(), layout_, steps_);
  state_.Save(writer);
  carry_.Save(writer);
  freeze_.Save(writer);
  if (residual_ != nullptr) {
    writer.AddValues<float>("frozen_correction", {&frozen_correction_, 1});
    residual_->Save(writer);
  }
  return std::move(writer).Finish();
}

absl::Status OneBitAdam::LoadState(absl::string_view bytes) {
  TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
  TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), layout_));
  AdamState state = NewState();
  TALLY_RETURN_IF_ERROR(state.Load(saved));
  VarianceFreeze freeze = freeze_;
  TALLY_RETURN_IF_ERROR(freeze.Load(saved));
  std::unique_ptr<ErrorFeedback> residual;
  float frozen_correction = 1.0f;
  if (saved.Has("frozen_correction")) {
    TALLY_RETURN_IF_ERROR(saved.Values("frozen_correction", absl::MakeSpan(&frozen_correction, 1)));
    residual = NewResidual();
    TALLY_RETURN_IF_ERROR(residual->Load(saved));
  }
  TALLY_RETURN_IF_ERROR(carry_.Load(saved));
  state_ = std::move(state);
  freeze_ = freeze;
  residual_ = std::move(residual);
  frozen_correction_ = frozen_correction;
  piece_scales_.resize(residual_ != nullptr ? residual_->segments().max_pieces() : 0);
  steps_ = saved.steps();
  return absl::OkStatus();
}

absl::Status ValidateOwnOptions(const OneBitAdamOptions& options) {
  if (options.warmup_rounds.has_value() && *options.warmup_rounds == 0) {
    return absl::InvalidArgumentError(
        "`warmup_rounds` = 0, must be at least 1: without a variance there is no step");
  }
  const float threshold = options.freeze_threshold;
  if (!(threshold > 0.0f && threshold <= 1.0f)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`freeze_threshold` = ", threshold, ", must be in (0, 1]"));
  }
  switch (options.scale_rule) {
    case ScaleRule::kRootMeanSquare:
    case ScaleRule::kMeanMagnitude:
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("`scale_rule` = ", static_cast<int>(options.scale_rule),
                   ", must be kRootMeanSquare or kMeanMagnitude"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateOneBitAdam(Exchanger* exchanger,
                                                            const OneBitAdamOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateAdamOptions(options.adam));
  TALLY_RETURN_IF_ERROR(ValidateOwnOptions(options));
  const Layout& layout = exchanger->layout();
  const Exchange dense = {DenseExchange{options.dense_dtype}, Divisor::kParticipants};
  const Exchange sign = {
      SignExchange{.scale_rule = options.scale_rule, .granularity = options.granularity},
      Divisor::kParticipants};
  TALLY_RETURN_IF_ERROR(CheckExchange(dense, layout));
  if (!layout.chunks()[0].dense) TALLY_RETURN_IF_ERROR(CheckExchange(sign, layout));
  return std::make_unique<OneBitAdam>(exchanger, options, dense, sign);
}

}  // namespace tally
