#include "client/optimizers/zeroone_adam.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/adam_state.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/sign_rounds.h"
#include "client/optimizers/step_arguments.h"
#include "client/optimizers/tile.h"
#include "client/state_scope.h"
#include "codecs/exchange.h"

namespace tally {
namespace {

using Action = ZeroOneSchedule::Action;

// What the workers do between two exchanges, once the variance is frozen.
struct LocalSteps {
  explicit LocalSteps(const Layout& layout)
      : common(layout.num_elements()),
        buffer(layout.num_elements()),
        rates(layout.chunks().size()) {}

  std::vector<float> common;  // replicated: the parameters after the last exchange
  std::vector<float> buffer;  // this worker's: sum of rate * corrected first moment since then
  // Replicated, by chunk: sum of the learning rates since somebody exchanged it.
  std::vector<double> rates;
};

Exchange SignExchangeOf(const ZeroOneAdamOptions& options) {
  return {SignExchange{.scale_rule = options.scale_rule, .granularity = options.granularity},
          Divisor::kParticipants};
}

class ZeroOneAdam final : public Optimizer {
 public:
  ZeroOneAdam(Exchanger* exchanger, const ZeroOneAdamOptions& options)
      : options_(options),
        parts_(exchanger, {.dense_dtype = options.dense_dtype,
                           .non_finite = options.adam.non_finite,
                           .quality_interval = options.adam.quality_interval,
                           .backend = options.adam.backend}),
        state_(NewState()),
        schedule_(options.schedule),
        signs_(NewSigns()),
        mean_(kTileElements) {}

