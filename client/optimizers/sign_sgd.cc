#include "client/optimizers/sign_sgd.h"

#include <string>
#include <utility>
#include <vector>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/step_arguments.h"
#include "client/optimizers/vote_result.h"
#include "client/state_scope.h"
#include "codecs/vote_codec.h"

namespace tally {
namespace {

class SignSgd final : public Optimizer {
 public:
  SignSgd(Exchanger* exchanger, const SgdOptions& options, const Exchange& exchange)
      : options_(options),
        exchange_(exchange),
        parts_(exchanger, options.method),
        momentum_(exchanger->layout().num_elements()) {}

  absl::string_view name() const override { return "sign_sgd"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override {
    const Layout& layout = parts_.layout();
    TALLY_RETURN_IF_ERROR(CheckStepArguments(layout, parameters, gradients));
    const ScopedFloatEnvironment float_environment;
    parts_.BeginStep();
    const auto encode = [&](uint32_t chunk) {
      const absl::Span<const float> gradient = ChunkOf(gradients, layout, chunk);
      return layout.chunks()[chunk].dense ? parts_.EncodeDense(chunk, gradient)
                                          : Vote(chunk, gradient);
    };
    const auto apply = [&](const ChunkResult& result, Fate fate) -> absl::Status {
      direction_.resize(layout.chunks()[result.chunk].num_elements);
      if (layout.chunks()[result.chunk].dense) {
        TALLY_ASSIGN_OR_RETURN(
            const absl::Span<const float> mean,
            parts_.TakeDense(result, fate, ChunkOf(gradients, layout, result.chunk)));
        if (mean.empty()) return absl::OkStatus();
        TALLY_RETURN_IF_ERROR(DenseDirection(result.chunk, mean));
      } else {
        if (!result.exchange.has_value()) return absl::OkStatus();
        TALLY_RETURN_IF_ERROR(
            DecodeVoteResult(result, parts_.backend(), absl::MakeSpan(direction_)));
      }
      ClearMasked(layout.live(result.chunk), absl::MakeSpan(direction_));
      if (!layout.chunks()[result.chunk].dense && fate != Fate::kAbstained) {
        parts_.quality().Add(result.chunk,
                             ChunkOf(absl::MakeConstSpan(momentum_), layout, result.chunk),
                             direction_);
      }
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

  OptimizerStatistics statistics() const override { return parts_.Statistics(); }

  absl::optional<RoundQuality> quality() const override {
    return parts_.quality().Report([] { return 0.0; }, UpdateScale::kFree);
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
  absl::Status AddToMomentum(uint32_t chunk, absl::Span<const float> gradient) {
    const absl::Span<float> momentum = ChunkOf(absl::MakeSpan(momentum_), parts_.layout(), chunk);
    return parts_.backend().Blend(options_.momentum, momentum, 1.0f - options_.momentum, gradient,
                                  momentum);
  }

  absl::StatusOr<ChunkContribution> Vote(uint32_t chunk, absl::Span<const float> gradient) {
    TALLY_ASSIGN_OR_RETURN(const bool takes_part, parts_.TakesPart(chunk, gradient));
    if (!takes_part) return ChunkContribution{exchange_, absl::nullopt};
    TALLY_RETURN_IF_ERROR(AddToMomentum(chunk, gradient));
    Buffer ballot(VotePayloadBytes(gradient.size()));
    TALLY_RETURN_IF_ERROR(parts_.backend().PackSigns(
        ChunkOf(absl::MakeConstSpan(momentum_), parts_.layout(), chunk), ballot.bytes()));
    return ChunkContribution{exchange_, std::move(ballot)};
  }

  absl::Status DenseDirection(uint32_t chunk, absl::Span<const float> mean) {
    TALLY_RETURN_IF_ERROR(AddToMomentum(chunk, mean));
    const absl::Span<const float> momentum =
        ChunkOf(absl::MakeConstSpan(momentum_), parts_.layout(), chunk);
    for (size_t i = 0; i < momentum.size(); ++i) direction_[i] = momentum[i] < 0.0f ? -1.0f : 1.0f;
    return absl::OkStatus();
  }

  SgdOptions options_;
  const Exchange exchange_;
  MethodParts parts_;
  std::vector<float> momentum_;   // this worker's; of dense tensors everybody's
  std::vector<float> direction_;  // of one chunk
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateSignSgd(Exchanger* exchanger,
                                                         const SgdOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateSgdOptions(options));
  const Layout& layout = exchanger->layout();
  const Exchange dense = {DenseExchange{options.method.dense_dtype}, Divisor::kParticipants};
  const Exchange vote = {VoteExchange{VoteResult::kMajority}, Divisor::kParticipants};
  TALLY_RETURN_IF_ERROR(CheckExchange(dense, layout));
  if (!layout.chunks()[0].dense) TALLY_RETURN_IF_ERROR(CheckExchange(vote, layout));
  return std::make_unique<SignSgd>(exchanger, options, vote);
}

}  // namespace tally
