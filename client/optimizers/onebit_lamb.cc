#include "client/optimizers/onebit_lamb.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/lamb_state.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/momentum_scales.h"
#include "client/optimizers/sign_rounds.h"
#include "client/optimizers/step_arguments.h"
#include "client/optimizers/tile.h"
#include "client/optimizers/variance_freeze.h"
#include "client/state_scope.h"

namespace tally {
namespace {

// Of the compressed part, since the freeze.
struct Frozen {
  Frozen(const Exchange& exchange, const Layout* layout, const Backend* backend)
      : signs(exchange, layout, backend), fresh(layout->num_compressed()) {}

  SignRounds signs;
  std::vector<float> scales;  // by layer: what its momenta are multiplied by for the exchange
  std::vector<float> fresh;   // the second moment as it goes on; the frozen one is LambState's
  float correction = 1.0f;    // of the frozen one
};

class OneBitLamb final : public Optimizer {
 public:
  OneBitLamb(Exchanger* exchanger, const OneBitLambOptions& options)
      : options_(options),
        parts_(exchanger, {.dense_dtype = options.onebit.dense_dtype,
                           .non_finite = options.onebit.adam.non_finite,
                           .quality_interval = options.onebit.adam.quality_interval,
                           .backend = options.onebit.adam.backend}),
        state_(NewState()),
        freeze_(FreezeOptionsOf(options.onebit)),
        ones_(kPieceElements, 1.0f),
        inverse_(kPieceElements),
        fresh_inverse_(kPieceElements),
        moment_(kTileElements) {}