  absl::string_view name() const override { return "zeroone_adam"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override;

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    options_.adam.learning_rate = learning_rate;
    state_.set_learning_rate(learning_rate);
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override {
    const ScopedFloatEnvironment float_environment;
    OptimizerStatistics statistics = parts_.Statistics();
    statistics.compressing = schedule_.compresses();
    statistics.common_parameters = common_parameters_;
    statistics.residual_norm = signs_->Norm();
    statistics.reset_residual_norm = reset_residual_norm_;
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
    return signs_->Residual();
  }

  absl::Status Inherit(uint64_t offset, absl::Span<const float> x) override {
    const ScopedFloatEnvironment float_environment;
    return signs_->Add(offset, 1.0f, x);
  }

  std::string Save(StateScope scope) const override;
  absl::Status LoadState(absl::string_view bytes) override;

 private:
  AdamState NewState() const {
    return AdamState(options_.adam, /*amsgrad=*/false, parts_.layout().num_elements(),
                     &parts_.backend());
  }
  std::unique_ptr<SignRounds> NewSigns() const {
    return std::make_unique<SignRounds>(SignExchangeOf(options_), &parts_.layout(),
                                        &parts_.backend());
  }
  bool is_dense(uint32_t chunk) const { return parts_.layout().chunks()[chunk].dense; }

  // Until the freeze.
  absl::Status Refresh(absl::Span<float> parameters, absl::Span<const float> gradients);
  absl::Status ExchangeGradients(absl::Span<float> parameters, absl::Span<const float> gradients);
  absl::Status StepByMean(uint64_t offset, absl::Span<const float> mean,
                          absl::Span<float> parameters);
  absl::Status Freeze(absl::Span<const float> parameters);

  // After it.
  // Moves this worker's momentum and buffer. The parameters follow only if they stay: an exchange
  // sets them anew.
  absl::Status StepAlone(absl::Span<const float> gradients, absl::Span<float> parameters,
                         bool parameters_stay);
  absl::Status ExchangeBuffer(absl::Span<float> parameters);
  absl::Status TakeBuffer(uint32_t chunk, uint64_t offset, absl::Span<float> mean);

  // One round: `values`, a flat vector, by signs or, where the layout says so, by dense means.
  // `take(chunk, offset, mean)` gets the mean of elements from `offset` on, which it may change.
  template <typename TakesPart, typename Take>
  absl::Status RunSigns(absl::Span<const float> values, TakesPart takes_part, Take take);

  ZeroOneAdamOptions options_;
  MethodParts parts_;
  AdamState state_;
  ZeroOneSchedule schedule_;
  std::unique_ptr<SignRounds> signs_;
  std::unique_ptr<LocalSteps> local_;  // since the freeze
  bool common_parameters_ = true;
  double reset_residual_norm_ = 0.0;
  std::vector<float> mean_;  // of one tile
};

absl::Status ZeroOneAdam::Step(absl::Span<float> parameters, absl::Span<const float> gradients) {
  TALLY_RETURN_IF_ERROR(CheckStepArguments(parts_.layout(), parameters, gradients));
  TALLY_RETURN_IF_ERROR(parts_.driver().failure());
  const ScopedFloatEnvironment float_environment;
  if (schedule_.frozen() && local_ == nullptr) TALLY_RETURN_IF_ERROR(Freeze(parameters));
  parts_.BeginStep();
  const Action action = schedule_.Next();
  switch (action) {
    case Action::kRefresh:
      TALLY_RETURN_IF_ERROR(Refresh(parameters, gradients));
      break;
    case Action::kSigns:
      TALLY_RETURN_IF_ERROR(ExchangeGradients(parameters, gradients));
      break;
    case Action::kLocal:
      TALLY_RETURN_IF_ERROR(StepAlone(gradients, parameters, /*parameters_stay=*/true));
      break;
    case Action::kExchange:
      TALLY_RETURN_IF_ERROR(StepAlone(gradients, parameters, /*parameters_stay=*/false));
      TALLY_RETURN_IF_ERROR(ExchangeBuffer(parameters));
      break;
  }
  common_parameters_ = action != Action::kLocal;
  schedule_.Advance();
  parts_.CountStep();
  return absl::OkStatus();
}

absl::Status ZeroOneAdam::Refresh(absl::Span<float> parameters, absl::Span<const float> gradients) {
  const Layout& layout = parts_.layout();
  state_.BeginStep();
  const auto encode = [&](uint32_t chunk) {
    return parts_.EncodeDense(chunk, ChunkOf(gradients, layout, chunk));
  };
  const auto apply = [&](const ChunkResult& result, Fate fate) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(
        const absl::Span<const float> mean,
        parts_.TakeDense(result, fate, ChunkOf(gradients, layout, result.chunk)));
    if (mean.empty()) return absl::OkStatus();
    return state_.Step(layout.chunks()[result.chunk].offset, mean,
                       ChunkOf(parameters, layout, result.chunk));
  };
  return parts_.driver().Run(encode, apply);
}

template <typename TakesPart, typename Take>
absl::Status ZeroOneAdam::RunSigns(absl::Span<const float> values, TakesPart takes_part,
                                   Take take) {
  const Layout& layout = parts_.layout();
  const auto write = [&](uint64_t offset, absl::Span<float> out) {
    absl::c_copy(values.subspan(offset, out.size()), out.begin());
    return absl::OkStatus();
  };
  const auto encode = [&](uint32_t chunk) {
    return is_dense(chunk) ? parts_.EncodeDense(chunk, ChunkOf(values, layout, chunk))
                           : signs_->Encode(chunk, {takes_part, write});
  };
  const auto apply = [&](const ChunkResult& result, Fate fate) -> absl::Status {
    const uint32_t chunk = result.chunk;
    if (is_dense(chunk)) {
      TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> mean,
                             parts_.TakeDense(result, fate, ChunkOf(values, layout, chunk)));
      for (size_t begin = 0; begin < mean.size(); begin += kTileElements) {
        const absl::Span<const float> tile = mean.subspan(begin, kTileElements);
        absl::c_copy(tile, mean_.begin());
        TALLY_RETURN_IF_ERROR(take(chunk, layout.chunks()[chunk].offset + begin,
                                   absl::MakeSpan(mean_).first(tile.size())));
      }
      return absl::OkStatus();
    }
    signs_->Settle(result, fate);
    if (!result.exchange.has_value()) return absl::OkStatus();
    for (size_t t = 0; t < signs_->num_tiles(chunk); ++t) {
      const SignRounds::Range range = signs_->range(chunk, t);
      const absl::Span<float> mean = absl::MakeSpan(mean_).first(range.num_elements);
      TALLY_RETURN_IF_ERROR(signs_->Decode(result, t, mean));
      TALLY_RETURN_IF_ERROR(take(chunk, range.offset, mean));
    }
    return absl::OkStatus();
  };
  signs_->StartRound(&parts_.quality());
  return parts_.driver().Run(encode, apply);
}

absl::Status ZeroOneAdam::ExchangeGradients(absl::Span<float> parameters,
                                            absl::Span<const float> gradients) {
  state_.BeginStep(/*moves_second_moment=*/false);
  // What missed a refresh is a gradient like those of the residual.
  TALLY_RETURN_IF_ERROR(
      signs_->TakeCarry(parts_.carry(), [&](uint64_t offset, absl::Span<const float> carried) {
        return signs_->Add(offset, 1.0f, carried);
      }));
  const auto takes_part = [&](uint32_t chunk) {
    return parts_.TakesPart(chunk, ChunkOf(gradients, parts_.layout(), chunk));
  };
  const auto take = [&](uint32_t, uint64_t offset, absl::Span<float> mean) {
    return StepByMean(offset, mean, parameters.subspan(offset, mean.size()));
  };
  return RunSigns(gradients, takes_part, take);
}

absl::Status ZeroOneAdam::StepByMean(uint64_t offset, absl::Span<const float> mean,
                                     absl::Span<float> parameters) {
  const absl::Span<float> moment = state_.first_moment(offset, mean.size());
  TALLY_RETURN_IF_ERROR(
      parts_.backend().Blend(state_.beta1(), moment, state_.one_minus_beta1(), mean, moment));
  state_.DropWithoutVariance(offset, moment);
  return state_.StepWithFixedVariance(offset, state_.second_correction(), parameters);
}

// From now on momenta are exchanged: what is left of gradients, here and at the aggregators, does
// not belong to them.
absl::Status ZeroOneAdam::Freeze(absl::Span<const float> parameters) {
  double squares = signs_->Norm() * signs_->Norm();
  for (uint32_t c = 0; c < parts_.layout().chunks().size(); ++c) {
    squares += parts_.backend().SumOfSquares(parts_.carry().carried(c));
    parts_.carry().Drop(c);
  }
  reset_residual_norm_ = std::sqrt(squares);
  signs_->Zero();
  local_ = std::make_unique<LocalSteps>(parts_.layout());
  local_->common.assign(parameters.begin(), parameters.end());
  return absl::OkStatus();
}

absl::Status ZeroOneAdam::StepAlone(absl::Span<const float> gradients, absl::Span<float> parameters,
                                    bool parameters_stay) {
  const Layout& layout = parts_.layout();
  const Backend& backend = parts_.backend();
  // All checks come before the first change.
  std::vector<bool> moves;
  for (uint32_t c = 0; c < layout.chunks().size(); ++c) {
    TALLY_ASSIGN_OR_RETURN(const bool moves_chunk,
                           parts_.TakesPart(c, ChunkOf(gradients, layout, c)));
    moves.push_back(moves_chunk);
  }
  state_.BeginStep(/*moves_second_moment=*/false);
  const float learning_rate = options_.adam.learning_rate;
  for (uint32_t c = 0; c < layout.chunks().size(); ++c) {
    local_->rates[c] += static_cast<double>(learning_rate);
    if (!moves[c]) continue;
    const Layout::Chunk& chunk = layout.chunks()[c];
    for (uint64_t begin = 0; begin < chunk.num_elements; begin += kTileElements) {
      const uint64_t offset = chunk.offset + begin;
      const uint64_t size = std::min<uint64_t>(kTileElements, chunk.num_elements - begin);
      const absl::Span<float> moment = state_.first_moment(offset, size);
      TALLY_RETURN_IF_ERROR(backend.Blend(state_.beta1(), moment, state_.one_minus_beta1(),
                                          gradients.subspan(offset, size), moment));
      state_.DropWithoutVariance(offset, moment);
      const absl::Span<float> buffer = absl::MakeSpan(local_->buffer).subspan(offset, size);
      TALLY_RETURN_IF_ERROR(
          backend.Blend(1.0f, buffer, learning_rate * state_.first_correction(), moment, buffer));
      if (!parameters_stay) continue;
      // Without the decay, which all workers do at once when they exchange.
      TALLY_RETURN_IF_ERROR(
          backend.MomentumStep({.parameters = parameters.subspan(offset, size),
                                .first_moment = moment,
                                .second_moment = state_.second_moment(offset, size),
                                .learning_rate = learning_rate,
                                .first_correction = state_.first_correction(),
                                .second_correction = state_.second_correction(),
                                .epsilon = options_.adam.epsilon,
                                .weight_decay = 0.0f}));
    }
  }
  return absl::OkStatus();
}

absl::Status ZeroOneAdam::ExchangeBuffer(absl::Span<float> parameters) {
  // Gradients that are no numbers never came into it.
  const auto takes_part = [](uint32_t) -> absl::StatusOr<bool> { return true; };
  std::vector<bool> exchanged(local_->rates.size());
  const auto take = [&](uint32_t chunk, uint64_t offset, absl::Span<float> mean) {
    exchanged[chunk] = true;
    return TakeBuffer(chunk, offset, mean);
  };
  TALLY_RETURN_IF_ERROR(RunSigns(local_->buffer, takes_part, take));
  // What this worker did is in the mean or in its residual: it goes on from where all are.
  absl::c_fill(local_->buffer, 0.0f);
  absl::c_copy(local_->common, parameters.begin());
  for (size_t c = 0; c < exchanged.size(); ++c) {
    if (exchanged[c]) local_->rates[c] = 0.0;
  }
  return absl::OkStatus();
}

absl::Status ZeroOneAdam::TakeBuffer(uint32_t chunk, uint64_t offset, absl::Span<float> mean) {
  state_.DropWithoutVariance(offset, mean);
  const double rates = local_->rates[chunk];
  const auto to_moment = static_cast<float>(1.0 / (rates * state_.first_correction()));
  TALLY_RETURN_IF_ERROR(parts_.backend().Blend(to_moment, mean, 0.0f, mean,
                                               state_.first_moment(offset, mean.size())));
  // The steps of all workers at once, and the decay that they owe.
  return parts_.backend().MomentumStep(
      {.parameters = absl::MakeSpan(local_->common).subspan(offset, mean.size()),
       .first_moment = mean,
       .second_moment = state_.second_moment(offset, mean.size()),
       .learning_rate = 1.0f,
       .first_correction = 1.0f,
       .second_correction = state_.second_correction(),
       .epsilon = options_.adam.epsilon,
       .weight_decay = static_cast<float>(rates * options_.adam.weight_decay)});
}

std::string ZeroOneAdam::Save(StateScope scope) const {
  if (parts_.driver().failed()) return "";
  SavedStateWriter writer = parts_.BeginSave(name(), scope);
  state_.Save(writer);
  schedule_.Save(writer);
  signs_->Save(writer);
  if (local_ != nullptr) {
    const uint8_t common = common_parameters_ ? 1 : 0;
    writer.AddValues<uint8_t>("common_parameters", {&common, 1});
    writer.AddValues<double>("reset_residual_norm", {&reset_residual_norm_, 1});
    writer.AddValues<float>("common", local_->common);
    writer.AddValues<float>("buffer", local_->buffer);
    writer.AddValues<double>("rates", local_->rates);
  }
  return std::move(writer).Finish();
}

absl::Status ZeroOneAdam::LoadState(absl::string_view bytes) {
  TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
  TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
  AdamState state = NewState();
  TALLY_RETURN_IF_ERROR(state.Load(saved));
  ZeroOneSchedule schedule(options_.schedule);
  TALLY_RETURN_IF_ERROR(schedule.Load(saved));
  std::unique_ptr<LocalSteps> local;
  uint8_t common = 1;
  double reset_residual_norm = 0.0;
  if (saved.Has("common")) {
    local = std::make_unique<LocalSteps>(parts_.layout());
    TALLY_RETURN_IF_ERROR(saved.Values("common_parameters", absl::MakeSpan(&common, 1)));
    TALLY_RETURN_IF_ERROR(
        saved.Values("reset_residual_norm", absl::MakeSpan(&reset_residual_norm, 1)));
    TALLY_RETURN_IF_ERROR(saved.Values("common", absl::MakeSpan(local->common)));
    TALLY_RETURN_IF_ERROR(saved.Values("buffer", absl::MakeSpan(local->buffer)));
    TALLY_RETURN_IF_ERROR(saved.Values("rates", absl::MakeSpan(local->rates)));
  }
  std::unique_ptr<SignRounds> signs = NewSigns();
  TALLY_RETURN_IF_ERROR(signs->Load(saved));
  TALLY_RETURN_IF_ERROR(parts_.Load(saved));
  state_ = std::move(state);
  schedule_ = schedule;
  signs_ = std::move(signs);
  local_ = std::move(local);
  common_parameters_ = common != 0;
  reset_residual_norm_ = reset_residual_norm;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateZeroOneAdam(Exchanger* exchanger,
                                                             const ZeroOneAdamOptions& options) {
  const Layout& layout = exchanger->layout();
  TALLY_RETURN_IF_ERROR(ValidateAdamOptions(options.adam));
  TALLY_RETURN_IF_ERROR(ValidateZeroOneScheduleOptions(options.schedule));
  TALLY_RETURN_IF_ERROR(
      CheckExchange({DenseExchange{options.dense_dtype}, Divisor::kParticipants}, layout));
  TALLY_RETURN_IF_ERROR(CheckSignExchange(SignExchangeOf(options), layout));
  return std::make_unique<ZeroOneAdam>(exchanger, options);
}

}  // namespace tally
