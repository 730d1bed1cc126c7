#include "tests/reference/onebit_adam_reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tally {
namespace {

constexpr size_t kBlock = 4096;
constexpr size_t kStripes = 32;
const double kLargestScale = std::ldexp(1.0, 64);

bool AllFinite(const std::vector<float>& values, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    if (!std::isfinite(values[i])) return false;
  }
  return true;
}

}  // namespace

template <typename Real>
OneBitAdamReference<Real>::OneBitAdamReference(const ReferenceOptions& options)
    : options_(options) {
  std::vector<size_t> tensor_begins;
  for (const bool dense : {false, true}) {
    for (const ReferenceTensor& tensor : options_.tensors) {
      if (tensor.dense != dense) continue;
      const size_t begin = live_.size();
      tensor_begins.push_back(begin);
      live_.resize(begin + tensor.size, 1);
      for (const auto& [from, to] : tensor.masked) {
        for (size_t i = from; i < to; ++i) live_[begin + i] = 0;
      }
    }
    if (!dense) num_compressed_ = live_.size();
  }
  const size_t d = live_.size();

  for (size_t begin = 0; begin < num_compressed_; begin += options_.chunk_elements) {
    chunk_begins_.push_back(begin);
  }
  for (size_t begin = num_compressed_; begin < d; begin += options_.chunk_elements) {
    chunk_begins_.push_back(begin);
  }
  chunk_begins_.push_back(d);

  for (size_t c = 0; c + 1 < chunk_begins_.size() && chunk_begins_[c] < num_compressed_; ++c) {
    segments_.emplace_back();
    for (size_t i = chunk_begins_[c]; i < chunk_begins_[c + 1]; ++i) {
      bool starts = i == 0;
      if (options_.segment == ReferenceSegment::kBlock) {
        starts = (i - chunk_begins_[c]) % options_.block_elements == 0;
      } else if (options_.segment == ReferenceSegment::kTensor) {
        starts = std::count(tensor_begins.begin(), tensor_begins.end(), i) > 0;
      }
      if (starts) ++num_wholes_;
      if (starts || i == chunk_begins_[c]) segments_[c].push_back({i, i, num_wholes_ - 1});
      segments_[c].back().end = i + 1;
    }
  }

  parameters.resize(d);
  momentum.resize(d);
  variance_.resize(d);
  aggregated.resize(num_compressed_);
  aggregator_residual_.resize(num_compressed_);
  result_bits.resize(num_compressed_);
  const size_t n = options_.num_workers;
  sums.assign(n, std::vector<Real>(num_compressed_));
  last_ = sums;
  worker_bits.assign(n, std::vector<uint8_t>(num_compressed_));
  carries_.assign(n, std::vector<Real>(d));
  leaves_.assign(n, std::vector<uint8_t>(num_chunks()));
  takes_part_ = leaves_;
  segment_scales_.assign(n, std::vector<Real>(num_wholes_));
}

template <typename Real>
void OneBitAdamReference<Real>::Round(const std::vector<std::vector<float>>& gradients,
                                      const Misses& misses) {
  contributions.assign(options_.num_workers, std::vector<std::string>(num_chunks()));
  results.assign(num_chunks(), "");
  ++round_;
  first_power_ *= options_.beta1;
  second_power_ *= options_.beta2;
  if (options_.bias_correction) {
    first_correction_ = static_cast<Real>(1.0 / (1.0 - first_power_));
    second_correction_ = static_cast<Real>(1.0 / (1.0 - second_power_));
  }
  const bool compressing = round_ > options_.warmup_rounds;
  if (compressing) {
    for (size_t w = 0; w < options_.num_workers; ++w) PutIn(w, gradients[w]);
  }
  for (size_t c = 0; c < num_chunks(); ++c) {
    if (compressing && chunk_begins_[c] < num_compressed_) {
      Aggregate(c, misses);
    } else {
      DenseChunk(c, gradients, misses);
    }
  }
  if (round_ == options_.warmup_rounds) {
    frozen_correction_ = second_correction_;
    const Real factor = Real{1} - static_cast<Real>(options_.beta1);
    for (size_t w = 0; w < options_.num_workers; ++w) {
      for (size_t i = 0; i < num_compressed_; ++i) sums[w][i] = factor * carries_[w][i];
    }
  }
}