  absl::string_view name() const override { return "onebit_lamb"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override;

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    options_.onebit.adam.learning_rate = learning_rate;
    state_.set_learning_rate(learning_rate);
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override {
    const ScopedFloatEnvironment float_environment;
    OptimizerStatistics statistics = parts_.Statistics();
    statistics.compressing = frozen_ != nullptr;
    if (frozen_ != nullptr) statistics.residual_norm = frozen_->signs.Norm();
    return statistics;
  }

  absl::optional<RoundQuality> quality() const override {
    return parts_.quality().Report([this] { return statistics().residual_norm; });
  }

  absl::Status Follow(absl::Span<float> parameters) override {
    const InputGuard::Following following(&parts_.guard());
    // Nothing that is not accepted is read.
    return Step(parameters, parameters);
  }

  std::vector<float> Residual() const override {
    const ScopedFloatEnvironment float_environment;
    return frozen_ == nullptr ? std::vector<float>() : frozen_->signs.Residual();
  }

  absl::StatusOr<bool> TurnIntoSharedPart(uint64_t offset, absl::Span<float> mean) const override {
    const AdamState& moments = state_.moments();
    moments.DropWithoutVariance(offset, mean);
    for (float& value : mean) value *= moments.beta1();
    return true;
  }

  absl::Status Inherit(uint64_t offset, absl::Span<const float> x) override {
    const ScopedFloatEnvironment float_environment;
    return frozen_ == nullptr ? NoResidualError() : frozen_->signs.Add(offset, 1.0f, x);
  }

  std::string Save(StateScope scope) const override;
  absl::Status LoadState(absl::string_view bytes) override;

 private:
  LambState NewState() const {
    return LambState(options_.onebit.adam, options_.rates, &parts_.layout(), &parts_.backend());
  }
  std::unique_ptr<Frozen> NewFrozen() const {
    return std::make_unique<Frozen>(SignExchangeOf(options_.onebit), &parts_.layout(),
                                    &parts_.backend());
  }

  bool IsCompressed(uint32_t chunk) const {
    return frozen_ != nullptr && !parts_.layout().chunks()[chunk].dense;
  }
  absl::StatusOr<ChunkContribution> EncodeSigns(uint32_t chunk, absl::Span<const float> gradients);
  absl::Status ApplyDense(const ChunkResult& result, Fate fate, absl::Span<const float> gradients);
  absl::Status ApplySigns(const ChunkResult& result, Fate fate);
  // Adds factor * scale * x to the residual.
  absl::Status AddScaled(uint64_t offset, float factor, absl::Span<const float> x);
  absl::Status MoveToMean(uint64_t offset, absl::Span<float> moment);
  absl::Status StepFrozenLayer(size_t layer, absl::Span<float> parameters);
  absl::StatusOr<double> LargestRatio(size_t layer);
  absl::Status Freeze();

  OneBitLambOptions options_;
  MethodParts parts_;
  LambState state_;
  VarianceFreeze freeze_;
  std::unique_ptr<Frozen> frozen_;
  // Of one piece.
  const std::vector<float> ones_;
  std::vector<float> inverse_;
  std::vector<float> fresh_inverse_;
  std::vector<float> moment_;  // of one tile
};

absl::Status OneBitLamb::Step(absl::Span<float> parameters, absl::Span<const float> gradients) {
  const Layout& layout = parts_.layout();
  TALLY_RETURN_IF_ERROR(CheckStepArguments(layout, parameters, gradients));
  const ScopedFloatEnvironment float_environment;
  state_.BeginStep();
  parts_.BeginStep();
  if (frozen_ != nullptr) frozen_->signs.StartRound(&parts_.quality());
  const auto encode = [&](uint32_t chunk) {
    return IsCompressed(chunk) ? EncodeSigns(chunk, gradients)
                               : parts_.EncodeDense(chunk, ChunkOf(gradients, layout, chunk));
  };
  const auto apply = [&](const ChunkResult& result, Fate fate) {
    return IsCompressed(result.chunk) ? ApplySigns(result, fate)
                                      : ApplyDense(result, fate, gradients);
  };
  TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, apply));
  parts_.CountStep();
  for (size_t l = 0; l < state_.layers().size(); ++l) {
    if (!state_.HasMoved(l)) continue;
    TALLY_RETURN_IF_ERROR(frozen_ != nullptr && !state_.layers()[l].dense
                              ? StepFrozenLayer(l, parameters)
                              : state_.StepLayer(l, parameters));
  }
  const bool freezes = frozen_ == nullptr &&
                       freeze_.IsDue(parts_.steps(), state_.moments(), layout, parts_.backend());
  return freezes ? Freeze() : absl::OkStatus();
}

absl::StatusOr<ChunkContribution> OneBitLamb::EncodeSigns(uint32_t chunk,
                                                          absl::Span<const float> gradients) {
  const auto takes_part = [&](uint32_t c) {
    return parts_.TakesPart(c, ChunkOf(gradients, parts_.layout(), c));
  };
  AdamState& moments = state_.moments();
  const auto write = [&](uint64_t offset, absl::Span<float> out) {
    return state_.map().ForEachPart(
        offset, out.size(), [&](size_t layer, uint64_t begin, uint64_t num_elements) {
          const float scale = frozen_->scales[layer];
          return parts_.backend().Blend(
              scale * moments.beta1(), moments.first_moment(begin, num_elements),
              scale * moments.one_minus_beta1(), gradients.subspan(begin, num_elements),
              out.subspan(begin - offset, num_elements));
        });
  };
  return frozen_->signs.Encode(chunk, {takes_part, write});
}

absl::Status OneBitLamb::ApplyDense(const ChunkResult& result, Fate fate,
                                    absl::Span<const float> gradients) {
  const Layout& layout = parts_.layout();
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> mean,
                         parts_.TakeDense(result, fate, ChunkOf(gradients, layout, result.chunk)));
  if (mean.empty()) return absl::OkStatus();
  state_.ChunkMoved(result.chunk);
  return state_.moments().MoveMoments(layout.chunks()[result.chunk].offset, mean);
}

