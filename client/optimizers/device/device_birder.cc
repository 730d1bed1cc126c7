#include "client/optimizers/device/device_birder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/variant.h"
#include "base/buffer.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/birder_moments.h"
#include "client/optimizers/device/device_array.h"
#include "client/optimizers/device/device_input.h"
#include "client/optimizers/device/lane_use.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/sgd_options.h"
#include "client/optimizers/step_arguments.h"
#include "client/saved_state.h"
#include "client/state_scope.h"
#include "codecs/draw_key.h"
#include "codecs/vote_codec.h"
#include "kernels/device/lane.h"
#include "kernels/sign_block.h"

namespace tally {
namespace {

class DeviceBirder final : public Optimizer {
 public:
  DeviceBirder(Exchanger* exchanger, const BirderOptions& options, std::unique_ptr<Lane> lane)
      : options_(options),
        step_options_(StepOptionsOf(options)),
        exchanger_(*exchanger),
        lane_(std::move(lane)),
        parts_(exchanger, options.method),
        dense_moment_(layout().num_elements() - layout().num_compressed()),
        dense_magnitude_(dense_moment_.size()),
        host_gradients_(layout().chunks().size()) {}
  ~DeviceBirder() override { lane_->Abandon(); }

  // After the constructor, once. Returns RESOURCE_EXHAUSTED or UNAVAILABLE as the lane does.
  absl::Status Allocate();

  // The state of the host's optimizer.
  absl::string_view name() const override { return "birder"; }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override;

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    step_options_.learning_rate = learning_rate;
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override { return parts_.Statistics(); }

  absl::Status Follow(absl::Span<float> parameters) override {
    const InputGuard::Following following(&parts_.guard());
    // Nothing that is not accepted is read.
    return Step(parameters, parameters);
  }

  std::string Save(StateScope scope) const override;
  absl::Status LoadState(absl::string_view bytes) override;

 private:
  const Layout& layout() const { return parts_.layout(); }
  absl::Status Play(absl::Span<float> parameters, absl::Span<const float> gradients);
  absl::StatusOr<ChunkContribution> EncodeDense(uint32_t chunk, absl::Span<const float> gradients);
  absl::Status EncodeBallots(uint64_t round, absl::Span<const float> gradients);
  // Both step against what came back.
  absl::Status ApplyDense(const ChunkResult& result, Fate fate, absl::Span<float> parameters);
  absl::Status ApplyVotes(const ChunkResult& result, absl::Span<float> parameters);
  // direction_ of a chunk's vote, masked elements apart.
  absl::StatusOr<absl::Span<float>> Outcome(const ChunkResult& result);
  // Moments of all elements, of which the compressed ones go to the device.
  absl::Status Upload(const std::vector<float>& moment, const std::vector<float>& magnitude);
  // As StepAgainst (client/optimizers/sgd_options.h).
  absl::Status StepAlong(absl::Span<float> direction, absl::Span<float> x);

