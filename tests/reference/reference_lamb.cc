#include "tests/reference/reference_lamb.h"

#include <algorithm>
#include <cmath>

#include "tests/reference/reference_norm.h"

namespace tally {
namespace {

constexpr size_t kPiece = 4096;

double Bounded(double value, double smallest, double largest) {
  if (value < smallest) return smallest;
  return value > largest ? largest : value;
}

}  // namespace

ReferenceLamb::ReferenceLamb(const ReferenceModel* model, const ReferenceAdamOptions& adam_options,
                             const ReferenceLambOptions& options)
    : adam(adam_options, model->num_elements()),
      model_(*model),
      options_(options),
      moved_(model->num_elements()),
      sums_(model->tensors.size()),
      weights_(model->tensors.size()),
      factors_(model->tensors.size(), 1.0) {}

void ReferenceLamb::BeginStep() {
  adam.BeginStep();
  moved_.assign(moved_.size(), false);
}

void ReferenceLamb::ChunkMoved(size_t chunk) {
  for (const size_t i : model_.chunks[chunk].elements) moved_[i] = true;
}

bool ReferenceLamb::HasMoved(size_t tensor) const {
  const ReferenceRange& range = model_.tensors[tensor];
  for (size_t i = range.begin; i < range.end; ++i) {
    if (!moved_[i]) return false;
  }
  return true;
}

double ReferenceLamb::Squares(size_t tensor, const std::vector<float>& values) const {
  const ReferenceRange& range = model_.tensors[tensor];
  double sum = 0.0;
  for (size_t begin = range.begin; begin < range.end;) {
    size_t end = begin;
    while (end < range.end && model_.live[end] && end - begin < kPiece) ++end;
    if (end == begin) {
      ++begin;
      continue;
    }
    sum += reference::NormOf(reference::Scale::kRootMeanSquare, values, begin, end);
    begin = end;
  }
  return sum;
}

double ReferenceLamb::RootMeanSquare(size_t tensor, const std::vector<float>& values) const {
  const ReferenceRange& range = model_.tensors[tensor];
  size_t num_live = 0;
  for (size_t i = range.begin; i < range.end; ++i) num_live += model_.live[i] ? 1 : 0;
  return num_live == 0 ? 0.0 : std::sqrt(Squares(tensor, values) / static_cast<double>(num_live));
}

ReferenceLamb::Norms ReferenceLamb::NormsOf(size_t tensor, float correction, float weight_decay,
                                            const std::vector<float>& x) const {
  std::vector<float> direction(x.size());
  std::vector<float> update(x.size());
  for (size_t i = model_.tensors[tensor].begin; i < model_.tensors[tensor].end; ++i) {
    direction[i] = adam.m[i] * adam.c1() / adam.Denominator(i, correction);
    update[i] = direction[i] + weight_decay * x[i];
  }
  return {std::sqrt(Squares(tensor, direction)), std::sqrt(Squares(tensor, update)),
          std::sqrt(Squares(tensor, x))};
}

void ReferenceLamb::Step(size_t tensor, float learning_rate, float weight_decay,
                         std::vector<float>& x) {
  const Norms norms = NormsOf(tensor, adam.c2(), weight_decay, x);
  double c = 1.0;
  if (norms.weights > 0.0 && norms.update > 0.0) {
    const double ratio = norms.weights / norms.update;
    c = Bounded(ratio, options_.min_coefficient, options_.max_coefficient);
    num_clamped_low_ += c > ratio ? 1 : 0;
    num_clamped_high_ += c < ratio ? 1 : 0;
    const double beta = options_.coefficient_beta;
    sums_[tensor] = beta * sums_[tensor] + (1.0 - beta) * c;
    weights_[tensor] = beta * weights_[tensor] + (1.0 - beta);
  }
  Move(tensor, c, adam.c2(), learning_rate, weight_decay, x);
}

void ReferenceLamb::FrozenStep(size_t tensor, float largest_ratio, float correction,
                               float learning_rate, float weight_decay, std::vector<float>& x) {
  const Norms norms = NormsOf(tensor, correction, weight_decay, x);
  const bool decays = weight_decay > 0.0f && norms.update > 0.0;
  const double share = decays ? std::min(1.0, norms.direction / norms.update) : 1.0;
  double& f = factors_[tensor];
  const double wanted = Bounded(static_cast<double>(largest_ratio) * share + (1.0 - share),
                                options_.min_factor, options_.max_factor);
  f = Bounded(wanted, f * (1.0 - options_.factor_threshold), f * (1.0 + options_.factor_threshold));
  const double mean = weights_[tensor] > 0.0 ? sums_[tensor] / weights_[tensor] : 1.0;
  Move(tensor, mean * f, correction, learning_rate, weight_decay, x);
}

void ReferenceLamb::Move(size_t tensor, double coefficient, float correction, float learning_rate,
                         float weight_decay, std::vector<float>& x) const {
  const auto rate = static_cast<float>(static_cast<double>(learning_rate) * coefficient);
  for (size_t i = model_.tensors[tensor].begin; i < model_.tensors[tensor].end; ++i) {
    if (!model_.live[i]) continue;
    const float direction = adam.m[i] * adam.c1() / adam.Denominator(i, correction);
    x[i] = x[i] - rate * (direction + weight_decay * x[i]);
  }
}

}  // namespace tally
