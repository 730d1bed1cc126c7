#include "client/optimizers/dense_sgd.h"

#include <string>
#include <utility>
#include <vector>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/step_arguments.h"
#include "client/state_scope.h"

namespace tally {
namespace {

class DenseSgd final : public Optimizer {
 public:
  DenseSgd(Exchanger* exchanger, const SgdOptions& options)
      : options_(options),
        parts_(exchanger, options.method),
        momentum_(exchanger->layout().num_elements()) {}

  absl::string_view name() const override { return "dense_sgd"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override {
    const Layout& layout = parts_.layout();
    TALLY_RETURN_IF_ERROR(CheckStepArguments(layout, parameters, gradients));
    const ScopedFloatEnvironment float_environment;
    const auto encode = [&](uint32_t chunk) {
      return parts_.EncodeDense(chunk, ChunkOf(gradients, layout, chunk));
    };
    const auto apply = [&](const ChunkResult& result, Fate fate) -> absl::Status {
      TALLY_ASSIGN_OR_RETURN(
          const absl::Span<const float> mean,
          parts_.TakeDense(result, fate, ChunkOf(gradients, layout, result.chunk)));
      if (mean.empty()) return absl::OkStatus();
      const absl::Span<float> momentum = ChunkOf(absl::MakeSpan(momentum_), layout, result.chunk);
      TALLY_RETURN_IF_ERROR(
          parts_.backend().Blend(options_.momentum, momentum, 1.0f, mean, momentum));
      direction_.assign(momentum.begin(), momentum.end());
      return StepAgainst(options_, parts_.backend(), absl::MakeSpan(direction_),
                         ChunkOf(parameters, layout, result.chunk));
    };
    TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, apply));
    parts_.CountStep();
    return absl::OkStatus();
  }

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    options_.learning_rate = learning_rate;
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
    writer.AddValues<float>("momentum", momentum_);
    return std::move(writer).Finish();
  }

  absl::Status LoadState(absl::string_view bytes) override {
    TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
    TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
    std::vector<float> momentum(momentum_.size());
    TALLY_RETURN_IF_ERROR(saved.Values("momentum", absl::MakeSpan(momentum)));
    TALLY_RETURN_IF_ERROR(parts_.Load(saved));
    momentum_ = std::move(momentum);
    return absl::OkStatus();
  }

 private:
  SgdOptions options_;
  MethodParts parts_;
  std::vector<float> momentum_;
  std::vector<float> direction_;  // of one chunk
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateDenseSgd(Exchanger* exchanger,
                                                          const SgdOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateSgdOptions(options));
  const Exchange exchange = {DenseExchange{options.method.dense_dtype}, Divisor::kParticipants};
  TALLY_RETURN_IF_ERROR(CheckExchange(exchange, exchanger->layout()));
  return std::make_unique<DenseSgd>(exchanger, options);
}

}  // namespace tally