  const BirderOptions options_;
  SgdOptions step_options_;
  Exchanger& exchanger_;
  const std::unique_ptr<Lane> lane_;
  MethodParts parts_;
  absl::Status failure_;
  // On the device: m and b of the compressed part, its masks by chunk (empty: all live), and one
  // chunk's direction, the second time without what is masked.
  DeviceArray<float> moment_;
  DeviceArray<float> magnitude_;
  std::vector<DeviceArray<uint8_t>> live_;
  DeviceArray<float> direction_;
  DeviceArray<float> live_direction_;
  // On the host: m and b of the dense part, and what was sent of it, by chunk.
  std::vector<float> dense_moment_;
  std::vector<float> dense_magnitude_;
  std::vector<std::vector<float>> host_gradients_;
  // Of the round under way, by compressed chunk.
  std::vector<absl::optional<Buffer>> ballots_;
};

absl::Status DeviceBirder::Allocate() {
  Device* const device = &lane_->device();
  for (DeviceArray<float>* const moment : {&moment_, &magnitude_}) {
    TALLY_ASSIGN_OR_RETURN(*moment, DeviceArray<float>::Create(device, layout().num_compressed()));
    TALLY_RETURN_IF_ERROR(Clear(lane_->queue(), moment->span()));
  }
  size_t largest_chunk = 0;
  size_t largest_masked = 0;
  for (uint32_t c = 0; c < layout().chunks().size(); ++c) {
    const Layout::Chunk& chunk = layout().chunks()[c];
    largest_chunk = std::max<size_t>(largest_chunk, chunk.num_elements);
    if (chunk.dense) continue;
    DeviceArray<uint8_t>& live = live_.emplace_back();
    if (layout().live(c).empty()) continue;
    largest_masked = std::max<size_t>(largest_masked, chunk.num_elements);
    TALLY_ASSIGN_OR_RETURN(live,
                           DeviceArray<uint8_t>::Create(device, BitmapBytes(chunk.num_elements)));
    TALLY_RETURN_IF_ERROR(CopyToDevice(lane_->queue(), layout().live(c), live.span()));
  }
  TALLY_ASSIGN_OR_RETURN(direction_, DeviceArray<float>::Create(device, largest_chunk));
  TALLY_ASSIGN_OR_RETURN(live_direction_, DeviceArray<float>::Create(device, largest_masked));
  return lane_->Finish();
}

absl::Status DeviceBirder::Step(absl::Span<float> parameters, absl::Span<const float> gradients) {
  TALLY_RETURN_IF_ERROR(CheckStepArguments(layout(), parameters, gradients));
  TALLY_RETURN_IF_ERROR(failure_);
  const ScopedFloatEnvironment float_environment;
  failure_ = Play(parameters, gradients);
  if (!failure_.ok()) lane_->Abandon();
  return failure_;
}

absl::Status DeviceBirder::Play(absl::Span<float> parameters, absl::Span<const float> gradients) {
  ballots_.clear();
  const uint64_t round = exchanger_.next_round();
  const auto encode = [&](uint32_t chunk) -> absl::StatusOr<ChunkContribution> {
    if (layout().chunks()[chunk].dense) return EncodeDense(chunk, gradients);
    if (ballots_.empty()) TALLY_RETURN_IF_ERROR(EncodeBallots(round, gradients));
    return ChunkContribution{VoteExchangeOf(options_), std::move(ballots_[chunk])};
  };
  const auto apply = [&](const ChunkResult& result, Fate fate) {
    return layout().chunks()[result.chunk].dense ? ApplyDense(result, fate, parameters)
                                                 : ApplyVotes(result, parameters);
  };
  TALLY_RETURN_IF_ERROR(parts_.driver().Run(encode, apply));
  TALLY_RETURN_IF_ERROR(lane_->Finish());
  parts_.CountStep();
  return absl::OkStatus();
}

absl::StatusOr<ChunkContribution> DeviceBirder::EncodeDense(uint32_t chunk,
                                                            absl::Span<const float> gradients) {
  std::vector<float>& gradient = host_gradients_[chunk];
  gradient.resize(layout().chunks()[chunk].num_elements);
  if (!parts_.guard().follows()) {
    TALLY_ASSIGN_OR_RETURN(gradient, FetchElements(ChunkOf(gradients, layout(), chunk), *lane_));
  }
  return parts_.EncodeDense(chunk, gradient);
}

absl::Status DeviceBirder::EncodeBallots(uint64_t round, absl::Span<const float> gradients) {
  TALLY_ASSIGN_OR_RETURN(const std::vector<bool> takes_part,
                         AcceptedChunks(gradients, layout(), parts_.guard(), *lane_));
  ballots_.resize(takes_part.size());
  const uint64_t key = DrawKey(exchanger_.run_seed(), DrawRole::kVote, exchanger_.worker());
  for (uint32_t c = 0; c < takes_part.size(); ++c) {
    if (!takes_part[c]) continue;
    const Layout::Chunk& chunk = layout().chunks()[c];
    ballots_[c] = Buffer(VotePayloadBytes(chunk.num_elements));
    BinariseArgs args = BallotOf(options_, parts_.steps() + 1);
    args.moment = moment_.span().subspan(chunk.offset, chunk.num_elements);
    args.magnitude = magnitude_.span().subspan(chunk.offset, chunk.num_elements);
    args.gradient = ChunkOf(gradients, layout(), c);
    args.draws = {.key = key, .round = round, .first_element = chunk.offset};
    TALLY_ASSIGN_OR_RETURN(args.bits, lane_->Out(ballots_[c]->bytes()));
    TALLY_RETURN_IF_ERROR(lane_->queue().Binarise(args));
  }
  return lane_->Finish();
}

absl::Status DeviceBirder::ApplyDense(const ChunkResult& result, Fate fate,
                                      absl::Span<float> parameters) {
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> mean,
                         parts_.TakeDense(result, fate, host_gradients_[result.chunk]));
  if (mean.empty()) return absl::OkStatus();
  const uint64_t offset = layout().chunks()[result.chunk].offset - layout().num_compressed();
  std::vector<float> shares(mean.size());
  MoveShares(options_, parts_.steps() + 1, mean,
             absl::MakeSpan(dense_moment_).subspan(offset, mean.size()),
             absl::MakeSpan(dense_magnitude_).subspan(offset, mean.size()), absl::MakeSpan(shares));
  const absl::Span<float> direction = direction_.span().first(mean.size());
  const LaneUse use(lane_.get());
  TALLY_RETURN_IF_ERROR(CopyToDevice(lane_->queue(), absl::MakeConstSpan(shares), direction));
  TALLY_RETURN_IF_ERROR(StepAlong(direction, ChunkOf(parameters, layout(), result.chunk)));
  return lane_->Finish();
}

absl::Status DeviceBirder::ApplyVotes(const ChunkResult& result, absl::Span<float> parameters) {
  if (!result.exchange.has_value()) return absl::OkStatus();
  TALLY_ASSIGN_OR_RETURN(const absl::Span<float> direction, Outcome(result));
  return StepAlong(direction, ChunkOf(parameters, layout(), result.chunk));
}

absl::StatusOr<absl::Span<float>> DeviceBirder::Outcome(const ChunkResult& result) {
  const uint32_t num_elements = layout().chunks()[result.chunk].num_elements;
  const absl::Span<const uint8_t> live = live_[result.chunk].span();
  const absl::Span<float> direction = direction_.span().first(num_elements);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> payload,
                         lane_->In(result.payload->bytes()));
  if (!options_.vote_counts) {
    // A bit is a sign of scale 1.
    const float one = 1.0f;
    SignBlock block = {.bits = payload};
    TALLY_ASSIGN_OR_RETURN(block.scales, lane_->In(absl::MakeConstSpan(&one, 1)));
    TALLY_RETURN_IF_ERROR(
        lane_->queue().SumSigns({&block, 1}, {&num_elements, 1}, live, direction));
    return direction;
  }
  TALLY_RETURN_IF_ERROR(lane_->queue().MeanOfCounts(payload, result.num_participants, direction));
  if (live.empty()) return direction;
  // What joins a sum of zeros is itself, but for what is masked.
  const absl::Span<float> masked = live_direction_.span().first(num_elements);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<double> norm, lane_->Scratch<double>(1));
  TALLY_RETURN_IF_ERROR(Clear(lane_->queue(), masked));
  TALLY_RETURN_IF_ERROR(
      lane_->queue().Accumulate({.accumulate = {.sum = masked,
                                                .input = direction,
                                                .segment_ends = {&num_elements, 1},
                                                .live = live,
                                                .rule = ScaleRule::kMeanMagnitude,
                                                .norms = norm}}));
  return masked;
}

