#include "tests/reference/onebit_lamb_reference.h"

#include <algorithm>
#include <cmath>

namespace tally {

OneBitLambReference::OneBitLambReference(const OneBitLambReferenceOptions& options)
    : SignRoundsReference(options.method, options.signs),
      options_(options),
      lamb_(&model(), options.adam, options.lamb),
      scales_(parameters.size(), 1.0f),
      fresh_(parameters.size()) {}

void OneBitLambReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    lamb_.adam.MoveMoments(chunks()[chunk].elements[k], mean[k]);
  }
  lamb_.ChunkMoved(chunk);
}

float OneBitLambReference::SignInput(size_t worker, size_t element) const {
  const float beta1 = options_.adam.beta1;
  const float q = scales_[element];
  return q * beta1 * lamb_.adam.m[element] + q * (1.0f - beta1) * gradient(worker, element);
}

void OneBitLambReference::TakeBack(size_t worker, size_t chunk) {
  for (const size_t i : chunks()[chunk].elements) {
    sums_[worker][i] -= scales_[i] * options_.adam.beta1 * lamb_.adam.m[i];
  }
}

void OneBitLambReference::TakeSigns(size_t chunk, const std::vector<float>& mean) {
  const float beta1 = options_.adam.beta1;
  const float beta2 = options_.adam.beta2;
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    float& m = lamb_.adam.m[i];
    const float next = lamb_.adam.v[i] == 0.0f ? 0.0f : mean[k] / scales_[i];
    const float h = (next - beta1 * m) / (1.0f - beta1);
    fresh_[i] = beta2 * fresh_[i] + (1.0f - beta2) * (h * h);
    m = next;
  }
  lamb_.ChunkMoved(chunk);
}

// Both denominators are inverted first: that is the order of operations of the kernels.
float OneBitLambReference::LargestRatio(size_t tensor) const {
  const ReferenceAdam& adam = lamb_.adam;
  float largest = 0.0f;
  for (size_t i = model().tensors[tensor].begin; i < model().tensors[tensor].end; ++i) {
    if (!model().live[i] || adam.v[i] == 0.0f) continue;
    const float frozen = 1.0f / adam.Denominator(i, frozen_correction_);
    const float fresh = 1.0f / (std::sqrt(fresh_[i] * adam.c2()) + options_.adam.epsilon);
    largest = std::max(largest, fresh / frozen);
  }
  return largest;
}

void OneBitLambReference::EndRound() {
  const float learning_rate = options().learning_rate;
  const float weight_decay = options().weight_decay;
  for (size_t t = 0; t < model().tensors.size(); ++t) {
    if (!lamb_.HasMoved(t)) continue;
    if (frozen() && model().tensors[t].begin < model().num_compressed) {
      lamb_.FrozenStep(t, LargestRatio(t), frozen_correction_, learning_rate, weight_decay,
                       parameters);
    } else {
      lamb_.Step(t, learning_rate, weight_decay, parameters);
    }
  }
  if (round() + 1 == options_.warmup_rounds) Freeze();
}

void OneBitLambReference::Freeze() {
  fresh_ = lamb_.adam.v;
  frozen_correction_ = lamb_.adam.c2();
  for (size_t i = 0; i < model().num_compressed; ++i) {
    if (lamb_.adam.v[i] == 0.0f) ++num_without_variance_;
  }
  FindScales();
  TakeCarries([&](size_t element) { return scales_[element] * (1.0f - options_.adam.beta1); });
}

void OneBitLambReference::FindScales() {
  std::vector<double> sizes;
  double sum = 0.0;
  double num_summed = 0.0;
  for (const ReferenceRange& tensor : model().tensors) {
    if (tensor.begin >= model().num_compressed) break;
    sizes.push_back(lamb_.RootMeanSquare(sizes.size(), lamb_.adam.m));
    sum += sizes.back();
    if (sizes.back() > 0.0) num_summed += 1.0;
  }
  for (size_t t = 0; t < sizes.size(); ++t) {
    if (sizes[t] == 0.0) continue;
    const double q = sum / num_summed / sizes[t];
    const double bounded = std::min(std::max(q, std::ldexp(1.0, -32)), std::ldexp(1.0, 32));
    for (size_t i = model().tensors[t].begin; i < model().tensors[t].end; ++i) {
      scales_[i] = static_cast<float>(bounded);
    }
  }
}

}  // namespace tally
