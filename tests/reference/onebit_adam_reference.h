// 1-bit Adam, all workers and the aggregator in one slow loop, written from docs/algorithms.md
// alone: it shares no code with what it judges.
#ifndef TALLY_TESTS_REFERENCE_ONEBIT_ADAM_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_ONEBIT_ADAM_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/reference/reference_model.h"

namespace tally {

enum class ReferenceScale { kRootMeanSquare, kMeanMagnitude };
enum class ReferenceSegment { kBlock, kTensor, kModel };

struct ReferenceOptions {
  std::vector<ReferenceTensor> tensors;
  size_t chunk_elements = 0;
  size_t num_workers = 0;
  size_t warmup_rounds = 0;
  ReferenceScale scale = ReferenceScale::kRootMeanSquare;
  ReferenceSegment segment = ReferenceSegment::kBlock;
  size_t block_elements = 4096;
  float learning_rate = 1e-3f;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;
  bool bias_correction = true;
  // The mistake of keeping the shared momentum in the residual when a round was missed.
  bool keep_momentum_when_missed = false;
};

// In fp32 it follows the documented order of operations and gives the same bits; in fp64 it says
// what exact arithmetic would give.
template <typename Real>
class OneBitAdamReference {
 public:
  // True: the result does without the worker's contribution.
  using Misses = std::function<bool(size_t worker, size_t chunk)>;

  explicit OneBitAdamReference(const ReferenceOptions& options);

  // One round. gradients[w] is worker w's flat gradient; a chunk of it with a value that is not
  // finite abstains.
  void Round(const std::vector<std::vector<float>>& gradients, const Misses& misses);

  size_t num_elements() const { return parameters.size(); }
  size_t num_chunks() const { return chunk_begins_.size() - 1; }

  // The flat model: compressed tensors first. Set it before the first round.
  std::vector<Real> parameters;

  // What the last round sent: contributions[w][chunk], empty if the worker abstained;
  // results[chunk], empty if nobody took part. As bytes only in fp32.
  std::vector<std::vector<std::string>> contributions;
  std::vector<std::string> results;
  // Signs of the last contribution, by worker and element of the compressed part.
  std::vector<std::vector<uint8_t>> worker_bits;
  std::vector<uint8_t> result_bits;
  // Sums a, before the last contribution is taken out, by worker.
  std::vector<std::vector<Real>> sums;
  std::vector<Real> momentum;
  // What the aggregator's bits were taken from, in the last round.
  std::vector<Real> aggregated;

 private:
  struct Segment {  // of one chunk
    size_t begin, end;
    size_t whole;  // number of the segment that it is a piece of
  };

  void DenseChunk(size_t chunk, const std::vector<std::vector<float>>& gradients,
                  const Misses& misses);
  void PutIn(size_t worker, const std::vector<float>& gradient);
  void Aggregate(size_t chunk, const Misses& misses);
  void Adam(size_t element, Real gradient);
  void Move(size_t element, Real second_correction);
  // Norm of elements [begin, end), in the order that all norms follow.
  double Norm(const std::vector<Real>& values, size_t begin, size_t end) const;
  Real Scale(double norm, size_t num_elements) const;
  size_t NumLive(size_t begin, size_t end) const;
  std::string SignBytes(size_t chunk, const std::vector<Real>& scales,
                        const std::vector<uint8_t>& bits) const;

  const ReferenceOptions options_;
  size_t num_compressed_ = 0;
  std::vector<size_t> chunk_begins_;  // and the end
  std::vector<std::vector<Segment>> segments_;
  size_t num_wholes_ = 0;
  std::vector<uint8_t> live_;

  size_t round_ = 0;
  double first_power_ = 1.0;
  double second_power_ = 1.0;
  Real first_correction_ = 1;
  Real second_correction_ = 1;
  Real frozen_correction_ = 1;
  std::vector<Real> variance_;
  std::vector<Real> aggregator_residual_;
  // By worker.
  std::vector<std::vector<Real>> carries_;
  std::vector<std::vector<Real>> last_;            // last contribution, element by element
  std::vector<std::vector<uint8_t>> leaves_;       // by chunk: it was counted, so it leaves the sum
  std::vector<std::vector<uint8_t>> takes_part_;   // by chunk, in this round
  std::vector<std::vector<Real>> segment_scales_;  // by whole segment, in this round
};

extern template class OneBitAdamReference<float>;
extern template class OneBitAdamReference<double>;

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_ONEBIT_ADAM_REFERENCE_H_
