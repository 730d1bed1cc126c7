#include "client/optimizers/device/device_sketch_feedback.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "base/status_macros.h"
#include "client/optimizers/device/device_input.h"
#include "client/optimizers/device/lane_use.h"
#include "client/optimizers/sketched_sum.h"
#include "client/optimizers/sketched_update.h"
#include "codecs/dense_codec.h"
#include "kernels/device/device.h"
#include "kernels/dtype.h"
#include "kernels/sketch_hash.h"

namespace tally {

DeviceSketchFeedback::DeviceSketchFeedback(const Layout* layout, const SketchOptions& options,
                                           uint64_t run_seed, const Backend* backend,
                                           const DealtElements* elements, Lane* lane)
    : layout_(*layout),
      backend_(*backend),
      elements_(*elements),
      lane_(*lane),
      round_(layout, options, run_seed, backend) {}

absl::StatusOr<std::unique_ptr<DeviceSketchFeedback>> DeviceSketchFeedback::Create(
    const Layout* layout, const SketchOptions& options, uint64_t run_seed, const Backend* backend,
    const DealtElements* elements, Lane* lane) {
  std::unique_ptr<DeviceSketchFeedback> feedback(
      new DeviceSketchFeedback(layout, options, run_seed, backend, elements, lane));
  TALLY_RETURN_IF_ERROR(feedback->Allocate());
  return feedback;
}

absl::Status DeviceSketchFeedback::Allocate() {
  TALLY_ASSIGN_OR_RETURN(sum_,
                         DeviceArray<float>::Create(&lane_.device(), layout_.num_compressed()));
  TALLY_ASSIGN_OR_RETURN(dealt_,
                         DeviceArray<float>::Create(&lane_.device(), elements_.largest_group()));
  const LaneUse use(&lane_);
  TALLY_RETURN_IF_ERROR(Clear(lane_.queue(), sum_.span()));
  return lane_.Finish();
}

absl::Status DeviceSketchFeedback::StartRound(uint64_t round) {
  round_.Start(round);
  return Flush();
}

absl::StatusOr<ChunkContribution> DeviceSketchFeedback::Encode(uint32_t group, float factor,
                                                               absl::Span<const float> x,
                                                               const Weights& weights) {
  const absl::Span<float> sum = elements_.In(sum_.span(), group);
  const absl::Span<float> dealt = dealt_.span().first(sum.size());
  const SketchShape shape = round_.ShapeOf(group);
  Buffer payload(DensePayloadBytes(round_.table_dtype(), SketchCells(shape)));
  const LaneUse use(&lane_);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<float> table, lane_.Scratch<float>(SketchCells(shape)));
  TALLY_ASSIGN_OR_RETURN(const absl::Span<uint8_t> encoded, lane_.Out(payload.bytes()));
  DeviceQueue& queue = lane_.queue();
  TALLY_RETURN_IF_ERROR(queue.Blend(1.0f, sum, factor, x, sum));
  TALLY_RETURN_IF_ERROR(queue.Weigh({.x = sum,
                                     .live = elements_.live(group),
                                     .second_moment = elements_.In(weights.second_moment, group),
                                     .second_correction = weights.second_correction,
                                     .epsilon = weights.epsilon,
                                     .out = dealt}));
  TALLY_RETURN_IF_ERROR(queue.Sketch(shape, dealt, table));
  TALLY_RETURN_IF_ERROR(
      queue.Convert(DType::kFloat32,
                    {reinterpret_cast<const uint8_t*>(table.data()), table.size() * sizeof(float)},
                    round_.table_dtype(), encoded));
  TALLY_RETURN_IF_ERROR(lane_.Finish());
  return ChunkContribution{round_.FirstHalf(group), std::move(payload)};
}

absl::Status DeviceSketchFeedback::TakeOut(uint32_t group, absl::Span<const uint32_t> elements,
                                           absl::Span<const float> values) {
  const absl::Span<float> sum = elements_.In(sum_.span(), group);
  std::vector<float> left(elements.size());
  TALLY_RETURN_IF_ERROR(FetchAt(sum, elements, absl::MakeSpan(left), lane_));
  for (size_t k = 0; k < left.size(); ++k) left[k] -= values[k];
  return StoreAt(left, elements, sum, lane_);
}

absl::Status DeviceSketchFeedback::SumAt(uint32_t group, absl::Span<const uint32_t> elements,
                                         absl::Span<float> out) {
  return FetchAt(elements_.In(sum_.span(), group), elements, out, lane_);
}