template <typename Real>
void OneBitAdamReference<Real>::DenseChunk(size_t chunk,
                                           const std::vector<std::vector<float>>& gradients,
                                           const Misses& misses) {
  const size_t begin = chunk_begins_[chunk];
  const size_t end = chunk_begins_[chunk + 1];
  std::vector<Real> mean;
  size_t num_participants = 0;
  for (size_t w = 0; w < options_.num_workers; ++w) {
    if (!AllFinite(gradients[w], begin, end)) continue;
    std::vector<Real> sent;
    for (size_t i = begin; i < end; ++i) {
      sent.push_back(static_cast<Real>(gradients[w][i]) + carries_[w][i]);
    }
    contributions[w][chunk].assign(reinterpret_cast<const char*>(sent.data()),
                                   sent.size() * sizeof(Real));
    const bool missed = misses(w, chunk);
    for (size_t i = begin; i < end; ++i) carries_[w][i] = missed ? sent[i - begin] : 0;
    if (missed) continue;
    if (++num_participants == 1) {
      mean = sent;
    } else {
      for (size_t i = 0; i < sent.size(); ++i) mean[i] += sent[i];
    }
  }
  if (num_participants == 0) return;
  for (Real& value : mean) value /= static_cast<Real>(num_participants);
  results[chunk].assign(reinterpret_cast<const char*>(mean.data()), mean.size() * sizeof(Real));
  for (size_t i = begin; i < end; ++i) Adam(i, mean[i - begin]);
}

template <typename Real>
void OneBitAdamReference<Real>::PutIn(size_t worker, const std::vector<float>& gradient) {
  const Real beta1 = options_.beta1;
  const Real one_minus_beta1 = Real{1} - beta1;
  std::vector<double> norms(num_wholes_);
  std::vector<size_t> num_live(num_wholes_);
  std::vector<Real>& sum = sums[worker];
  for (size_t c = 0; c < segments_.size(); ++c) {
    takes_part_[worker][c] = AllFinite(gradient, chunk_begins_[c], chunk_begins_[c + 1]);
    if (!takes_part_[worker][c]) continue;
    for (size_t i = chunk_begins_[c]; i < chunk_begins_[c + 1]; ++i) {
      const Real input = beta1 * momentum[i] + one_minus_beta1 * static_cast<Real>(gradient[i]);
      if (leaves_[worker][c]) sum[i] -= last_[worker][i];
      sum[i] = live_[i] ? sum[i] + input : 0;
    }
    for (const Segment& segment : segments_[c]) {
      // A worker's norm adds up over the chunk's blocks, cut by the segment.
      for (size_t begin = segment.begin; begin < segment.end;) {
        const size_t block = (begin - chunk_begins_[c]) / kBlock;
        const size_t end = std::min(segment.end, chunk_begins_[c] + (block + 1) * kBlock);
        norms[segment.whole] += Norm(sum, begin, end);
        num_live[segment.whole] += NumLive(begin, end);
        begin = end;
      }
    }
  }
  for (size_t k = 0; k < num_wholes_; ++k) {
    segment_scales_[worker][k] =
        static_cast<Real>(std::min<double>(Scale(norms[k], num_live[k]), kLargestScale));
  }
  for (size_t c = 0; c < segments_.size(); ++c) {
    if (!takes_part_[worker][c]) continue;
    leaves_[worker][c] = 0;
    std::vector<Real> scales;
    for (const Segment& segment : segments_[c]) {
      const Real scale = segment_scales_[worker][segment.whole];
      scales.push_back(scale);
      for (size_t i = segment.begin; i < segment.end; ++i) {
        worker_bits[worker][i] = sum[i] < 0 ? 0 : 1;
        last_[worker][i] = worker_bits[worker][i] ? scale : -scale;
      }
    }
    contributions[worker][c] = SignBytes(c, scales, worker_bits[worker]);
  }
}