absl::Status DeviceBirder::StepAlong(absl::Span<float> direction, absl::Span<float> x) {
  DeviceQueue& queue = lane_->queue();
  if (step_options_.weight_decay != 0.0f) {
    TALLY_RETURN_IF_ERROR(queue.Blend(1.0f, direction, step_options_.weight_decay, x, direction));
  }
  return queue.Blend(1.0f, x, -step_options_.learning_rate, direction, x);
}

std::string DeviceBirder::Save(StateScope scope) const {
  if (!failure_.ok()) return "";
  SavedStateWriter writer = parts_.BeginSave(name(), scope);
  const std::pair<absl::string_view, absl::Span<const float>> compressed[] = {
      {"moment", moment_.span()}, {"magnitude", magnitude_.span()}};
  for (const auto& [section, elements] : compressed) {
    absl::StatusOr<std::vector<float>> values = FetchElements(elements, *lane_);
    if (!values.ok()) return "";
    const std::vector<float>& dense = section == "moment" ? dense_moment_ : dense_magnitude_;
    values->insert(values->end(), dense.begin(), dense.end());
    writer.AddValues<float>(section, *values);
  }
  return std::move(writer).Finish();
}

absl::Status DeviceBirder::LoadState(absl::string_view bytes) {
  TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
  TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), layout()));
  std::vector<float> moment(layout().num_elements());
  std::vector<float> magnitude(layout().num_elements());
  TALLY_RETURN_IF_ERROR(saved.Values("moment", absl::MakeSpan(moment)));
  TALLY_RETURN_IF_ERROR(saved.Values("magnitude", absl::MakeSpan(magnitude)));
  TALLY_RETURN_IF_ERROR(parts_.Load(saved));
  const auto num_compressed = static_cast<std::ptrdiff_t>(layout().num_compressed());
  dense_moment_.assign(moment.begin() + num_compressed, moment.end());
  dense_magnitude_.assign(magnitude.begin() + num_compressed, magnitude.end());
  // Only the device can fail now, and then it has failed for good.
  failure_.Update(Upload(moment, magnitude));
  return failure_;
}

absl::Status DeviceBirder::Upload(const std::vector<float>& moment,
                                  const std::vector<float>& magnitude) {
  const auto compressed = [&](const std::vector<float>& values) {
    return absl::MakeConstSpan(values).first(layout().num_compressed());
  };
  const LaneUse use(lane_.get());
  TALLY_RETURN_IF_ERROR(CopyToDevice(lane_->queue(), compressed(moment), moment_.span()));
  TALLY_RETURN_IF_ERROR(CopyToDevice(lane_->queue(), compressed(magnitude), magnitude_.span()));
  return lane_->Finish();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateDeviceBirder(Exchanger* exchanger,
                                                              const BirderOptions& options,
                                                              Device* device) {
  TALLY_RETURN_IF_ERROR(ValidateBirderOptions(options, exchanger->layout()));
  TALLY_ASSIGN_OR_RETURN(std::unique_ptr<Lane> lane, Lane::Create(device));
  auto optimizer = std::make_unique<DeviceBirder>(exchanger, options, std::move(lane));
  TALLY_RETURN_IF_ERROR(optimizer->Allocate());
  return optimizer;
}

}  // namespace tally
