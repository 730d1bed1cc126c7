#include "tests/reference/zeroone_adam_reference.h"

#include <algorithm>

namespace tally {

ZeroOneAdamReference::ZeroOneAdamReference(const ZeroOneAdamReferenceOptions& options)
    : SignRoundsReference(options.method, options.signs),
      options_(options),
      adam_(options.adam, parameters.size()),
      rates_(chunks().size()) {}

size_t ZeroOneAdamReference::num_without_variance() const {
  return static_cast<size_t>(std::count(adam_.v.begin(), adam_.v.end(), 0.0f));
}

void ZeroOneAdamReference::BeginRound() {
  const uint64_t step = round() + 1;
  if (step == options_.variance_steps + 1) Freeze();
  refreshes_ = !frozen_ && step % variance_interval_ == 0;
  exchanges_ = frozen_ && step % local_interval_ == 0;
  ++(refreshes_    ? steps_.refreshes
     : !frozen_    ? steps_.signs
     : !exchanges_ ? steps_.local
                   : steps_.exchanges);
  adam_.BeginStep(/*moves_v=*/refreshes_);
  if (frozen_) {
    for (double& rates : rates_) rates += static_cast<double>(options().learning_rate);
    for (size_t w = 0; w < num_workers(); ++w) StepAlone(w);
  } else if (!refreshes_) {
    TakeCarries([](size_t) { return 1.0f; });
  }
}

void ZeroOneAdamReference::EndRound() {
  if (refreshes_ && ++refreshes_with_it_ == options_.variance_scaler) {
    refreshes_with_it_ = 0;
    variance_interval_ *= 2;
  }
  if (!frozen_) return;
  if (++steps_with_it_ == options_.local_step_scaler) {
    steps_with_it_ = 0;
    local_interval_ = std::min(2 * local_interval_, options_.max_local_steps);
  }
  if (!exchanges_) return;
  for (Own& own : own_) {
    own.p.assign(own.p.size(), 0.0f);
    own.x = parameters;
  }
}

void ZeroOneAdamReference::Freeze() {
  frozen_ = true;
  ForgetResiduals();
  for (std::vector<float>& carry : carries_) carry.assign(carry.size(), 0.0f);
  for (std::vector<bool>& carrying : carrying_) carrying.assign(carrying.size(), false);
  own_.assign(num_workers(), {adam_.m, std::vector<float>(parameters.size()), parameters});
}

void ZeroOneAdamReference::StepAlone(size_t worker) {
  const float learning_rate = options().learning_rate;
  const float beta1 = options_.adam.beta1;
  for (size_t c = 0; c < chunks().size(); ++c) {
    if (!IsFinite(worker, c)) continue;
    for (const size_t i : chunks()[c].elements) {
      float& m = own_[worker].m[i];
      float& p = own_[worker].p[i];
      float& x = own_[worker].x[i];
      m = beta1 * m + (1.0f - beta1) * gradient(worker, i);
      if (adam_.v[i] == 0.0f) m = 0.0f;
      p = p + learning_rate * adam_.c1() * m;
      x = x - learning_rate * (m * adam_.c1() / adam_.Denominator(i));
    }
  }
}

float ZeroOneAdamReference::DenseInput(size_t worker, size_t element) const {
  return frozen_ ? own_[worker].p[element] : gradient(worker, element);
}

void ZeroOneAdamReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  if (!refreshes_) return TakeSigns(chunk, mean);
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    Move(i, adam_.Direction(i, mean[k]));
  }
}

void ZeroOneAdamReference::TakeSigns(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    if (frozen_) {
      TakeSteps(i, mean[k], rates_[chunk]);
    } else {
      TakeGradient(i, mean[k]);
    }
  }
  rates_[chunk] = 0.0;
}

void ZeroOneAdamReference::TakeGradient(size_t element, float mean) {
  float& m = adam_.m[element];
  m = options_.adam.beta1 * m + (1.0f - options_.adam.beta1) * mean;
  if (adam_.v[element] == 0.0f) m = 0.0f;
  Move(element, m * adam_.c1() / adam_.Denominator(element));
}

void ZeroOneAdamReference::TakeSteps(size_t element, float mean, double rates) {
  if (adam_.v[element] == 0.0f) mean = 0.0f;
  const auto inverse = static_cast<float>(1.0 / (rates * static_cast<double>(adam_.c1())));
  for (Own& own : own_) own.m[element] = inverse * mean;
  const auto decay = static_cast<float>(rates * static_cast<double>(options().weight_decay));
  float& x = parameters[element];
  x = x - (mean / adam_.Denominator(element) + decay * x);
}

}  // namespace tally
