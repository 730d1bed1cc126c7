#include "client/optimizers/birder.h"

#include <string>
#include <utility>
#include <vector>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/birder_moments.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/sgd_options.h"
#include "client/optimizers/step_arguments.h"
#include "client/optimizers/vote_result.h"
#include "client/state_scope.h"
#include "codecs/draw_key.h"
#include "codecs/vote_codec.h"

namespace tally {
namespace {

class Birder final : public Optimizer {
 public:
  Birder(Exchanger* exchanger, const BirderOptions& options)
      : options_(options),
        step_options_(StepOptionsOf(options)),
        exchange_(VoteExchangeOf(options)),
        exchanger_(*exchanger),
        parts_(exchanger, options.method),
        moment_(exchanger->layout().num_elements()),
        magnitude_(exchanger->layout().num_elements()) {}

  absl::string_view name() const override { return "birder"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override {
    const Layout& layout = parts_.layout();
    TALLY_RETURN_IF_ERROR(CheckStepArguments(layout, parameters, gradients));
    const ScopedFloatEnvironment float_environment;
    parts_.BeginStep();
    const uint64_t round = exchanger_.next_round();
    const auto encode = [&](uint32_t chunk) {
      const absl::Span<const float> gradient = ChunkOf(gradients, layout, chunk);
      return layout.chunks()[chunk].dense ? parts_.EncodeDense(chunk, gradient)
                                          : Vote(chunk, round, gradient);
    };
    const auto apply = [&](const ChunkResult& result, Fate fate) -> absl::Status {
      const absl::Span<const float> gradient = ChunkOf(gradients, layout, result.chunk);
      TALLY_ASSIGN_OR_RETURN(const bool moves, layout.chunks()[result.chunk].dense
                                                   ? DenseDirection(result, fate, gradient)
                                                   : VotedDirection(result, fate));
      if (!moves) return absl::OkStatus();
      return StepAgainst(step_options_, parts_.backend(), absl::MakeSpan(direction_),
                         ChunkOf(parameters, layout, result.chunk));
    };
    TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, apply));
    parts_.CountStep();
    return absl::OkStatus();
  }

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    step_options_.learning_rate = learning_rate;
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override { return parts_.Statistics(); }

  absl::optional<RoundQuality> quality() const override {
    return parts_.quality().Report([] { return 0.0; });
  }

  absl::Status Follow(absl::Span<float> parameters) override {
    const InputGuard::Following following(&parts_.guard());
    // Nothing that is not accepted is read.
    return Step(parameters, parameters);
  }

  std::string Save(StateScope scope) const override {
    if (parts_.driver().failed()) return "";
    SavedStateWriter writer = parts_.BeginSave(name(), scope);
    writer.AddValues<float>("moment", moment_);
    writer.AddValues<float>("magnitude", magnitude_);
    return std::move(writer).Finish();
  }

  absl::Status LoadState(absl::string_view bytes) override {
    TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
    TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
    std::vector<float> moment(moment_.size());
    std::vector<float> magnitude(magnitude_.size());
    TALLY_RETURN_IF_ERROR(saved.Values("moment", absl::MakeSpan(moment)));
    TALLY_RETURN_IF_ERROR(saved.Values("magnitude", absl::MakeSpan(magnitude)));
    TALLY_RETURN_IF_ERROR(parts_.Load(saved));
    moment_ = std::move(moment);
    magnitude_ = std::move(magnitude);
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<ChunkContribution> Vote(uint32_t chunk, uint64_t round,
                                         absl::Span<const float> gradient) {
    TALLY_ASSIGN_OR_RETURN(const bool takes_part, parts_.TakesPart(chunk, gradient));
    if (!takes_part) return ChunkContribution{exchange_, absl::nullopt};
    const uint64_t offset = parts_.layout().chunks()[chunk].offset;
    const uint64_t key = DrawKey(exchanger_.run_seed(), DrawRole::kVote, exchanger_.worker());
    Buffer ballot(VotePayloadBytes(gradient.size()));
    BinariseArgs args = BallotOf(options_, parts_.steps() + 1);
    args.moment = absl::MakeSpan(moment_).subspan(offset, gradient.size());
    args.magnitude = absl::MakeSpan(magnitude_).subspan(offset, gradient.size());
    args.gradient = gradient;
    args.draws = {.key = key, .round = round, .first_element = offset};
    args.bits = ballot.bytes();
    TALLY_RETURN_IF_ERROR(parts_.backend().votes().Binarise(args));
    return ChunkContribution{exchange_, std::move(ballot)};
  }

  // Both write direction_ of the chunk; false: there is none.
  absl::StatusOr<bool> VotedDirection(const ChunkResult& result, Fate fate) {
    if (!result.exchange.has_value()) return false;
    direction_.resize(parts_.layout().chunks()[result.chunk].num_elements);
    TALLY_RETURN_IF_ERROR(DecodeVoteResult(result, parts_.backend(), absl::MakeSpan(direction_)));
    ClearMasked(parts_.layout().live(result.chunk), absl::MakeSpan(direction_));
    if (fate != Fate::kAbstained) Measure(result.chunk);
    return true;
  }
  absl::StatusOr<bool> DenseDirection(const ChunkResult& result, Fate fate,
                                      absl::Span<const float> gradient) {
    TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> mean,
                           parts_.TakeDense(result, fate, gradient));
    direction_.resize(mean.size());
    const uint64_t offset = parts_.layout().chunks()[result.chunk].offset;
    MoveShares(options_, parts_.steps() + 1, mean,
               absl::MakeSpan(moment_).subspan(offset, mean.size()),
               absl::MakeSpan(magnitude_).subspan(offset, mean.size()), absl::MakeSpan(direction_));
    return !mean.empty();
  }

  // Of a chunk whose outcome is direction_.
  void Measure(uint32_t chunk) {
    if (!parts_.quality().measures()) return;
    const uint64_t offset = parts_.layout().chunks()[chunk].offset;
    vote_.resize(direction_.size());
    for (size_t i = 0; i < vote_.size(); ++i) {
      vote_[i] = ShareOf(moment_[offset + i], magnitude_[offset + i]);
    }
    ClearMasked(parts_.layout().live(chunk), absl::MakeSpan(vote_));
    parts_.quality().Add(chunk, vote_, direction_);
  }

  const BirderOptions options_;
  SgdOptions step_options_;
  const Exchange exchange_;
  Exchanger& exchanger_;
  MethodParts parts_;
  std::vector<float> moment_;     // m: this worker's; of dense tensors everybody's
  std::vector<float> magnitude_;  // b, likewise
  std::vector<float> direction_;  // of one chunk
  std::vector<float> vote_;       // u of one chunk, of a round that is measured
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateBirder(Exchanger* exchanger,
                                                        const BirderOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateBirderOptions(options, exchanger->layout()));
  return std::make_unique<Birder>(exchanger, options);
}

}  // namespace tally
