#include "client/optimizers/sketched_amsgrad.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/adam_factors.h"
#include "client/optimizers/dealt_gradient.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/sketch_feedback.h"
#include "client/optimizers/sketched_sum.h"
#include "client/optimizers/sketched_update.h"
#include "client/optimizers/step_arguments.h"
#include "client/state_scope.h"

namespace tally {
namespace {

class SketchedAmsgrad final : public Optimizer {
 public:
  SketchedAmsgrad(Exchanger* exchanger, const SketchedAmsgradOptions& options)
      : options_(options),
        exchanger_(*exchanger),
        parts_(exchanger, MethodOptionsOf(options)),
        feedback_(&parts_.layout(), options.sketch, exchanger->run_seed(), &parts_.backend()),
        factors_(options.adam),
        update_(options.adam.beta2),
        first_moment_(parts_.layout().num_elements()),
        second_moment_(parts_.layout().num_elements()),
        largest_moment_(parts_.layout().num_elements()),
        last_chosen_(parts_.layout().num_compressed()) {}

  absl::string_view name() const override { return "sketched_amsgrad"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override;

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    factors_.set_learning_rate(learning_rate);
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override {
    OptimizerStatistics statistics = parts_.Statistics();
    statistics.compressing = !warming_up();
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
    factors_.Save(writer);
    writer.AddValues<float>("first_moment", first_moment_);
    writer.AddValues<float>("second_moment", second_moment_);
    writer.AddValues<float>("largest_moment", largest_moment_);
    writer.AddValues<uint64_t>("last_chosen", last_chosen_);
    SaveSketchedSum(feedback_.sum(), writer);
    return std::move(writer).Finish();
  }

  absl::Status LoadState(absl::string_view bytes) override;

 private:
  bool warming_up() const { return parts_.steps() < options_.warmup_rounds; }

  absl::Status PutIn(uint64_t offset, absl::Span<const float> gradients, absl::Span<float> sum);
  void WriteWeights(uint64_t offset, absl::Span<float> out) const;
  // AMSGrad's step on elements [offset, offset + mean.size()) of the flat vector.
  absl::Status DenseStep(uint64_t offset, absl::Span<const float> mean, absl::Span<float> x);
  absl::Status ApplyDense(const ChunkResult& result, Fate fate, absl::Span<float> parameters,
                          absl::Span<const float> gradients);
  void Move(const SketchFeedback::Chosen& chosen, absl::Span<float> parameters);

  const SketchedAmsgradOptions options_;
  Exchanger& exchanger_;
  MethodParts parts_;
  SketchFeedback feedback_;
  AdamFactors factors_;
  const SketchedUpdate update_;
  std::vector<float> first_moment_;    // everybody's in the warm-up, then this worker's own
  std::vector<float> second_moment_;   // v, replicated
  std::vector<float> largest_moment_;  // replicated
  std::vector<uint64_t> last_chosen_;  // replicated; step, counted from 1, at which it was in K
};

absl::Status SketchedAmsgrad::Step(absl::Span<float> parameters,
                                   absl::Span<const float> gradients) {
  const Layout& layout = parts_.layout();
  TALLY_RETURN_IF_ERROR(CheckStepArguments(layout, parameters, gradients));
  const ScopedFloatEnvironment float_environment;
  factors_.BeginStep();
  const bool dense_round = warming_up();
  parts_.BeginStep();
  feedback_.StartRound(exchanger_.next_round(), &parts_.quality());
  const auto weights = [&](uint64_t offset, absl::Span<float> out) { WriteWeights(offset, out); };
  const auto put_in = [&](uint64_t offset, absl::Span<float> sum) {
    return PutIn(offset, gradients, sum);
  };
  const auto is_dense = [&](uint32_t chunk) { return dense_round || layout.chunks()[chunk].dense; };
  const auto encode = [&](uint32_t chunk) -> absl::StatusOr<ChunkContribution> {
    if (layout.chunks()[chunk].dense) {
      return parts_.EncodeDense(chunk, ChunkOf(gradients, layout, chunk));
    }
    if (dense_round) return parts_.EncodeDense(chunk, DealtOf(gradients, layout, chunk));
    TALLY_ASSIGN_OR_RETURN(const bool takes_part, DealtTakesPart(parts_, chunk, gradients));
    if (!takes_part) return feedback_.Abstain(chunk);
    return feedback_.Encode(chunk, put_in, weights);
  };
  const auto answer = [&](const ChunkResult& result, Fate fate) {
    return feedback_.Answer(result, fate);
  };
  const auto apply = [&](const ChunkResult& result, Fate fate) {
    return is_dense(result.chunk) ? ApplyDense(result, fate, parameters, gradients)
                                  : feedback_.Take(result, fate);
  };
  TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, answer, apply));
  if (dense_round) {
    parts_.CountStep();
    std::fill(last_chosen_.begin(), last_chosen_.end(), parts_.steps());
    return absl::OkStatus();
  }
  TALLY_ASSIGN_OR_RETURN(const std::vector<SketchFeedback::Chosen> update,
                         feedback_.ChooseUpdate(weights));
  parts_.CountStep();
  for (const SketchFeedback::Chosen& chosen : update) Move(chosen, parameters);
  return absl::OkStatus();
}

absl::Status SketchedAmsgrad::PutIn(uint64_t offset, absl::Span<const float> gradients,
                                    absl::Span<float> sum) {
  const absl::Span<float> moment = absl::MakeSpan(first_moment_).subspan(offset, sum.size());
  const Backend& backend = parts_.backend();
  const AdamOptions& adam = factors_.options();
  TALLY_RETURN_IF_ERROR(backend.Blend(adam.beta1, moment, factors_.one_minus_beta1(),
                                      gradients.subspan(offset, sum.size()), moment));
  return backend.Blend(1.0f, sum, adam.learning_rate * factors_.first_correction(), moment, sum);
}

void SketchedAmsgrad::WriteWeights(uint64_t offset, absl::Span<float> out) const {
  const float correction = factors_.second_correction();
  const float epsilon = factors_.options().epsilon;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = SketchedUpdate::WeightOf(largest_moment_[offset + i], correction, epsilon);
  }
}