absl::Status OneBitLamb::ApplySigns(const ChunkResult& result, Fate fate) {
  SignRounds& signs = frozen_->signs;
  AdamState& moments = state_.moments();
  signs.Settle(result, fate);
  if (result.exchange.has_value()) state_.ChunkMoved(result.chunk);
  for (size_t t = 0; t < signs.num_tiles(result.chunk); ++t) {
    const SignRounds::Range range = signs.range(result.chunk, t);
    // As in 1-bit Adam: the others' mean carries the shared momentum already.
    if (fate == Fate::kMissed) {
      TALLY_RETURN_IF_ERROR(AddScaled(range.offset, -moments.beta1(),
                                      moments.first_moment(range.offset, range.num_elements)));
    }
    if (!result.exchange.has_value()) continue;
    const absl::Span<float> mean = absl::MakeSpan(moment_).first(range.num_elements);
    TALLY_RETURN_IF_ERROR(signs.Decode(result, t, mean));
    TALLY_RETURN_IF_ERROR(MoveToMean(range.offset, mean));
  }
  return absl::OkStatus();
}

absl::Status OneBitLamb::AddScaled(uint64_t offset, float factor, absl::Span<const float> x) {
  return state_.map().ForEachPart(
      offset, x.size(), [&](size_t layer, uint64_t begin, uint64_t num_elements) {
        return frozen_->signs.Add(begin, frozen_->scales[layer] * factor,
                                  x.subspan(begin - offset, num_elements));
      });
}

// Takes `mean`, the scaled momentum, as the first moment; the gradient that would have led there
// moves the fresh second moment.
absl::Status OneBitLamb::MoveToMean(uint64_t offset, absl::Span<float> mean) {
  const auto unscale = [&](size_t layer, uint64_t begin, uint64_t num_elements) {
    for (float& m : mean.subspan(begin - offset, num_elements)) m /= frozen_->scales[layer];
    return absl::OkStatus();
  };
  TALLY_RETURN_IF_ERROR(state_.map().ForEachPart(offset, mean.size(), unscale));
  AdamState& moments = state_.moments();
  moments.DropWithoutVariance(offset, mean);
  const float beta1 = moments.beta1();
  const float one_minus_beta1 = moments.one_minus_beta1();
  const float beta2 = options_.onebit.adam.beta2;
  const float one_minus_beta2 = 1.0f - beta2;
  const absl::Span<float> moment = moments.first_moment(offset, mean.size());
  const absl::Span<float> fresh = absl::MakeSpan(frozen_->fresh).subspan(offset, mean.size());
  for (size_t i = 0; i < mean.size(); ++i) {
    const float gradient = (mean[i] - beta1 * moment[i]) / one_minus_beta1;
    fresh[i] = beta2 * fresh[i] + one_minus_beta2 * (gradient * gradient);
    moment[i] = mean[i];
  }
  return absl::OkStatus();
}

absl::Status OneBitLamb::StepFrozenLayer(size_t layer, absl::Span<float> parameters) {
  TALLY_ASSIGN_OR_RETURN(const double ratio, LargestRatio(layer));
  double momentum_share = 1.0;
  if (options_.onebit.adam.weight_decay > 0.0f) {
    TALLY_ASSIGN_OR_RETURN(const LambState::Squares squares,
                           state_.SquaresOf(layer, frozen_->correction, parameters));
    if (squares.update > 0.0) {
      momentum_share = std::min(1.0, std::sqrt(squares.direction) / std::sqrt(squares.update));
    }
  }
  return state_.StepLayer(layer, state_.rate(layer).FrozenCoefficient(ratio, momentum_share),
                          frozen_->correction, parameters);
}

