#include "client/optimizers/cd_adam.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/adam_state.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/sparse_feedback.h"
#include "client/optimizers/step_arguments.h"
#include "client/optimizers/tracked_signs.h"
#include "client/optimizers/vote_result.h"
#include "client/state_scope.h"
#include "codecs/sign_codec.h"

namespace tally {
namespace {

ScaleGranularity GranularityOf(const CdAdamOptions& options) {
  return {.unit = ScaleGranularity::Unit::kBlock, .block_elements = options.block_elements};
}

class CdAdam final : public Optimizer {
 public:
  CdAdam(Exchanger* exchanger, const CdAdamOptions& options, const Exchange& sign_exchange)
      : options_(options),
        sign_exchange_(sign_exchange),
        parts_(exchanger, {.dense_dtype = options.dense_dtype,
                           .non_finite = options.adam.non_finite,
                           .quality_interval = options.adam.quality_interval,
                           .backend = options.adam.backend}),
        state_(NewState()),
        input_(NewInput()),
        signs_(&parts_.layout(), options.scale_rule, GranularityOf(options), &parts_.backend()),
        sparse_(&parts_.layout(), &parts_.backend()),
        shared_(parts_.layout().num_compressed()),
        piece_scales_(signs_.segments().max_pieces()) {
    if (!tracks_signs()) tracked_.resize(shared_.size());
  }

  absl::string_view name() const override { return "cd_adam"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override {
    const Layout& layout = parts_.layout();
    TALLY_RETURN_IF_ERROR(CheckStepArguments(layout, parameters, gradients));
    const ScopedFloatEnvironment float_environment;
    state_.BeginStep();
    parts_.BeginStep();
    const auto encode = [&](uint32_t chunk) {
      const absl::Span<const float> gradient = ChunkOf(gradients, layout, chunk);
      return IsDense(chunk) ? parts_.EncodeDense(chunk, gradient) : Encode(chunk, gradient);
    };
    const auto apply = [&](const ChunkResult& result, Fate fate) {
      const absl::Span<const float> gradient = ChunkOf(gradients, layout, result.chunk);
      const absl::Span<float> x = ChunkOf(parameters, layout, result.chunk);
      return IsDense(result.chunk) ? ApplyDense(result, fate, gradient, x)
                                   : ApplyTracked(result, fate, gradient, x);
    };
    TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, apply));
    parts_.CountStep();
    if (parts_.steps() == options_.warmup_rounds) StartTracking();
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
    statistics.compressing = !warming_up();
    if (tracks_signs()) statistics.residual_norm = signs_.LagNorm();
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

  std::string Save(StateScope scope) const override {
    if (parts_.driver().failed()) return "";
    SavedStateWriter writer = parts_.BeginSave(name(), scope);
    state_.Save(writer);
    input_.Save(writer);
    writer.AddValues<float>("shared", shared_);
    writer.AddValues<float>("tracked", tracks_signs() ? signs_.tracked() : tracked_);
    return std::move(writer).Finish();
  }

  absl::Status LoadState(absl::string_view bytes) override {
    TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
    TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
    AdamState state = NewState();
    TALLY_RETURN_IF_ERROR(state.Load(saved));
    TrackedInput input = NewInput();
    const bool has_units = options_.warmup_rounds > 0 && saved.steps() >= options_.warmup_rounds;
    TALLY_RETURN_IF_ERROR(input.Load(saved, has_units));
    std::vector<float> shared(shared_.size());
    TALLY_RETURN_IF_ERROR(saved.Values("shared", absl::MakeSpan(shared)));
    std::vector<float> tracked(shared_.size());
    TALLY_RETURN_IF_ERROR(saved.Values("tracked", absl::MakeSpan(tracked)));
    TALLY_RETURN_IF_ERROR(parts_.Load(saved));
    std::copy(tracked.begin(), tracked.end(), this->tracked().begin());
    state_ = std::move(state);
    input_ = std::move(input);
    shared_ = std::move(shared);
    return absl::OkStatus();
  }

