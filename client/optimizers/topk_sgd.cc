#include "client/optimizers/topk_sgd.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/sparse_feedback.h"
#include "client/optimizers/step_arguments.h"
#include "client/state_scope.h"

namespace tally {
namespace {

class TopkSgd final : public Optimizer {
 public:
  TopkSgd(Exchanger* exchanger, const TopkSgdOptions& options)
      : options_(options),
        parts_(exchanger, options.sgd.method),
        feedback_(&exchanger->layout(), &parts_.backend()),
        residual_(exchanger->layout().num_compressed()),
        momentum_(exchanger->layout().num_elements()) {}

  absl::string_view name() const override { return "topk_sgd"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override {
    const Layout& layout = parts_.layout();
    TALLY_RETURN_IF_ERROR(CheckStepArguments(layout, parameters, gradients));
    const ScopedFloatEnvironment float_environment;
    parts_.BeginStep();
    const auto encode = [&](uint32_t chunk) {
      const absl::Span<const float> gradient = ChunkOf(gradients, layout, chunk);
      return layout.chunks()[chunk].dense ? parts_.EncodeDense(chunk, gradient)
                                          : Encode(chunk, gradient);
    };
    const auto apply = [&](const ChunkResult& result, Fate fate) -> absl::Status {
      const uint32_t chunk = result.chunk;
      direction_.assign(layout.chunks()[chunk].num_elements, 0.0f);
      if (layout.chunks()[chunk].dense) {
        TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> mean,
                               parts_.TakeDense(result, fate, ChunkOf(gradients, layout, chunk)));
        std::copy(mean.begin(), mean.end(), direction_.begin());
      } else {
        const absl::Span<float> residual = ChunkOf(absl::MakeSpan(residual_), layout, chunk);
        if (result.exchange.has_value()) {
          TALLY_RETURN_IF_ERROR(AddSparseResult(result, absl::MakeSpan(direction_)));
          if (fate != Fate::kAbstained) parts_.quality().Add(chunk, residual, direction_);
        }
        feedback_.Settle(chunk, fate, -1.0f, residual);
      }
      if (!result.exchange.has_value()) return absl::OkStatus();
      return Move(chunk, ChunkOf(parameters, layout, chunk));
    };
    TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, apply));
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
    statistics.residual_norm = std::sqrt(parts_.backend().SumOfSquares(residual_));
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
    std::vector<float> flat = residual_;
    flat.resize(parts_.layout().num_elements());
    return flat;
  }

  absl::Status Inherit(uint64_t offset, absl::Span<const float> x) override {
    const ScopedFloatEnvironment float_environment;
    const absl::Span<float> residual = absl::MakeSpan(residual_).subspan(offset, x.size());
    return parts_.backend().Blend(1.0f, residual, 1.0f, x, residual);
  }

  std::string Save(StateScope scope) const override {
    if (parts_.driver().failed()) return "";
    SavedStateWriter writer = parts_.BeginSave(name(), scope);
    if (!writer.is_shared()) writer.AddValues<float>("residual", residual_);
    writer.AddValues<float>("momentum", momentum_);
    return std::move(writer).Finish();
  }

  absl::Status LoadState(absl::string_view bytes) override {
    TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
    TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
    std::vector<float> residual(residual_.size());
    std::vector<float> momentum(momentum_.size());
    if (!saved.is_shared()) {
      TALLY_RETURN_IF_ERROR(saved.Values("residual", absl::MakeSpan(residual)));
    }
    TALLY_RETURN_IF_ERROR(saved.Values("momentum", absl::MakeSpan(momentum)));
    TALLY_RETURN_IF_ERROR(parts_.Load(saved));
    residual_ = std::move(residual);
    momentum_ = std::move(momentum);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<ChunkContribution> Encode(uint32_t chunk, absl::Span<const float> gradient) {
    const SparseExchange exchange =
        SparseExchangeOf(parts_.layout().chunks()[chunk], options_.share);
    ChunkContribution contribution = {{exchange, Divisor::kParticipants}, absl::nullopt};
    TALLY_ASSIGN_OR_RETURN(const bool takes_part, parts_.TakesPart(chunk, gradient));
    if (!takes_part) return contribution;
    const absl::Span<float> residual = ChunkOf(absl::MakeSpan(residual_), parts_.layout(), chunk);
    TALLY_RETURN_IF_ERROR(parts_.backend().Blend(1.0f, residual, 1.0f, gradient, residual));
    TALLY_ASSIGN_OR_RETURN(contribution.payload, feedback_.Encode(chunk, exchange, residual));
    return contribution;
  }

  // One step of the chunk along direction_.
  absl::Status Move(uint32_t chunk, absl::Span<float> x) {
    const absl::Span<float> momentum = ChunkOf(absl::MakeSpan(momentum_), parts_.layout(), chunk);
    TALLY_RETURN_IF_ERROR(
        parts_.backend().Blend(options_.sgd.momentum, momentum, 1.0f, direction_, momentum));
    std::copy(momentum.begin(), momentum.end(), direction_.begin());
    return StepAgainst(options_.sgd, parts_.backend(), absl::MakeSpan(direction_), x);
  }

  TopkSgdOptions options_;
  MethodParts parts_;
  SparseFeedback feedback_;
  std::vector<float> residual_;   // a [num_compressed]
  std::vector<float> momentum_;   // u
  std::vector<float> direction_;  // of one chunk
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateTopkSgd(Exchanger* exchanger,
                                                         const TopkSgdOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateSgdOptions(options.sgd));
  if (!(options.share > 0.0 && options.share <= 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`share` = ", options.share, ", must be in (0, 1]"));
  }
  const Exchange dense = {DenseExchange{options.sgd.method.dense_dtype}, Divisor::kParticipants};
  TALLY_RETURN_IF_ERROR(CheckExchange(dense, exchanger->layout()));
  return std::make_unique<TopkSgd>(exchanger, options);
}

}  // namespace tally