// The largest ratio of the frozen denominator to the fresh one, over the unmasked elements that
// have a variance; 0 if none has.
absl::StatusOr<double> OneBitLamb::LargestRatio(size_t layer) {
  const auto invert = [&](absl::Span<const float> second_moment, float correction,
                          absl::Span<float> out) {
    std::fill(out.begin(), out.end(), 0.0f);
    return parts_.backend().MomentumStep({.parameters = out,
                                          .first_moment = absl::MakeSpan(ones_).first(out.size()),
                                          .second_moment = second_moment,
                                          .learning_rate = -1.0f,
                                          .first_correction = 1.0f,
                                          .second_correction = correction,
                                          .epsilon = options_.onebit.adam.epsilon,
                                          .weight_decay = 0.0f});
  };
  const float fresh_correction = state_.moments().second_correction();
  float largest = 0.0f;
  const auto visit = [&](uint64_t offset, uint64_t num_elements) -> absl::Status {
    const absl::Span<const float> second = state_.moments().second_moment(offset, num_elements);
    TALLY_RETURN_IF_ERROR(
        invert(second, frozen_->correction, absl::MakeSpan(inverse_).first(num_elements)));
    TALLY_RETURN_IF_ERROR(invert(absl::MakeConstSpan(frozen_->fresh).subspan(offset, num_elements),
                                 fresh_correction,
                                 absl::MakeSpan(fresh_inverse_).first(num_elements)));
    for (size_t i = 0; i < num_elements; ++i) {
      const float ratio = fresh_inverse_[i] / inverse_[i];
      if (second[i] > 0.0f && ratio > largest) largest = ratio;
    }
    return absl::OkStatus();
  };
  TALLY_RETURN_IF_ERROR(LayerMap::ForEachPiece(state_.layers()[layer], visit));
  return largest;
}

absl::Status OneBitLamb::Freeze() {
  frozen_ = NewFrozen();
  AdamState& moments = state_.moments();
  const uint64_t num_compressed = parts_.layout().num_compressed();
  const absl::Span<const float> variance = moments.second_moment(0, num_compressed);
  frozen_->fresh.assign(variance.begin(), variance.end());
  frozen_->correction = moments.second_correction();
  frozen_->scales = MomentumScales(
      state_.layers(), moments.first_moment(0, parts_.layout().num_elements()), parts_.backend());
  // A gradient that is still carried would have entered the momentum with this factor.
  return frozen_->signs.TakeCarry(parts_.carry(),
                                  [&](uint64_t offset, absl::Span<const float> carried) {
                                    return AddScaled(offset, moments.one_minus_beta1(), carried);
                                  });
}

std::string OneBitLamb::Save(StateScope scope) const {
  if (parts_.driver().failed()) return "";
  SavedStateWriter writer = parts_.BeginSave(name(), scope);
  state_.Save(writer);
  freeze_.Save(writer);
  if (frozen_ != nullptr) {
    writer.AddValues<float>("frozen_correction", {&frozen_->correction, 1});
    writer.AddValues<float>("momentum_scales", frozen_->scales);
    writer.AddValues<float>("fresh_second_moment", frozen_->fresh);
    frozen_->signs.Save(writer);
  }
  return std::move(writer).Finish();
}

absl::Status OneBitLamb::LoadState(absl::string_view bytes) {
  TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
  TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
  LambState state = NewState();
  TALLY_RETURN_IF_ERROR(state.Load(saved));
  VarianceFreeze freeze = freeze_;
  TALLY_RETURN_IF_ERROR(freeze.Load(saved));
  std::unique_ptr<Frozen> frozen;
  if (saved.Has("frozen_correction")) {
    frozen = NewFrozen();
    frozen->scales.resize(state.layers().size());
    TALLY_RETURN_IF_ERROR(
        saved.Values("frozen_correction", absl::MakeSpan(&frozen->correction, 1)));
    TALLY_RETURN_IF_ERROR(saved.Values("momentum_scales", absl::MakeSpan(frozen->scales)));
    TALLY_RETURN_IF_ERROR(saved.Values("fresh_second_moment", absl::MakeSpan(frozen->fresh)));
    TALLY_RETURN_IF_ERROR(frozen->signs.Load(saved));
  }
  TALLY_RETURN_IF_ERROR(parts_.Load(saved));
  state_ = std::move(state);
  freeze_ = freeze;
  frozen_ = std::move(frozen);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateOneBitLamb(Exchanger* exchanger,
                                                            const OneBitLambOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateOneBitOptions(options.onebit, exchanger->layout()));
  TALLY_RETURN_IF_ERROR(ValidateLayerRateOptions(options.rates));
  return std::make_unique<OneBitLamb>(exchanger, options);
}

}  // namespace tally