 private:
  bool tracks_signs() const { return options_.compressor == CdAdamCompressor::kSign; }
  bool tracks_momentum() const { return input_.tracking() == Tracking::kMomentum; }
  bool warming_up() const { return parts_.steps() < options_.warmup_rounds; }
  bool IsDense(uint32_t chunk) const {
    return warming_up() || parts_.layout().chunks()[chunk].dense;
  }
  // [num_compressed] What the aggregator believes this worker's input to be.
  absl::Span<float> tracked() {
    return tracks_signs() ? signs_.tracked() : absl::MakeSpan(tracked_);
  }

  AdamState NewState() const {
    return AdamState(options_.adam, /*amsgrad=*/true, parts_.layout().num_elements(),
                     &parts_.backend());
  }

  TrackedInput NewInput() const {
    return TrackedInput(options_.tracking, options_.adam.beta1, parts_.layout().num_compressed(),
                        &parts_.backend());
  }

  // Everybody's momentum and second moment, as the warm-up leaves them, are where tracking starts.
  void StartTracking() {
    const Layout& layout = parts_.layout();
    std::vector<float> root(shared_.size());
    state_.WriteRoot(0, absl::MakeSpan(root));
    const absl::Span<const float> momentum = state_.first_moment(0, shared_.size());
    input_.SetUnits(root, momentum, options_.block_elements);
    // Of a gradient the momentum is the best estimate there is.
    input_.Write(0, momentum, absl::MakeSpan(shared_));
    for (uint32_t c = 0; c < layout.chunks().size() && !layout.chunks()[c].dense; ++c) {
      ClearMasked(layout.live(c), ChunkOf(absl::MakeSpan(shared_), layout, c));
      parts_.carry().Drop(c);
    }
    std::copy(shared_.begin(), shared_.end(), tracked().begin());
  }

  Exchange ExchangeOf(uint32_t chunk) const {
    if (tracks_signs()) return sign_exchange_;
    return {SparseExchangeOf(parts_.layout().chunks()[chunk], options_.share), Divisor::kRoster};
  }

  absl::StatusOr<ChunkContribution> Encode(uint32_t chunk, absl::Span<const float> gradient) {
    ChunkContribution contribution = {ExchangeOf(chunk), absl::nullopt};
    TALLY_ASSIGN_OR_RETURN(const bool takes_part, parts_.TakesPart(chunk, gradient));
    if (!takes_part) return contribution;
    const uint64_t offset = parts_.layout().chunks()[chunk].offset;
    TALLY_RETURN_IF_ERROR(input_.Advance(offset, gradient));
    scratch_.resize(gradient.size());
    input_.Write(offset, gradient, absl::MakeSpan(scratch_));
    if (tracks_signs()) {
      TALLY_ASSIGN_OR_RETURN(contribution.payload, signs_.Encode(chunk, scratch_));
      return contribution;
    }
    const absl::Span<const float> tracked =
        ChunkOf(absl::MakeConstSpan(tracked_), parts_.layout(), chunk);
    lag_.resize(gradient.size());
    TALLY_RETURN_IF_ERROR(
        parts_.backend().Blend(1.0f, scratch_, -1.0f, tracked, absl::MakeSpan(lag_)));
    TALLY_ASSIGN_OR_RETURN(
        contribution.payload,
        sparse_.Encode(chunk, absl::get<SparseExchange>(contribution.exchange.kind), lag_));
    return contribution;
  }

  absl::Status ApplyDense(const ChunkResult& result, Fate fate, absl::Span<const float> gradient,
                          absl::Span<float> parameters) {
    TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> mean,
                           parts_.TakeDense(result, fate, gradient));
    if (mean.empty()) return absl::OkStatus();
    return state_.Step(parts_.layout().chunks()[result.chunk].offset, mean, parameters);
  }