absl::StatusOr<ChunkContribution> DeviceSketchFeedback::Answer(const ChunkResult& result,
                                                               Fate fate) {
  return round_.Answer(result, fate, [this](auto... args) { return SumAt(args...); });
}

absl::Status DeviceSketchFeedback::Take(const ChunkResult& result, Fate fate) {
  return round_.Take(result, fate, [this](auto... args) { return TakeOut(args...); });
}

absl::StatusOr<std::vector<DeviceSketchFeedback::Chosen>> DeviceSketchFeedback::ChooseUpdate(
    const Weights& weights) {
  const auto read_weights = [&](uint32_t group, absl::Span<const uint32_t> elements,
                                absl::Span<float> out) {
    TALLY_RETURN_IF_ERROR(
        FetchAt(elements_.In(weights.second_moment, group), elements, out, lane_));
    for (float& x : out) {
      x = SketchedUpdate::WeightOf(x, weights.second_correction, weights.epsilon);
    }
    return absl::OkStatus();
  };
  TALLY_ASSIGN_OR_RETURN(
      std::vector<Chosen> update,
      round_.ChooseUpdate(read_weights, [this](auto... args) { return SumAt(args...); }));
  struct Leaving {
    std::vector<uint32_t> elements;
    std::vector<float> values;
  };
  std::map<uint32_t, Leaving> leaving;  // by group
  for (const Chosen& chosen : update) {
    if (!chosen.counted) continue;
    leaving[chosen.group].elements.push_back(chosen.element);
    leaving[chosen.group].values.push_back(chosen.sent);
  }
  for (const auto& [group, left] : leaving) {
    TALLY_RETURN_IF_ERROR(TakeOut(group, left.elements, left.values));
  }
  return update;
}

absl::StatusOr<double> DeviceSketchFeedback::Norm() {
  if (!added_to_.empty()) return std::sqrt(backend_.SumOfSquares(added_to_));
  double squares = 0;
  const LaneUse use(&lane_);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<double> out, lane_.Out(absl::MakeSpan(&squares, 1)));
  TALLY_RETURN_IF_ERROR(lane_.queue().SumOfSquares(sum_.span(), out.data()));
  TALLY_RETURN_IF_ERROR(lane_.Finish());
  return std::sqrt(squares);
}

absl::StatusOr<std::vector<float>> DeviceSketchFeedback::FetchSum() {
  if (!added_to_.empty()) return added_to_;
  TALLY_ASSIGN_OR_RETURN(const std::vector<float> grouped, FetchElements(sum_.span(), lane_));
  return elements_.Flat(grouped);
}

absl::StatusOr<std::vector<float>> DeviceSketchFeedback::Residual() {
  TALLY_ASSIGN_OR_RETURN(std::vector<float> flat, FetchSum());
  flat.resize(layout_.num_elements());
  return flat;
}

absl::Status DeviceSketchFeedback::Add(uint64_t offset, absl::Span<const float> x) {
  if (offset > layout_.num_compressed() || x.size() > layout_.num_compressed() - offset) {
    return absl::InvalidArgumentError(absl::StrCat("elements ", offset, " to ", offset + x.size(),
                                                   " must be below ", layout_.num_compressed(),
                                                   ", the number of those that are compressed"));
  }
  if (added_to_.empty()) {
    TALLY_ASSIGN_OR_RETURN(added_to_, FetchSum());
  }
  const absl::Span<float> part = absl::MakeSpan(added_to_).subspan(offset, x.size());
  return backend_.Blend(1.0f, part, 1.0f, x, part);
}

absl::Status DeviceSketchFeedback::Flush() {
  if (added_to_.empty()) return absl::OkStatus();
  return Restore(std::exchange(added_to_, {}));
}

absl::Status DeviceSketchFeedback::Save(SavedStateWriter& writer) {
  if (writer.is_shared()) return absl::OkStatus();
  TALLY_ASSIGN_OR_RETURN(const std::vector<float> sum, FetchSum());
  SaveSketchedSum(sum, writer);
  return absl::OkStatus();
}

absl::Status DeviceSketchFeedback::Restore(absl::Span<const float> sum) {
  added_to_.clear();
  const std::vector<float> grouped = elements_.Grouped(sum);
  const LaneUse use(&lane_);
  TALLY_RETURN_IF_ERROR(CopyToDevice(lane_.queue(), absl::MakeConstSpan(grouped), sum_.span()));
  return lane_.Finish();
}

}  // namespace tally