absl::Status SketchedAmsgrad::DenseStep(uint64_t offset, absl::Span<const float> mean,
                                        absl::Span<float> x) {
  const auto range = [&](std::vector<float>& moment) {
    return absl::MakeSpan(moment).subspan(offset, mean.size());
  };
  AdamArgs args = factors_.Step();
  args.parameters = x;
  args.first_moment = range(first_moment_);
  args.second_moment = range(second_moment_);
  args.largest_moment = range(largest_moment_);
  args.gradient = mean;
  return parts_.backend().AdamStep(args);
}

absl::Status SketchedAmsgrad::ApplyDense(const ChunkResult& result, Fate fate,
                                         absl::Span<float> parameters,
                                         absl::Span<const float> gradients) {
  const Layout& layout = parts_.layout();
  const Layout::Chunk& chunk = layout.chunks()[result.chunk];
  if (!chunk.dealt) {
    TALLY_ASSIGN_OR_RETURN(
        const absl::Span<const float> mean,
        parts_.TakeDense(result, fate, ChunkOf(gradients, layout, result.chunk)));
    if (mean.empty()) return absl::OkStatus();
    return DenseStep(chunk.offset, mean, ChunkOf(parameters, layout, result.chunk));
  }
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> mean,
                         parts_.TakeDense(result, fate, DealtOf(gradients, layout, result.chunk)));
  for (size_t begin = 0; begin < mean.size(); begin += kDealtBlockElements) {
    const uint64_t offset = layout.dealing()->ElementOf(result.chunk, begin);
    const size_t size = std::min<size_t>(kDealtBlockElements, mean.size() - begin);
    TALLY_RETURN_IF_ERROR(
        DenseStep(offset, mean.subspan(begin, size), parameters.subspan(offset, size)));
  }
  return absl::OkStatus();
}

void SketchedAmsgrad::Move(const SketchFeedback::Chosen& chosen, absl::Span<float> parameters) {
  const uint64_t age = parts_.steps() - std::exchange(last_chosen_[chosen.index], parts_.steps());
  SketchedElement element = {parameters[chosen.index], second_moment_[chosen.index],
                             largest_moment_[chosen.index]};
  update_.Move(factors_, chosen.value, age, element);
  parameters[chosen.index] = element.parameter;
  second_moment_[chosen.index] = element.second_moment;
  largest_moment_[chosen.index] = element.largest_moment;
}

absl::Status SketchedAmsgrad::LoadState(absl::string_view bytes) {
  TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
  TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
  AdamFactors factors = factors_;
  std::vector<float> first(first_moment_.size());
  std::vector<float> second(first_moment_.size());
  std::vector<float> largest(first_moment_.size());
  std::vector<uint64_t> last_chosen(last_chosen_.size());
  TALLY_RETURN_IF_ERROR(factors.Load(saved));
  TALLY_RETURN_IF_ERROR(saved.Values("first_moment", absl::MakeSpan(first)));
  TALLY_RETURN_IF_ERROR(saved.Values("second_moment", absl::MakeSpan(second)));
  TALLY_RETURN_IF_ERROR(saved.Values("largest_moment", absl::MakeSpan(largest)));
  TALLY_RETURN_IF_ERROR(saved.Values("last_chosen", absl::MakeSpan(last_chosen)));
  TALLY_ASSIGN_OR_RETURN(std::vector<float> sum, LoadSketchedSum(saved, parts_.layout()));
  TALLY_RETURN_IF_ERROR(parts_.Load(saved));
  feedback_.Restore(std::move(sum));
  factors_ = factors;
  first_moment_ = std::move(first);
  second_moment_ = std::move(second);
  largest_moment_ = std::move(largest);
  last_chosen_ = std::move(last_chosen);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateSketchedAmsgrad(
    Exchanger* exchanger, const SketchedAmsgradOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateSketchedAmsgradOptions(options, exchanger->layout()));
  return std::make_unique<SketchedAmsgrad>(exchanger, options);
}

}  // namespace tally