template <typename Real>
void OneBitAdamReference<Real>::Aggregate(size_t chunk, const Misses& misses) {
  const size_t begin = chunk_begins_[chunk];
  const size_t end = chunk_begins_[chunk + 1];
  std::vector<size_t> participants;
  for (size_t w = 0; w < options_.num_workers; ++w) {
    if (!takes_part_[w][chunk]) continue;
    if (!misses(w, chunk)) {
      participants.push_back(w);
      leaves_[w][chunk] = 1;
    } else if (!options_.keep_momentum_when_missed) {
      const Real factor = -static_cast<Real>(options_.beta1);
      for (size_t i = begin; i < end; ++i) sums[w][i] += factor * momentum[i];
    }
  }
  if (participants.empty()) return;
  for (size_t i = begin; i < end; ++i) {
    Real sum = last_[participants[0]][i];
    for (size_t p = 1; p < participants.size(); ++p) sum += last_[participants[p]][i];
    const Real mean = sum / static_cast<Real>(participants.size());
    aggregated[i] = live_[i] ? mean + aggregator_residual_[i] : 0;
    result_bits[i] = aggregated[i] < 0 ? 0 : 1;
  }
  std::vector<Real> scales;
  for (const Segment& segment : segments_[chunk]) {
    const Real scale =
        Scale(Norm(aggregated, segment.begin, segment.end), NumLive(segment.begin, segment.end));
    scales.push_back(scale);
    for (size_t i = segment.begin; i < segment.end; ++i) {
      const Real decoded = result_bits[i] ? scale : -scale;
      aggregator_residual_[i] = live_[i] ? aggregated[i] - decoded : 0;
      momentum[i] = live_[i] && variance_[i] > 0 ? decoded : 0;
      Move(i, frozen_correction_);
    }
  }
  results[chunk] = SignBytes(chunk, scales, result_bits);
}

template <typename Real>
void OneBitAdamReference<Real>::Adam(size_t element, Real gradient) {
  const Real beta1 = options_.beta1;
  const Real beta2 = options_.beta2;
  momentum[element] = beta1 * momentum[element] + (Real{1} - beta1) * gradient;
  variance_[element] = beta2 * variance_[element] + (Real{1} - beta2) * (gradient * gradient);
  Move(element, second_correction_);
}

template <typename Real>
void OneBitAdamReference<Real>::Move(size_t element, Real second_correction) {
  Real& x = parameters[element];
  const Real numerator = momentum[element] * first_correction_;
  const Real denominator =
      std::sqrt(variance_[element] * second_correction) + static_cast<Real>(options_.epsilon);
  x = x - static_cast<Real>(options_.learning_rate) *
              (numerator / denominator + static_cast<Real>(options_.weight_decay) * x);
}

template <typename Real>
double OneBitAdamReference<Real>::Norm(const std::vector<Real>& values, size_t begin,
                                       size_t end) const {
  double total = 0.0;
  for (size_t block = begin; block < end; block += kBlock) {
    double stripes[kStripes] = {};
    for (size_t i = block; i < std::min(end, block + kBlock); ++i) {
      const double value = values[i];
      stripes[(i - block) % kStripes] +=
          options_.scale == ReferenceScale::kRootMeanSquare ? value * value : std::abs(value);
    }
    for (size_t half = kStripes / 2; half > 0; half /= 2) {
      for (size_t j = 0; j < half; ++j) stripes[j] += stripes[j + half];
    }
    total += stripes[0];
  }
  return total;
}

template <typename Real>
Real OneBitAdamReference<Real>::Scale(double norm, size_t num_elements) const {
  if (num_elements == 0) return 0;
  const double mean = norm / static_cast<double>(num_elements);
  return static_cast<Real>(options_.scale == ReferenceScale::kRootMeanSquare ? std::sqrt(mean)
                                                                             : mean);
}

template <typename Real>
size_t OneBitAdamReference<Real>::NumLive(size_t begin, size_t end) const {
  return std::count(live_.begin() + begin, live_.begin() + end, 1);
}

template <typename Real>
std::string OneBitAdamReference<Real>::SignBytes(size_t chunk, const std::vector<Real>& scales,
                                                 const std::vector<uint8_t>& bits) const {
  std::string bytes(reinterpret_cast<const char*>(scales.data()), scales.size() * sizeof(Real));
  const size_t begin = chunk_begins_[chunk];
  for (size_t i = begin; i < chunk_begins_[chunk + 1]; ++i) {
    if ((i - begin) % 8 == 0) bytes.push_back(0);
    if (bits[i]) bytes.back() = static_cast<char>(bytes.back() | (1 << ((i - begin) % 8)));
  }
  return bytes;
}

template class OneBitAdamReference<float>;
template class OneBitAdamReference<double>;

}  // namespace tally
