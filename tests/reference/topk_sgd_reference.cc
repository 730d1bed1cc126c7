#include "tests/reference/topk_sgd_reference.h"

#include <cmath>
#include <string>
#include <utility>

namespace tally {

TopkSgdReference::TopkSgdReference(const TopkSgdReferenceOptions& options)
    : MethodReference(options.method), options_(options), u_(parameters.size()) {
  ledgers_.assign(num_workers(), ReferenceLedger(parameters.size()));
}

void TopkSgdReference::CompressedChunk(size_t chunk) {
  const std::vector<size_t>& elements = chunks()[chunk].elements;
  const auto num_elements = static_cast<double>(elements.size());
  const auto count = static_cast<size_t>(std::ceil(options_.share * num_elements));
  std::vector<std::string> contributions(num_workers());
  std::vector<std::vector<size_t>> sent(num_workers());
  for (size_t w = 0; w < num_workers(); ++w) {
    if (!IsFinite(w, chunk)) continue;
    std::vector<float> sums;
    for (const size_t i : elements) {
      ledgers_[w].PutIn(i, gradient(w, i));
      sums.push_back(ledgers_[w].sums[i]);
    }
    sent[w] = reference::Largest(sums, LiveOf(chunk), count);
    std::vector<float> values;
    for (const size_t k : sent[w]) values.push_back(sums[k]);
    contributions[w] = reference::SparsePayload(sent[w], values, elements.size());
  }
  ReferenceMessages exchange = Send(chunk, /*half=*/0, std::move(contributions));
  const std::vector<size_t> participants = Participants(exchange);
  std::vector<float> mean(elements.size());
  std::vector<bool> anybody(elements.size());
  for (const size_t w : participants) {
    for (const size_t k : sent[w]) {
      const float value = ledgers_[w].sums[elements[k]];
      mean[k] = anybody[k] ? mean[k] + value : value;
      anybody[k] = true;
      ledgers_[w].TakeOut(elements[k], value);
    }
  }
  if (!participants.empty()) {
    std::vector<size_t> indices;
    std::vector<float> values;
    for (size_t k = 0; k < elements.size(); ++k) {
      if (!anybody[k]) continue;
      mean[k] /= static_cast<float>(participants.size());
      indices.push_back(k);
      values.push_back(mean[k]);
    }
    exchange.result = reference::SparsePayload(indices, values, elements.size());
    DenseChunk(chunk, mean);
  }
  Keep(std::move(exchange));
}

void TopkSgdReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    u_[i] = options_.momentum * u_[i] + mean[k];
    Move(i, u_[i]);
  }
}

}  // namespace tally
