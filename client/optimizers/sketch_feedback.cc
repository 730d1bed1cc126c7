#include "client/optimizers/sketch_feedback.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/buffer.h"
#include "base/status_macros.h"
#include "codecs/dense_codec.h"

namespace tally {

SketchFeedback::SketchFeedback(const Layout* layout, const SketchOptions& options,
                               uint64_t run_seed, const Backend* backend)
    : layout_(*layout),
      backend_(*backend),
      round_(layout, options, run_seed, backend),
      sum_(layout->num_compressed()),
      measured_(round_.num_groups()),
      weight_(kDealtBlockElements) {}

void SketchFeedback::StartRound(uint64_t round, QualityMeter* meter) {
  round_.Start(round);
  meter_ = meter != nullptr && meter->measures() ? meter : nullptr;
  for (absl::optional<SketchedGroup>& measured : measured_) measured.reset();
}

absl::StatusOr<ChunkContribution> SketchFeedback::Encode(uint32_t group, PutIn put_in,
                                                         Weights weights) {
  const uint32_t num_elements = layout_.chunks()[group].num_elements;
  const absl::Span<const uint8_t> live = layout_.live(group);
  dealt_.resize(num_elements);
  for (uint32_t begin = 0; begin < num_elements; begin += kDealtBlockElements) {
    const uint64_t offset = layout_.dealing()->ElementOf(group, begin);
    const uint32_t size = std::min(kDealtBlockElements, num_elements - begin);
    const absl::Span<float> sum = absl::MakeSpan(sum_).subspan(offset, size);
    TALLY_RETURN_IF_ERROR(put_in(offset, sum));
    const absl::Span<float> weight = absl::MakeSpan(weight_).first(size);
    weights(offset, weight);
    for (uint32_t i = 0; i < size; ++i) {
      // What is masked never leaves: it is not to add up, nor to fill the table.
      const bool masked = !live.empty() && ((live[(begin + i) / 8] >> (i % 8)) & 1) == 0;
      if (masked) sum[i] = 0.0f;
      dealt_[begin + i] = weight[i] * sum[i];
    }
  }
  const SketchShape shape = round_.ShapeOf(group);
  if (meter_ != nullptr) {
    measured_[group] = {
        .sums = {.num_elements = num_elements, .input_squares = backend_.SumOfSquares(dealt_)},
        .columns = shape.columns};
  }
  table_.resize(SketchCells(shape));
  TALLY_RETURN_IF_ERROR(backend_.sketches().Sketch(shape, dealt_, absl::MakeSpan(table_)));
  Buffer payload(DensePayloadBytes(round_.table_dtype(), table_.size()));
  TALLY_RETURN_IF_ERROR(backend_.EncodeDense(round_.table_dtype(), table_, payload.bytes()));
  return ChunkContribution{round_.FirstHalf(group), std::move(payload)};
}

absl::Status SketchFeedback::SumAt(uint32_t group, absl::Span<const uint32_t> elements,
                                   absl::Span<float> out) const {
  for (size_t k = 0; k < elements.size(); ++k) {
    out[k] = sum_[layout_.dealing()->ElementOf(group, elements[k])];
  }
  return absl::OkStatus();
}

absl::Status SketchFeedback::TakeOut(uint32_t group, absl::Span<const uint32_t> elements,
                                     absl::Span<const float> values) {
  for (size_t k = 0; k < elements.size(); ++k) {
    sum_[layout_.dealing()->ElementOf(group, elements[k])] -= values[k];
  }
  return absl::OkStatus();
}

absl::StatusOr<ChunkContribution> SketchFeedback::Answer(const ChunkResult& result, Fate fate) {
  return round_.Answer(result, fate, [this](auto... args) { return SumAt(args...); });
}

absl::Status SketchFeedback::Take(const ChunkResult& result, Fate fate) {
  return round_.Take(result, fate, [this](auto... args) { return TakeOut(args...); });
}

absl::StatusOr<std::vector<SketchFeedback::Chosen>> SketchFeedback::ChooseUpdate(Weights weights) {
  const auto read_weights = [&](uint32_t group, absl::Span<const uint32_t> elements,
                                absl::Span<float> out) {
    for (size_t k = 0; k < elements.size(); ++k) {
      weights(layout_.dealing()->ElementOf(group, elements[k]), out.subspan(k, 1));
    }
    return absl::OkStatus();
  };
  TALLY_ASSIGN_OR_RETURN(
      std::vector<Chosen> update,
      round_.ChooseUpdate(read_weights, [this](auto... args) { return SumAt(args...); }));
  for (const Chosen& chosen : update) {
    Measure(chosen, weights);
    if (chosen.counted) sum_[chosen.index] -= chosen.sent;
  }
  for (uint32_t g = 0; g < measured_.size(); ++g) {
    if (!measured_[g].has_value() || round_.num_means(g) == 0) continue;
    measured_[g]->num_candidates = round_.num_means(g);
    meter_->AddSketched(g, *measured_[g]);
  }
  return update;
}

void SketchFeedback::Measure(const Chosen& chosen, Weights weights) {
  if (!measured_[chosen.group].has_value()) return;
  weights(chosen.index, absl::MakeSpan(weight_).first(1));
  const double y = chosen.weighted;
  const double x = weight_[0] * sum_[chosen.index];
  SketchedGroup& measured = *measured_[chosen.group];
  measured.sums.product += x * y;
  measured.sums.update_squares += y * y;
  measured.chosen_squares += x * x;
  const double smallest = std::fabs(y);
  measured.smallest_chosen =
      measured.num_chosen == 0 ? smallest : std::min(measured.smallest_chosen, smallest);
  ++measured.num_chosen;
}

std::vector<float> SketchFeedback::Residual() const {
  std::vector<float> flat = sum_;
  flat.resize(layout_.num_elements());
  return flat;
}

absl::Status SketchFeedback::Add(uint64_t offset, absl::Span<const float> x) {
  const absl::Span<float> sum = absl::MakeSpan(sum_).subspan(offset, x.size());
  return backend_.Blend(1.0f, sum, 1.0f, x, sum);
}

double SketchFeedback::Norm() const { return std::sqrt(backend_.SumOfSquares(sum_)); }

}  // namespace tally
