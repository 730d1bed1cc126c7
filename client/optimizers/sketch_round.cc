#include "client/optimizers/sketch_round.h"

#include <algorithm>
#include <utility>

#include "absl/types/variant.h"
#include "base/mix64.h"
#include "base/status_macros.h"
#include "codecs/dense_codec.h"
#include "codecs/sparse_codec.h"
#include "kernels/sketch_hash.h"

namespace tally {

SketchRound::SketchRound(const Layout* layout, const SketchOptions& options, uint64_t run_seed,
                         const Backend* backend)
    : layout_(*layout),
      options_(options),
      run_seed_(run_seed),
      backend_(*backend),
      groups_(layout->dealing().has_value() ? layout->dealing()->options().num_groups : 0) {}

void SketchRound::Start(uint64_t round) {
  round_ = round;
  for (Group& group : groups_) group = Group();
}

Exchange SketchRound::FirstHalf(uint32_t group) const {
  const GroupSketch shape = SketchOfGroup(options_, layout_, group);
  return {SketchExchange{.hash_seed = Mix64(run_seed_ + kGolden64 * (round_ + 1)),
                         .rows = options_.rows,
                         .columns = shape.columns,
                         .dtype = options_.table_dtype,
                         .num_candidates = shape.num_candidates,
                         .with_estimates = !options_.exact_values},
          Divisor::kParticipants};
}

SketchShape SketchRound::ShapeOf(uint32_t group) const {
  const Exchange exchange = FirstHalf(group);
  const auto& sketch = absl::get<SketchExchange>(exchange.kind);
  return {
      .rows = sketch.rows, .columns = sketch.columns, .key = SketchKey(sketch.hash_seed, group)};
}

absl::StatusOr<ChunkContribution> SketchRound::Answer(const ChunkResult& result, Fate fate,
                                                      Read read) {
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
  TALLY_RETURN_IF_ERROR(read(result.chunk, group.candidates, absl::MakeSpan(group.sent)));
  Buffer payload(DensePayloadBytes(values.dtype, values.num_values));
  TALLY_RETURN_IF_ERROR(backend_.EncodeDense(values.dtype, group.sent, payload.bytes()));
  // What rounding leaves out stays in the sum.
  TALLY_RETURN_IF_ERROR(
      backend_.DecodeDense(values.dtype, payload.bytes(), absl::MakeSpan(group.sent)));
  contribution.payload = std::move(payload);
  return contribution;
}

absl::Status SketchRound::Take(const ChunkResult& result, Fate fate, TakeOut take_out) {
  Group& group = groups_[result.chunk];
  if (!result.exchange.has_value()) {
    const Group last = std::exchange(group, Group());
    if (result.half != 1 || fate != Fate::kCounted || last.sent.empty()) return absl::OkStatus();
    return take_out(result.chunk, last.candidates, last.sent);
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

absl::StatusOr<std::vector<SketchRound::Chosen>> SketchRound::ChooseUpdate(Read weights,
                                                                           Read sums) const {
  std::vector<Chosen> candidates;
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    if (group.means.empty()) continue;
    std::vector<float> weight(group.means.size());
    const auto elements = absl::MakeConstSpan(group.candidates).first(weight.size());
    TALLY_RETURN_IF_ERROR(weights(g, elements, absl::MakeSpan(weight)));
    std::vector<float> sent = group.sent;
    if (sent.empty()) {
      sent.resize(weight.size());
      TALLY_RETURN_IF_ERROR(sums(g, elements, absl::MakeSpan(sent)));
    }
    for (size_t k = 0; k < weight.size(); ++k) {
      const float value = options_.exact_values ? group.means[k] : group.means[k] / weight[k];
      candidates.push_back({.index = layout_.dealing()->ElementOf(g, elements[k]),
                            .value = value,
                            .counted = group.counted,
                            .group = g,
                            .element = elements[k],
                            .weighted = weight[k] * value,
                            .sent = sent[k]});
    }
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Chosen& a, const Chosen& b) { return a.index < b.index; });
  std::vector<float> weighted;
  for (const Chosen& candidate : candidates) weighted.push_back(candidate.weighted);
  std::vector<uint32_t> order(std::min<size_t>(options_.num_updated, candidates.size()));
  TALLY_RETURN_IF_ERROR(
      backend_.sketches().SelectLargest(weighted, /*live=*/{}, absl::MakeSpan(order)));
  std::vector<Chosen> update;
  for (const uint32_t position : order) update.push_back(candidates[position]);
  return update;
}

}  // namespace tally
