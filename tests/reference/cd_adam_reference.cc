#include "tests/reference/cd_adam_reference.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "tests/reference/reference_signs.h"

namespace tally {
namespace {

void Raise(double& largest, float value) {
  largest = std::max(largest, std::fabs(static_cast<double>(value)));
}

}  // namespace

CdAdamReference::CdAdamReference(const CdAdamReferenceOptions& options)
    : MethodReference(options.method),
      options_(options),
      adam_(options.adam, parameters.size()),
      units_(parameters.size(), 1.0f),
      shared_(parameters.size()),
      residual_(parameters.size()) {
  tracked_.assign(num_workers(), std::vector<float>(parameters.size()));
  momenta_ = tracked_;
}

float CdAdamReference::Input(size_t worker, size_t element) {
  if (!options_.track_momentum) return gradient(worker, element) / units_[element];
  const float beta1 = options_.adam.beta1;
  float& m = momenta_[worker][element];
  m = beta1 * m + (1.0f - beta1) * gradient(worker, element);
  return m / units_[element];
}

// The last round of the warm-up leaves units, and everybody's momentum to start from.
void CdAdamReference::EndRound() {
  if (round() + 1 != options_.warmup_rounds) return;
  const size_t d = model().num_compressed;
  for (size_t begin = 0; begin < d; begin += options_.block_elements) {
    const size_t end = std::min(d, begin + options_.block_elements);
    double sum = 0.0;
    for (size_t i = begin; i < end; ++i) sum += static_cast<double>(adam_.Denominator(i));
    const double mean = sum / static_cast<double>(end - begin);
    const float smallest = mean > 0.0 ? static_cast<float>(mean / 16.0) : 1.0f;
    for (size_t i = begin; i < end; ++i) {
      units_[i] = std::max(adam_.Denominator(i), smallest);
      shared_[i] = model().live[i] ? adam_.m[i] / units_[i] : 0.0f;
      for (size_t w = 0; w < num_workers(); ++w) {
        tracked_[w][i] = shared_[i];
        momenta_[w][i] = adam_.m[i];
      }
    }
  }
}

void CdAdamReference::Step(size_t element) {
  const float known = shared_[element] * units_[element];
  if (!options_.track_momentum) return Move(element, adam_.Direction(element, known));
  const double beta1 = options_.adam.beta1;
  const double beta2 = options_.adam.beta2;
  const auto weight = static_cast<float>((1.0 - beta2) * (1.0 + beta1) / (1.0 - beta1));
  adam_.m[element] = known;
  float& v = adam_.v[element];
  v = options_.adam.beta2 * v + weight * (known * known);
  adam_.largest[element] = std::max(adam_.largest[element], v);
  Move(element, known * adam_.c1() / adam_.Denominator(element));
}

std::string CdAdamReference::CompressToLargest(size_t chunk, std::vector<float>& values,
                                               std::vector<bool>& sent) const {
  const double count = std::ceil(options_.share * static_cast<double>(values.size()));
  const std::vector<size_t> indices =
      reference::Largest(values, LiveOf(chunk), static_cast<size_t>(count));
  sent.assign(values.size(), false);
  std::vector<float> chosen;
  for (const size_t k : indices) {
    sent[k] = true;
    chosen.push_back(values[k]);
  }
  for (size_t k = 0; k < values.size(); ++k) {
    if (!sent[k]) values[k] = 0.0f;
  }
  return reference::SparsePayload(indices, chosen, values.size());
}

void CdAdamReference::CompressedChunk(size_t chunk) {
  const std::vector<size_t>& elements = chunks()[chunk].elements;
  const bool signs = options_.share == 0.0;
  const reference::SignRule rule = {options_.scale, options_.block_elements};
  std::vector<std::string> contributions(num_workers());
  std::vector<std::vector<float>> changes(num_workers());  // c
  std::vector<std::vector<bool>> sent(num_workers());
  for (size_t w = 0; w < num_workers(); ++w) {
    if (!IsFinite(w, chunk)) continue;
    for (const size_t i : elements) {
      const float input = Input(w, i);
      changes[w].push_back(model().live[i] ? input - tracked_[w][i] : 0.0f);
    }
    contributions[w] =
        signs ? reference::CompressToSigns(rule, reference::By::kWorker, LiveOf(chunk), changes[w])
              : CompressToLargest(chunk, changes[w], sent[w]);
  }
  ReferenceMessages exchange = Send(chunk, /*half=*/0, std::move(contributions));
  const std::vector<size_t> participants = Participants(exchange);
  for (const size_t w : participants) {
    for (size_t k = 0; k < elements.size(); ++k) {
      float& tracked = tracked_[w][elements[k]];
      tracked = tracked + changes[w][k];
      Raise(largest_tracked_, tracked);
    }
  }
  if (participants.empty()) return Keep(std::move(exchange));
  std::vector<float> sum;  // and what it is compressed to
  std::vector<bool> anybody;
  for (size_t k = 0; k < elements.size(); ++k) {
    bool first = true;
    float a = 0.0f;
    for (const size_t w : participants) {
      if (!signs && !sent[w][k]) continue;
      a = first ? changes[w][k] : a + changes[w][k];
      first = false;
    }
    a = a / static_cast<float>(num_workers());
    sum.push_back(signs ? a + residual_[elements[k]] : a);
    anybody.push_back(!first);
    Raise(largest_sum_, sum[k]);
  }
  std::vector<float> update = sum;
  if (signs) {
    exchange.result =
        reference::CompressToSigns(rule, reference::By::kAggregator, LiveOf(chunk), update);
  } else {
    std::vector<size_t> indices;
    std::vector<float> values;
    for (size_t k = 0; k < elements.size(); ++k) {
      if (!anybody[k]) continue;
      indices.push_back(k);
      values.push_back(sum[k]);
    }
    exchange.result = reference::SparsePayload(indices, values, elements.size());
  }
  Keep(std::move(exchange));
  for (size_t k = 0; k < elements.size(); ++k) {
    const size_t i = elements[k];
    residual_[i] = model().live[i] ? sum[k] - update[k] : 0.0f;
    shared_[i] = shared_[i] + update[k];
    Raise(largest_sum_, update[k]);
    Raise(largest_shared_, shared_[i]);
    Step(i);
  }
}

void CdAdamReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    Move(i, adam_.Direction(i, mean[k]));
  }
}

}  // namespace tally
