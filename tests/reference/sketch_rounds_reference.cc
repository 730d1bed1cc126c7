#include "tests/reference/sketch_rounds_reference.h"

#include <algorithm>
#include <utility>

#include "tests/reference/reference_random.h"
#include "tests/reference/reference_sketch.h"

namespace tally {
namespace {

size_t SharedOut(size_t number, size_t num_groups) {
  return (number + num_groups - 1) / num_groups;
}

}  // namespace

SketchRoundsReference::SketchRoundsReference(const MethodReferenceOptions& options,
                                             const SketchReferenceOptions& sketch)
    : MethodReference(options), sketch_(sketch) {
  ledgers_.assign(num_workers(), ReferenceLedger(parameters.size()));
}

std::vector<float> SketchRoundsReference::Weighted(size_t worker, size_t group) const {
  std::vector<float> weighted;
  for (const size_t i : chunks()[group].elements) {
    weighted.push_back(Weight(i) * ledgers_[worker].sums[i]);
  }
  return weighted;
}

void SketchRoundsReference::CompressedChunk(size_t group) {
  const std::vector<size_t>& elements = chunks()[group].elements;
  const size_t num_groups = options().model.num_groups;
  const uint64_t hash_seed =
      reference::Mix(options().run_seed + reference::kGolden * (round() + 1));
  const reference::Sketch sketch = {
      .rows = sketch_.rows,
      .columns = SharedOut(SharedOut(sketch_.columns, num_groups), 16) * 16,
      .key = reference::SketchKeyOf(hash_seed, group)};
  std::vector<std::string> contributions(num_workers());
  std::vector<std::vector<float>> tables(num_workers());
  std::vector<bool> takes_part(num_workers());
  for (size_t w = 0; w < num_workers(); ++w) {
    takes_part[w] = IsFinite(w, group);
    if (!takes_part[w]) continue;
    for (const size_t i : elements) {
      const float input = Input(w, i);
      if (model().live[i]) ledgers_[w].PutIn(i, input);
    }
    tables[w] = reference::TableOf(sketch, Weighted(w, group));
    contributions[w] = reference::DensePayload(sketch_.table_format, tables[w]);
    for (float& cell : tables[w]) cell = reference::Rounded(sketch_.table_format, cell);
  }
  ReferenceMessages exchange = Send(group, /*half=*/0, std::move(contributions));
  const std::vector<bool> counted = exchange.counted;
  const std::vector<size_t> participants = Participants(exchange);
  if (participants.empty()) return Keep(std::move(exchange));
  const std::vector<float> estimates =
      reference::EstimatesFrom(sketch, MeanOf(tables, participants), elements.size());
  const std::vector<size_t> candidates = reference::Largest(
      estimates, LiveOf(group),
      SharedOut(sketch_.num_updated * sketch_.candidates_per_updated, num_groups));
  std::vector<float> values;
  if (!sketch_.exact_values) {
    for (const size_t k : candidates) values.push_back(estimates[k]);
  }
  exchange.result = reference::SparsePayload(candidates, values, elements.size());
  Keep(std::move(exchange));
  if (sketch_.exact_values) return SecondHalf(group, candidates, takes_part);
  for (size_t k = 0; k < candidates.size(); ++k) {
    const size_t i = elements[candidates[k]];
    Candidate candidate = {.element = i, .value = values[k] / Weight(i), .counted = counted};
    for (size_t w = 0; w < num_workers(); ++w) candidate.shares.push_back(ledgers_[w].sums[i]);
    candidates_.push_back(candidate);
  }
}

void SketchRoundsReference::SecondHalf(size_t group, const std::vector<size_t>& candidates,
                                       const std::vector<bool>& takes_part) {
  std::vector<std::string> contributions(num_workers());
  std::vector<std::vector<float>> sent(num_workers());
  for (size_t w = 0; w < num_workers(); ++w) {
    if (!takes_part[w]) continue;
    for (const size_t k : candidates) {
      sent[w].push_back(
          reference::Rounded(sketch_.values_format, ledgers_[w].sums[chunks()[group].elements[k]]));
    }
    contributions[w] = reference::DensePayload(sketch_.values_format, sent[w]);
  }
  ReferenceMessages exchange = Send(group, /*half=*/1, std::move(contributions));
  const std::vector<size_t> participants = Participants(exchange);
  if (participants.empty()) return Keep(std::move(exchange));
  const std::vector<float> mean = MeanOf(sent, participants);
  exchange.result = reference::DensePayload(sketch_.values_format, mean);
  for (size_t k = 0; k < candidates.size(); ++k) {
    Candidate candidate = {.element = chunks()[group].elements[candidates[k]],
                           .value = reference::Rounded(sketch_.values_format, mean[k]),
                           .counted = exchange.counted};
    for (size_t w = 0; w < num_workers(); ++w) {
      candidate.shares.push_back(exchange.counted[w] ? sent[w][k] : 0.0f);
    }
    candidates_.push_back(candidate);
  }
  Keep(std::move(exchange));
}

void SketchRoundsReference::EndRound() {
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.element < b.element; });
  std::vector<float> weighted;
  for (const Candidate& candidate : candidates_) {
    weighted.push_back(Weight(candidate.element) * candidate.value);
  }
  const std::vector<size_t> chosen =
      reference::Largest(weighted, std::vector<bool>(weighted.size(), true), sketch_.num_updated);
  for (const size_t k : chosen) {
    const Candidate& candidate = candidates_[k];
    for (size_t w = 0; w < num_workers(); ++w) {
      if (!candidate.counted[w]) continue;
      ledgers_[w].TakeOut(candidate.element, candidate.shares[w]);
      TakeOut(w, candidate.element);
    }
    Update(candidate.element, candidate.value);
  }
  candidates_.clear();
}

}  // namespace tally
