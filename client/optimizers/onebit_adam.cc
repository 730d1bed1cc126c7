#include "client/optimizers/onebit_adam.h"

#include <string>
#include <utility>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/adam_state.h"
#include "client/optimizers/dense_carry.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/quality_meter.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/sign_rounds.h"
#include "client/optimizers/step_arguments.h"
#include "client/optimizers/variance_freeze.h"
#include "client/saved_state.h"
#include "client/state_scope.h"
#include "codecs/exchange.h"

namespace tally {
namespace {

class OneBitAdam final : public Optimizer {
 public:
  OneBitAdam(Exchanger* exchanger, const OneBitAdamOptions& options)
      : options_(options),
        backend_(BackendOf(options.adam)),
        layout_(exchanger->layout()),
        dense_exchange_(DenseExchangeOf(options)),
        driver_(exchanger),
        guard_(options.adam.non_finite, &layout_, &backend_),
        state_(NewState()),
        freeze_(FreezeOptionsOf(options)),
        carry_(&layout_, options.dense_dtype, &guard_, &backend_),
        quality_(options.adam.quality_interval, layout_.chunks().size(), &backend_) {}

  absl::string_view name() const override { return "onebit_adam"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override;

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    options_.adam.learning_rate = learning_rate;
    state_.set_learning_rate(learning_rate);
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override;
  absl::optional<RoundQuality> quality() const override {
    return quality_.Report([this] { return statistics().residual_norm; });
  }

  absl::Status Follow(absl::Span<float> parameters) override {
    const InputGuard::Following following(&guard_);
    // Nothing that is not accepted is read.
    return Step(parameters, parameters);
  }

  std::vector<float> Residual() const override {
    const ScopedFloatEnvironment float_environment;
    return signs_ == nullptr ? std::vector<float>() : signs_->Residual();
  }

  absl::StatusOr<bool> TurnIntoSharedPart(uint64_t offset, absl::Span<float> mean) const override {
    state_.DropWithoutVariance(offset, mean);
    for (float& value : mean) value *= state_.beta1();
    return true;
  }

  absl::Status Inherit(uint64_t offset, absl::Span<const float> x) override {
    const ScopedFloatEnvironment float_environment;
    return signs_ == nullptr ? NoResidualError() : signs_->Add(offset, 1.0f, x);
  }

  std::string Save(StateScope scope) const override;
  absl::Status LoadState(absl::string_view bytes) override;

 private:
  AdamState NewState() const {
    return AdamState(options_.adam, /*amsgrad=*/false, layout_.num_elements(), &backend_);
  }
  std::unique_ptr<SignRounds> NewSigns() const {
    return std::make_unique<SignRounds>(SignExchangeOf(options_), &layout_, &backend_);
  }

  bool IsCompressed(uint32_t chunk) const {
    return signs_ != nullptr && !layout_.chunks()[chunk].dense;
  }
  absl::StatusOr<ChunkContribution> EncodeSigns(uint32_t chunk, absl::Span<const float> gradients);
  absl::Status ApplyDense(const ChunkResult& result, Fate fate, absl::Span<float> parameters,
                          absl::Span<const float> gradients);
  absl::Status ApplySigns(const ChunkResult& result, Fate fate, absl::Span<float> parameters);
  absl::Status Freeze();

  OneBitAdamOptions options_;
  const Backend& backend_;
  const Layout& layout_;
  const Exchange dense_exchange_;
  RoundDriver driver_;
  InputGuard guard_;
  AdamState state_;
  VarianceFreeze freeze_;
  DenseCarry carry_;
  QualityMeter quality_;
  uint64_t steps_ = 0;
  // Since the freeze.
  std::unique_ptr<SignRounds> signs_;
  float frozen_correction_ = 1.0f;  // of the compressed part's second moment
};

absl::Status OneBitAdam::Step(absl::Span<float> parameters, absl::Span<const float> gradients) {
  TALLY_RETURN_IF_ERROR(CheckStepArguments(layout_, parameters, gradients));
  const ScopedFloatEnvironment float_environment;
  state_.BeginStep();
  quality_.BeginStep(steps_ + 1);
  if (signs_ != nullptr) signs_->StartRound(&quality_);
  const auto encode = [&](uint32_t chunk) -> absl::StatusOr<ChunkContribution> {
    if (IsCompressed(chunk)) return EncodeSigns(chunk, gradients);
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
  quality_.EndStep();
  if (signs_ == nullptr && freeze_.IsDue(steps_, state_, layout_, backend_)) return Freeze();
  return absl::OkStatus();
}

absl::StatusOr<ChunkContribution> OneBitAdam::EncodeSigns(uint32_t chunk,
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
  return signs_->Encode(chunk, {takes_part, write});
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
  signs_->Settle(result, fate);
  for (size_t t = 0; t < signs_->num_tiles(result.chunk); ++t) {
    const SignRounds::Range range = signs_->range(result.chunk, t);
    const absl::Span<float> moment = state_.first_moment(range.offset, range.num_elements);
    // The others' mean carries the shared momentum already: a second copy, kept here, would make
    // the momentum grow for ever.
    if (fate == Fate::kMissed) {
      TALLY_RETURN_IF_ERROR(signs_->Add(range.offset, -state_.beta1(), moment));
    }
    if (!result.exchange.has_value()) continue;
    TALLY_RETURN_IF_ERROR(signs_->Decode(result, t, moment));
    state_.DropWithoutVariance(range.offset, moment);
    TALLY_RETURN_IF_ERROR(state_.StepWithFixedVariance(
        range.offset, frozen_correction_, parameters.subspan(range.offset, range.num_elements)));
  }
  return absl::OkStatus();
}

absl::Status OneBitAdam::Freeze() {
  signs_ = NewSigns();
  frozen_correction_ = state_.second_correction();
  // A gradient that is still carried would have entered the momentum with this factor.
  return signs_->TakeCarry(carry_, [&](uint64_t offset, absl::Span<const float> carried) {
    return signs_->Add(offset, state_.one_minus_beta1(), carried);
  });
}

OptimizerStatistics OneBitAdam::statistics() const {
  const ScopedFloatEnvironment float_environment;
  OptimizerStatistics statistics = {.steps = steps_,
                                    .abstained_chunks = guard_.abstained_chunks(),
                                    .compressing = signs_ != nullptr};
  if (signs_ != nullptr) statistics.residual_norm = signs_->Norm();
  return statistics;
}

std::string OneBitAdam::Save(StateScope scope) const {
  if (driver_.failed()) return "";
  SavedStateWriter writer(name(), layout_, steps_, scope);
  state_.Save(writer);
  carry_.Save(writer);
  freeze_.Save(writer);
  if (signs_ != nullptr) {
    writer.AddValues<float>("frozen_correction", {&frozen_correction_, 1});
    signs_->Save(writer);
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
  std::unique_ptr<SignRounds> signs;
  float frozen_correction = 1.0f;
  if (saved.Has("frozen_correction")) {
    TALLY_RETURN_IF_ERROR(saved.Values("frozen_correction", absl::MakeSpan(&frozen_correction, 1)));
    signs = NewSigns();
    TALLY_RETURN_IF_ERROR(signs->Load(saved));
  }
  TALLY_RETURN_IF_ERROR(carry_.Load(saved));
  state_ = std::move(state);
  freeze_ = freeze;
  signs_ = std::move(signs);
  frozen_correction_ = frozen_correction;
  steps_ = saved.steps();
  quality_.Forget();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateOneBitAdam(Exchanger* exchanger,
                                                            const OneBitAdamOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateOneBitOptions(options, exchanger->layout()));
  return std::make_unique<OneBitAdam>(exchanger, options);
}

}  // namespace tally
