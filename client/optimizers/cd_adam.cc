#include "client/optimizers/cd_adam.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/adam_state.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/sparse_feedback.h"
#include "client/optimizers/step_arguments.h"
#include "client/optimizers/tracked_signs.h"
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
                           .backend = options.adam.backend}),
        state_(NewState()),
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
    const auto encode = [&](uint32_t chunk) {
      const absl::Span<const float> gradient = ChunkOf(gradients, layout, chunk);
      return layout.chunks()[chunk].dense ? parts_.EncodeDense(chunk, gradient)
                                          : Encode(chunk, gradient);
    };
    const auto apply = [&](const ChunkResult& result, Fate fate) -> absl::Status {
      const uint32_t chunk = result.chunk;
      absl::Span<const float> gradient;
      if (layout.chunks()[chunk].dense) {
        TALLY_ASSIGN_OR_RETURN(gradient,
                               parts_.TakeDense(result, fate, ChunkOf(gradients, layout, chunk)));
      } else {
        TALLY_RETURN_IF_ERROR(Settle(chunk, fate));
        if (result.exchange.has_value()) {
          TALLY_RETURN_IF_ERROR(tracks_signs() ? AddSigns(result) : AddSparse(result));
          gradient = ChunkOf(absl::MakeConstSpan(shared_), layout, chunk);
        }
      }
      if (gradient.empty()) return absl::OkStatus();
      return state_.Step(layout.chunks()[chunk].offset, gradient,
                         ChunkOf(parameters, layout, chunk));
    };
    TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, apply));
    parts_.CountStep();
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
    if (tracks_signs()) statistics.residual_norm = signs_.LagNorm();
    return statistics;
  }

  std::string SaveState() const override {
    if (parts_.driver().failed()) return "";
    SavedStateWriter writer = parts_.BeginSave(name());
    state_.Save(writer);
    writer.AddValues<float>("shared", shared_);
    if (tracks_signs()) {
      signs_.Save(writer);
    } else {
      writer.AddValues<float>("tracked", tracked_);
    }
    return std::move(writer).Finish();
  }

  absl::Status LoadState(absl::string_view bytes) override {
    TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
    TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), parts_.layout()));
    AdamState state = NewState();
    TALLY_RETURN_IF_ERROR(state.Load(saved));
    std::vector<float> shared(shared_.size());
    TALLY_RETURN_IF_ERROR(saved.Values("shared", absl::MakeSpan(shared)));
    std::vector<float> tracked(shared_.size());
    TALLY_RETURN_IF_ERROR(saved.Values("tracked", absl::MakeSpan(tracked)));
    TALLY_RETURN_IF_ERROR(parts_.Load(saved));
    if (tracks_signs()) {
      TALLY_RETURN_IF_ERROR(signs_.Load(saved));
    } else {
      tracked_ = std::move(tracked);
    }
    state_ = std::move(state);
    shared_ = std::move(shared);
    return absl::OkStatus();
  }

 private:
  bool tracks_signs() const { return options_.compressor == CdAdamCompressor::kSign; }

  AdamState NewState() const {
    return AdamState(options_.adam, /*amsgrad=*/true, parts_.layout().num_elements(),
                     &parts_.backend());
  }

  Exchange ExchangeOf(uint32_t chunk) const {
    if (tracks_signs()) return sign_exchange_;
    return {SparseExchangeOf(parts_.layout().chunks()[chunk], options_.share), Divisor::kRoster};
  }

  absl::StatusOr<ChunkContribution> Encode(uint32_t chunk, absl::Span<const float> gradient) {
    ChunkContribution contribution = {ExchangeOf(chunk), absl::nullopt};
    TALLY_ASSIGN_OR_RETURN(const bool takes_part, parts_.TakesPart(chunk, gradient));
    if (!takes_part) return contribution;
    if (tracks_signs()) {
      TALLY_ASSIGN_OR_RETURN(contribution.payload, signs_.Encode(chunk, gradient));
      return contribution;
    }
    const absl::Span<const float> tracked =
        ChunkOf(absl::MakeConstSpan(tracked_), parts_.layout(), chunk);
    lag_.resize(gradient.size());
    TALLY_RETURN_IF_ERROR(
        parts_.backend().Blend(1.0f, gradient, -1.0f, tracked, absl::MakeSpan(lag_)));
    TALLY_ASSIGN_OR_RETURN(
        contribution.payload,
        sparse_.Encode(chunk, absl::get<SparseExchange>(contribution.exchange.kind), lag_));
    return contribution;
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
  TrackedSigns signs_;          // kSign
  SparseFeedback sparse_;       // kTopk
  std::vector<float> tracked_;  // kTopk: [num_compressed]
  std::vector<float> shared_;   // [num_compressed]
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
