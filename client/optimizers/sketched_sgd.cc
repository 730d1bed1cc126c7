#include "client/optimizers/sketched_sgd.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/dealt_gradient.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/sketch_feedback.h"
#include "client/optimizers/sketched_sum.h"
#include "client/optimizers/step_arguments.h"
#include "client/state_scope.h"

namespace tally {
namespace {

void WeightOne(uint64_t, absl::Span<float> out) { std::fill(out.begin(), out.end(), 1.0f); }

class SketchedSgd final : public Optimizer {
 public:
  SketchedSgd(Exchanger* exchanger, const SketchedSgdOptions& options)
      : options_(options),
        exchanger_(*exchanger),
        parts_(exchanger, options.sgd.method),
        feedback_(&parts_.layout(), options.sketch, exchanger->run_seed(), &parts_.backend()),
        momentum_(parts_.layout().num_elements()) {}

  absl::string_view name() const override { return "sketched_sgd"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override {
    const Layout& layout = parts_.layout();
    TALLY_RETURN_IF_ERROR(CheckStepArguments(layout, parameters, gradients));
    const ScopedFloatEnvironment float_environment;
    parts_.BeginStep();
    feedback_.StartRound(exchanger_.next_round(), &parts_.quality());
    const auto encode = [&](uint32_t chunk) -> absl::StatusOr<ChunkContribution> {
      if (layout.chunks()[chunk].dense) {
        return parts_.EncodeDense(chunk, ChunkOf(gradients, layout, chunk));
      }
      TALLY_ASSIGN_OR_RETURN(const bool takes_part, DealtTakesPart(parts_, chunk, gradients));
      if (!takes_part) return feedback_.Abstain(chunk);
      const auto put_in = [&](uint64_t offset, absl::Span<float> sum) {
        return PutIn(offset, gradients, parameters, sum);
      };
      return feedback_.Encode(chunk, put_in, WeightOne);
    };
    const auto answer = [&](const ChunkResult& result, Fate fate) {
      return feedback_.Answer(result, fate);
    };
    const auto apply = [&](const ChunkResult& result, Fate fate) {
      return layout.chunks()[result.chunk].dense ? ApplyDense(result, fate, parameters, gradients)
                                                 : feedback_.Take(result, fate);
    };
    TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, answer, apply));
    TALLY_ASSIGN_OR_RETURN(const std::vector<SketchFeedback::Chosen> update,
                           feedback_.ChooseUpdate(WeightOne));
    for (const SketchFeedback::Chosen& chosen : update) {
      parameters[chosen.index] -= options_.sgd.learning_rate * chosen.value;
      if (chosen.counted) momentum_[chosen.index] = 0.0f;
    }
    parts_.CountStep();
    return absl::OkStatus();
  }

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    options_.sgd.learning_rate = learning_rate;
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override {
    OptimizerStatistics statistics = parts_.Statistics();
    statistics.residual_norm = feedback_.Norm();
    return statistics;
  }

  absl::optional<RoundQuality> quality() const override {
    return parts_.quality().Report([this] { return feedback_.Norm(); });
  }

  absl::Status Follow(absl::Span<float> parameters) override {
    const InputGuard::Following following(&parts_.guard());
    // Nothing that is not accepted is read.
    return Step(parameters, parameters);
  }

  std::vector<float> Residual() const override {
    const ScopedFloatEnvironment float_environment;
    return feedback_.Residual();
  }

  absl::Status Inherit(uint64_t offset, absl::Span<const float> x) override {
    const ScopedFloatEnvironment float_environment;
    return feedback_.Add(offset, x);
  }

  std::string Save(StateScope scope) const override {
    if (parts_.driver().failed()) return "";
    SavedStateWriter writer = parts_.BeginSave(name(), scope);
    writer.AddValues<float>("momentum", momentum_);
    SaveSketchedSum(feedback_.sum(), writer);
    return std::move(writer).Finish();
  }

  absl::Status LoadState(absl::string_view bytes) override {
    TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
    TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
    std::vector<float> momentum(momentum_.size());
    TALLY_RETURN_IF_ERROR(saved.Values("momentum", absl::MakeSpan(momentum)));
    TALLY_ASSIGN_OR_RETURN(std::vector<float> sum, LoadSketchedSum(saved, parts_.layout()));
    TALLY_RETURN_IF_ERROR(parts_.Load(saved));
    feedback_.Restore(std::move(sum));
    momentum_ = std::move(momentum);
    return absl::OkStatus();
  }

 private:
  absl::Status PutIn(uint64_t offset, absl::Span<const float> gradients,
                     absl::Span<const float> parameters, absl::Span<float> sum) {
    const absl::Span<float> momentum = absl::MakeSpan(momentum_).subspan(offset, sum.size());
    const Backend& backend = parts_.backend();
    TALLY_RETURN_IF_ERROR(backend.Blend(options_.sgd.momentum, momentum, 1.0f,
                                        gradients.subspan(offset, sum.size()), momentum));
    if (options_.sgd.weight_decay != 0.0f) {
      TALLY_RETURN_IF_ERROR(backend.Blend(1.0f, momentum, options_.sgd.weight_decay,
                                          parameters.subspan(offset, sum.size()), momentum));
    }
    return backend.Blend(1.0f, sum, 1.0f, momentum, sum);
  }

  absl::Status ApplyDense(const ChunkResult& result, Fate fate, absl::Span<float> parameters,
                          absl::Span<const float> gradients) {
    const Layout& layout = parts_.layout();
    TALLY_ASSIGN_OR_RETURN(
        const absl::Span<const float> mean,
        parts_.TakeDense(result, fate, ChunkOf(gradients, layout, result.chunk)));
    if (mean.empty()) return absl::OkStatus();
    const absl::Span<float> momentum = ChunkOf(absl::MakeSpan(momentum_), layout, result.chunk);
    TALLY_RETURN_IF_ERROR(
        parts_.backend().Blend(options_.sgd.momentum, momentum, 1.0f, mean, momentum));
    std::vector<float> direction(momentum.begin(), momentum.end());
    return StepAgainst(options_.sgd, parts_.backend(), absl::MakeSpan(direction),
                       ChunkOf(parameters, layout, result.chunk));
  }

  SketchedSgdOptions options_;
  Exchanger& exchanger_;
  MethodParts parts_;
  SketchFeedback feedback_;
  std::vector<float> momentum_;  // u: this worker's; of dense tensors everybody's
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateSketchedSgd(Exchanger* exchanger,
                                                             const SketchedSgdOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateSgdOptions(options.sgd));
  TALLY_RETURN_IF_ERROR(ValidateSketchOptions(options.sketch, exchanger->layout()));
  return std::make_unique<SketchedSgd>(exchanger, options);
}

}  // namespace tally
