#include "client/optimizers/dense_lamb.h"

#include <cstddef>
#include <string>
#include <utility>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/lamb_state.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/step_arguments.h"
#include "client/state_scope.h"

namespace tally {
namespace {

class DenseLamb final : public Optimizer {
 public:
  DenseLamb(Exchanger* exchanger, const DenseLambOptions& options)
      : options_(options),
        parts_(exchanger, {.dense_dtype = options.dtype,
                           .non_finite = options.adam.non_finite,
                           .backend = options.adam.backend}),
        state_(NewState()) {}

  absl::string_view name() const override { return "dense_lamb"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override {
    const Layout& layout = parts_.layout();
    TALLY_RETURN_IF_ERROR(CheckStepArguments(layout, parameters, gradients));
    const ScopedFloatEnvironment float_environment;
    state_.BeginStep();
    const auto encode = [&](uint32_t chunk) {
      return parts_.EncodeDense(chunk, ChunkOf(gradients, layout, chunk));
    };
    const auto apply = [&](const ChunkResult& result, Fate fate) -> absl::Status {
      TALLY_ASSIGN_OR_RETURN(
          const absl::Span<const float> mean,
          parts_.TakeDense(result, fate, ChunkOf(gradients, layout, result.chunk)));
      if (mean.empty()) return absl::OkStatus();
      state_.ChunkMoved(result.chunk);
      return state_.moments().MoveMoments(layout.chunks()[result.chunk].offset, mean);
    };
    TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, apply));
    parts_.CountStep();
    for (size_t l = 0; l < state_.layers().size(); ++l) {
      if (state_.HasMoved(l)) TALLY_RETURN_IF_ERROR(state_.StepLayer(l, parameters));
    }
    return absl::OkStatus();
  }

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    options_.adam.learning_rate = learning_rate;
    state_.set_learning_rate(learning_rate);
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override {
    OptimizerStatistics statistics = parts_.Statistics();
    statistics.compressing = false;
    return statistics;
  }

  absl::Status Follow(absl::Span<float> parameters) override {
    const InputGuard::Following following(&parts_.guard());
    // Nothing that is not accepted is read.
    return Step(parameters, parameters);
  }

  std::string Save(StateScope scope) const override {
    if (parts_.driver().failed()) return "";
    SavedStateWriter writer = parts_.BeginSave(name(), scope);
    state_.Save(writer);
    return std::move(writer).Finish();
  }

  absl::Status LoadState(absl::string_view bytes) override {
    TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
    TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
    LambState state = NewState();
    TALLY_RETURN_IF_ERROR(state.Load(saved));
    TALLY_RETURN_IF_ERROR(parts_.Load(saved));
    state_ = std::move(state);
    return absl::OkStatus();
  }

 private:
  LambState NewState() const {
    return LambState(options_.adam, options_.rates, &parts_.layout(), &parts_.backend());
  }

  DenseLambOptions options_;
  MethodParts parts_;
  LambState state_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateDenseLamb(Exchanger* exchanger,
                                                           const DenseLambOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateAdamOptions(options.adam));
  TALLY_RETURN_IF_ERROR(ValidateLayerRateOptions(options.rates));
  const Exchange exchange = {DenseExchange{options.dtype}, Divisor::kParticipants};
  TALLY_RETURN_IF_ERROR(CheckExchange(exchange, exchanger->layout()));
  return std::make_unique<DenseLamb>(exchanger, options);
}

}  // namespace tally