  absl::Status ApplyTracked(const ChunkResult& result, Fate fate, absl::Span<const float> gradient,
                            absl::Span<float> parameters) {
    TALLY_RETURN_IF_ERROR(Settle(result.chunk, fate));
    if (result.exchange.has_value()) {
      TALLY_RETURN_IF_ERROR(tracks_signs() ? AddSigns(result) : AddSparse(result));
    }
    const uint64_t offset = parts_.layout().chunks()[result.chunk].offset;
    const absl::Span<const float> shared =
        ChunkOf(absl::MakeConstSpan(shared_), parts_.layout(), result.chunk);
    if (result.tracking_rebase) {
      // The roster has changed, or the aggregator has lost its residual: what was tracked sums up
      // to the mean no more.
      std::copy(shared.begin(), shared.end(),
                ChunkOf(tracked(), parts_.layout(), result.chunk).begin());
    }
    if (!result.exchange.has_value()) return absl::OkStatus();
    scratch_.resize(shared.size());
    if (parts_.quality().measures() && fate != Fate::kAbstained) {
      input_.Write(offset, gradient, absl::MakeSpan(scratch_));
      ClearMasked(parts_.layout().live(result.chunk), absl::MakeSpan(scratch_));
      parts_.quality().Add(result.chunk, scratch_, shared);
    }
    input_.WithoutUnits(offset, shared, absl::MakeSpan(scratch_));
    return tracks_momentum() ? state_.StepWithMomentum(offset, scratch_, parameters)
                             : state_.Step(offset, scratch_, parameters);
  }

  absl::Status Settle(uint32_t chunk, Fate fate) {
    if (tracks_signs()) return signs_.Settle(chunk, fate);
    sparse_.Settle(chunk, fate, 1.0f, ChunkOf(absl::MakeSpan(tracked_), parts_.layout(), chunk));
    return absl::OkStatus();
  }

  absl::Status AddSigns(const ChunkResult& result) {
    const Layout& layout = parts_.layout();
    const SegmentMap& segments = signs_.segments();
    const Layout::Chunk& chunk = layout.chunks()[result.chunk];
    const SignBlock block = SignBlockOf(result.payload->bytes(), chunk.num_elements,
                                        segments.num_segments(result.chunk));
    for (size_t t = 0; t < segments.num_tiles(result.chunk); ++t) {
      const SegmentMap::Tile tile = segments.tile(result.chunk, t);
      lag_.resize(tile.num_elements);
      TALLY_RETURN_IF_ERROR(DecodeSignTile(parts_.backend(), block, tile, layout.live(result.chunk),
                                           absl::MakeSpan(piece_scales_), absl::MakeSpan(lag_)));
      const absl::Span<float> shared =
          absl::MakeSpan(shared_).subspan(chunk.offset + tile.begin, tile.num_elements);
      TALLY_RETURN_IF_ERROR(parts_.backend().Blend(1.0f, shared, 1.0f, lag_, shared));
    }
    return absl::OkStatus();
  }

  absl::Status AddSparse(const ChunkResult& result) {
    return AddSparseResult(result, ChunkOf(absl::MakeSpan(shared_), parts_.layout(), result.chunk));
  }

  CdAdamOptions options_;
  const Exchange sign_exchange_;
  MethodParts parts_;
  AdamState state_;
  TrackedInput input_;
  TrackedSigns signs_;          // kSign
  SparseFeedback sparse_;       // kTopk
  std::vector<float> tracked_;  // kTopk: [num_compressed]
  std::vector<float> shared_;   // [num_compressed]
  std::vector<float> scratch_;  // of one chunk
  std::vector<float> lag_;      // of one chunk or tile
  std::vector<float> piece_scales_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateCdAdam(Exchanger* exchanger,
                                                        const CdAdamOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateAdamOptions(options.adam));
  if (!(options.share > 0.0 && options.share <= 1.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`share` = ", options.share, ", must be in (0, 1]"));
  }
  const Layout& layout = exchanger->layout();
  const Exchange dense = {DenseExchange{options.dense_dtype}, Divisor::kParticipants};
  const Exchange sign = {
      SignExchange{.scale_rule = options.scale_rule, .granularity = GranularityOf(options)},
      Divisor::kRoster};
  TALLY_RETURN_IF_ERROR(CheckExchange(dense, layout));
  if (!layout.chunks()[0].dense) TALLY_RETURN_IF_ERROR(CheckExchange(sign, layout));
  return std::make_unique<CdAdam>(exchanger, options, sign);
}

}  // namespace tally
