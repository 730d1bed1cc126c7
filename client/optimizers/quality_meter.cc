#include "client/optimizers/quality_meter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tally {
namespace {

void Compare(const ComparisonSums& sums, UpdateScale scale, RoundQuality& quality) {
  double product = sums.product;
  double update_squares = sums.update_squares;
  const double norms = std::sqrt(sums.input_squares) * std::sqrt(update_squares);
  if (norms == 0) {
    quality.cosine = sums.input_squares == update_squares ? 1.0 : 0.0;
  } else {
    quality.cosine = std::clamp(product / norms, -1.0, 1.0);
  }
  if (scale == UpdateScale::kFree && update_squares > 0) {
    const double factor = std::max(product / update_squares, 0.0);
    product *= factor;
    update_squares *= factor * factor;
  }
  quality.input_norm = std::sqrt(sums.input_squares);
  quality.update_norm = std::sqrt(update_squares);
  const double error_squares = std::max(sums.input_squares - 2 * product + update_squares, 0.0);
  if (sums.input_squares == 0) {
    quality.relative_error = error_squares > 0 ? std::numeric_limits<double>::infinity() : 0.0;
  } else {
    quality.relative_error = std::sqrt(error_squares / sums.input_squares);
  }
}

void Join(const SketchedGroup& group, SketchQuality& sketch) {
  sketch.num_candidates += group.num_candidates;
  sketch.error_bound =
      std::max(sketch.error_bound, std::sqrt(group.sums.input_squares / group.columns));
  if (group.num_chosen == 0) return;
  sketch.smallest_chosen = sketch.num_chosen == 0
                               ? group.smallest_chosen
                               : std::min(sketch.smallest_chosen, group.smallest_chosen);
  sketch.num_chosen += group.num_chosen;
}

}  // namespace

QualityMeter::QualityMeter(uint64_t interval, size_t num_chunks, const Backend* backend)
    : interval_(interval), backend_(*backend), chunks_(interval > 0 ? num_chunks : 0) {}

void QualityMeter::BeginStep(uint64_t step) {
  Clear();
  step_ = step;
  is_open_ = interval_ > 0 && step >= next_step_;
}

void QualityMeter::Add(uint32_t chunk, absl::Span<const float> input,
                       absl::Span<const float> update) {
  if (!is_open_) return;
  is_fed_ = true;
  ComparisonSums& sums = chunks_[chunk].group.sums;
  sums.num_elements += input.size();
  sums.input_squares += backend_.SumOfSquares(input);
  sums.product += backend_.DotProduct(input, update);
  sums.update_squares += backend_.SumOfSquares(update);
}

void QualityMeter::AddSketched(uint32_t chunk, const SketchedGroup& group) {
  if (!is_open_) return;
  is_fed_ = true;
  chunks_[chunk] = {.is_sketched = true, .group = group};
}

void QualityMeter::EndStep() {
  is_over_ = is_open_ && is_fed_;
  is_open_ = false;
  if (is_over_) next_step_ = step_ + interval_;
}

void QualityMeter::Forget() {
  Clear();
  next_step_ = 0;
}

void QualityMeter::Clear() {
  is_open_ = false;
  is_fed_ = false;
  is_over_ = false;
  std::fill(chunks_.begin(), chunks_.end(), Chunk());
}

absl::optional<RoundQuality> QualityMeter::Report(absl::FunctionRef<double()> residual_norm,
                                                  UpdateScale scale) const {
  if (!is_over_) return absl::nullopt;
  ComparisonSums total;
  double chosen_squares = 0;
  SketchQuality sketch;
  bool is_sketched = false;
  for (const Chunk& chunk : chunks_) {
    const ComparisonSums& sums = chunk.group.sums;
    total.num_elements += sums.num_elements;
    total.input_squares += sums.input_squares;
    total.product += sums.product;
    total.update_squares += sums.update_squares;
    if (!chunk.is_sketched) continue;
    is_sketched = true;
    chosen_squares += chunk.group.chosen_squares;
    Join(chunk.group, sketch);
  }
  if (total.num_elements == 0) return absl::nullopt;
  RoundQuality quality = {.step = step_, .num_elements = total.num_elements};
  Compare(total, scale, quality);
  quality.residual_norm = residual_norm();
  if (is_sketched) {
    sketch.energy_share = total.input_squares == 0 ? 0.0 : chosen_squares / total.input_squares;
    quality.sketch = sketch;
  }
  return quality;
}

}  // namespace tally
