#include "client/optimizers/sketch_feedback.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/mix64.h"
#include "base/status_macros.h"
#include "codecs/dense_codec.h"
#include "codecs/sparse_codec.h"
#include "kernels/sketch_hash.h"

namespace tally {

SketchFeedback::SketchFeedback(const Layout* layout, const SketchOptions& options,
                               uint64_t run_seed, const Backend* backend)
    : layout_(*layout),
      options_(options),
      run_seed_(run_seed),
      backend_(*backend),
      sum_(layout->num_compressed()),
      groups_(layout->dealing().has_value() ? layout->dealing()->options().num_groups : 0),
      weight_(kDealtBlockElements) {}

void SketchFeedback::StartRound(uint64_t round, QualityMeter* meter) {
  round_ = round;
  meter_ = meter != nullptr && meter->measures() ? meter : nullptr;
  for (Group& group : groups_) group = Group();
}

Exchange SketchFeedback::FirstHalf(uint32_t group) const {
  const GroupSketch shape = SketchOfGroup(options_, layout_, group);
  return {SketchExchange{.hash_seed = Mix64(run_seed_ + kGolden64 * (round_ + 1)),
                         .rows = options_.rows,
                         .columns = shape.columns,
                         .dtype = options_.table_dtype,
                         .num_candidates = shape.num_candidates,
                         .with_estimates = !options_.exact_values},
          Divisor::kParticipants};
}

ChunkContribution SketchFeedback::Abstain(uint32_t group) {
  return {FirstHalf(group), absl::nullopt};
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
  const Exchange exchange = FirstHalf(group);
  const auto& sketch = absl::get<SketchExchange>(exchange.kind);
  const SketchShape shape = {
      .rows = sketch.rows, .columns = sketch.columns, .key = SketchKey(sketch.hash_seed, group)};
  if (meter_ != nullptr) {
    groups_[group].measured = {
        .sums = {.num_elements = num_elements, .input_squares = backend_.SumOfSquares(dealt_)},
        .columns = sketch.columns};
  }
  table_.resize(SketchCells(shape));
  TALLY_RETURN_IF_ERROR(backend_.sketches().Sketch(shape, dealt_, absl::MakeSpan(table_)));
  Buffer payload(DensePayloadBytes(sketch.dtype, table_.size()));
  TALLY_RETURN_IF_ERROR(backend_.EncodeDense(sketch.dtype, table_, payload.bytes()));
  return ChunkContribution{exchange, std::move(payload)};
}

absl::StatusOr<ChunkContribution> SketchFeedback::Answer(const ChunkResult& result, Fate fate) {
  Group& group = groups_[result.chunk];
  const uint32_t num_elements = layout_.chunks()[result.chunk].num_elements;
  TALLY_ASSIGN_OR_RETURN(SparseBlock block, DecodeSparse(result.payload->bytes(), num_elements,
                                                         num_elements, /*with_values=*/false));
  group.candidates = std::move(block.indices);
  // A group whose elements are all masked has nothing to say, and an exchange of no values is none.
  const bool answers = fate != Fate::kAbstained && !group.candidates.empty();
  const auto num_candidates = static_cast<uint32_t>(group.candidates.size());
  const ValuesExchange values = {.num_values = std::max(num_candidates, uint32_t{1}),
                                 .candidates_digest = result.payload_digest,
                                 .dtype = options_.values_dtype};
  ChunkContribution contribution = {{values, Divisor::kParticipants}, absl::nullopt};
  if (!answers) return contribution;
  group.sent.resize(group.candidates.size());
  for (size_t k = 0; k < group.candidates.size(); ++k) {
    group.sent[k] = sum_[layout_.dealing()->ElementOf(result.chunk, group.candidates[k])];
  }
  Buffer payload(DensePayloadBytes(values.dtype, values.num_values));
  TALLY_RETURN_IF_ERROR(backend_.EncodeDense(values.dtype, group.sent, payload.bytes()));
  // What rounding leaves out stays in the sum.
  TALLY_RETURN_IF_ERROR(
      backend_.DecodeDense(values.dtype, payload.bytes(), absl::MakeSpan(group.sent)));
  contribution.payload = std::move(payload);
  return contribution;
}

absl::Status SketchFeedback::Take(const ChunkResult& result, Fate fate) {
  Group& group = groups_[result.chunk];
  if (!result.exchange.has_value()) {
    // Of a worker that was evicted: which elements were chosen it cannot know.
    for (size_t k = 0; result.half == 1 && fate == Fate::kCounted && k < group.sent.size(); ++k) {
      sum_[layout_.dealing()->ElementOf(result.chunk, group.candidates[k])] -= group.sent[k];
    }
    group = Group();
    return absl::OkStatus();
  }
  group.counted = fate == Fate::kCounted;
  if (const auto* values = absl::get_if<ValuesExchange>(&result.exchange->kind)) {
    group.means.resize(values->num_values);
    return backend_.DecodeDense(values->dtype, result.payload->bytes(),
                                absl::MakeSpan(group.means));
  }
  const uint32_t num_elements = layout_.chunks()[result.chunk].num_elements;
  TALLY_ASSIGN_OR_RETURN(SparseBlock block, DecodeSparse(result.payload->bytes(), num_elements,
                                                         num_elements, /*with_values=*/true));
  group.candidates = std::move(block.indices);
  group.means.assign(block.values.begin(), block.values.end());
  // Estimates of weight * a: the whole element leaves the sum, whatever its estimate was.
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SketchFeedback::Chosen>> SketchFeedback::ChooseUpdate(Weights weights) {
  struct Candidate {
    Chosen chosen;
    float sent;
    uint32_t group;
  };
  std::vector<Candidate> candidates;
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    for (size_t k = 0; k < group.means.size(); ++k) {
      const uint64_t index = layout_.dealing()->ElementOf(g, group.candidates[k]);
      float value = group.means[k];
      if (!options_.exact_values) {
        weights(index, absl::MakeSpan(weight_).first(1));
        value /= weight_[0];
      }
      candidates.push_back(
          {{index, value, group.counted}, group.sent.empty() ? sum_[index] : group.sent[k], g});
    }
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.chosen.index < b.chosen.index; });
  std::vector<float> weighted;
  for (const Candidate& candidate : candidates) {
    weights(candidate.chosen.index, absl::MakeSpan(weight_).first(1));
    weighted.push_back(weight_[0] * candidate.chosen.value);
  }
  std::vector<uint32_t> order(std::min<size_t>(options_.num_updated, candidates.size()));
  TALLY_RETURN_IF_ERROR(
      backend_.sketches().SelectLargest(weighted, /*live=*/{}, absl::MakeSpan(order)));
  std::vector<Chosen> update;
  for (const uint32_t position : order) {
    const Candidate& candidate = candidates[position];
    update.push_back(candidate.chosen);
    Measure(candidate.chosen.index, weighted[position], weights, groups_[candidate.group]);
    if (candidate.chosen.counted) sum_[candidate.chosen.index] -= candidate.sent;
  }
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    if (!groups_[g].measured.has_value() || groups_[g].means.empty()) continue;
    groups_[g].measured->num_candidates = groups_[g].means.size();
    meter_->AddSketched(g, *groups_[g].measured);
  }
  return update;
}

void SketchFeedback::Measure(uint64_t index, float update, Weights weights, Group& group) {
  if (!group.measured.has_value()) return;
  weights(index, absl::MakeSpan(weight_).first(1));
  const double y = update;
  const double x = weight_[0] * sum_[index];
  SketchedGroup& measured = *group.measured;
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

void SketchFeedback::Save(SavedStateWriter& writer) const {
  if (!writer.is_shared()) writer.AddValues<float>("residual_sum", sum_);
}

absl::StatusOr<std::vector<float>> SketchFeedback::ReadSum(const SavedState& saved) const {
  std::vector<float> sum(sum_.size());
  if (!saved.is_shared()) {
    TALLY_RETURN_IF_ERROR(saved.Values("residual_sum", absl::MakeSpan(sum)));
  }
  return sum;
}

}  // namespace tally
