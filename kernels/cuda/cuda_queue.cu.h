// A device queue on a CUDA stream. Its operations are spread over files by kind.
#ifndef TALLY_KERNELS_CUDA_CUDA_QUEUE_CU_H_
#define TALLY_KERNELS_CUDA_CUDA_QUEUE_CU_H_

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "kernels/cuda/queue_memory.cu.h"
#include "kernels/cuda/sketch_plan.cu.h"
#include "kernels/device/device.h"

namespace tally::cuda {

class CudaQueue final : public DeviceQueue {
 public:
  // Takes `stream` over. `fail` is told of an error after which the device must not be used;
  // `device` must outlive the queue.
  CudaQueue(Device* device, cudaStream_t stream, std::function<void(const absl::Status&)> fail);
  ~CudaQueue() override;

  absl::Status CopyIn(absl::Span<const uint8_t> host, void* device) override;
  absl::Status GatherIn(absl::Span<const DeviceHostPiece> pieces) override;  // gather.cu.cc
  absl::Status CopyOut(const void* device, absl::Span<uint8_t> host) override;
  absl::Status Copy(const void* from, void* to, size_t num_bytes) override;
  absl::Status Zero(void* device, size_t num_bytes) override;
  absl::Status Wait() override;

  // reductions.cu.cc
  absl::Status SumOfSquares(absl::Span<const float> x, double* norm) override;
  absl::Status SumOfMagnitudes(absl::Span<const float> x, double* norm) override;
  absl::Status DotProduct(absl::Span<const float> x, absl::Span<const float> y,
                          double* product) override;
  absl::Status FindBeyond(absl::Span<const float> x, float bound, uint32_t* beyond) override;

  // elementwise.cu.cc
  absl::Status Blend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
                     absl::Span<float> out) override;
  absl::Status AdamStep(const AdamArgs& args) override;
  absl::Status MomentumStep(const MomentumArgs& args) override;

  // runs.cu.cc
  absl::Status Gather(absl::Span<const float> x, const DeviceRuns& runs,
                      absl::Span<float> packed) override;
  absl::Status Scatter(absl::Span<const float> packed, const DeviceRuns& runs,
                       absl::Span<float> x) override;
  absl::Status Weigh(const DeviceWeighArgs& args) override;

  // accumulate.cu.cc, sum_signs.cu.cc, sign_rounds.cu.cc
  absl::Status Accumulate(const DeviceAccumulateArgs& args) override;
  absl::Status PackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) override;
  absl::Status SumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                        absl::Span<const uint8_t> live, absl::Span<float> out) override;
  absl::Status SignRounds(absl::Span<const SignRoundArgs> rounds) override;

  // dense.cu.cc
  absl::Status DenseMeans(absl::Span<const DeviceMeanArgs> means) override;
  absl::Status Convert(DType from, absl::Span<const uint8_t> x, DType to,
                       absl::Span<uint8_t> out) override;

  // votes.cu.cc
  absl::Status Binarise(const BinariseArgs& args) override;
  absl::Status CountVotes(absl::Span<const DeviceElectionArgs> elections) override;
  absl::Status DrawVotes(absl::Span<const DeviceElectionArgs> elections) override;
  absl::Status MajorityVotes(absl::Span<const DeviceElectionArgs> elections) override;
  absl::Status MeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                            absl::Span<float> mean) override;

  // sketches.cu.cc, select.cu.cc, sparse.cu.cc
  absl::Status Sketch(const SketchShape& shape, absl::Span<const float> x,
                      absl::Span<float> table) override;
  absl::Status Estimate(const SketchShape& shape, absl::Span<const float> table,
                        absl::Span<float> x) override;
  absl::Status SelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                             absl::Span<uint32_t> indices, absl::Span<float> values) override;
  absl::Status SparseMean(absl::Span<const DeviceSparseBlock> blocks, uint32_t num_elements,
                          float divisor, absl::Span<uint32_t> indices, absl::Span<float> mean,
                          uint32_t* count) override;

 private:
  // Remembers what cannot be mended: returns `status`.
  absl::Status Checked(absl::Status status);

  const cudaStream_t stream_;
  const std::function<void(const absl::Status&)> fail_;
  QueueMemory memory_;
  SketchPlans sketch_plans_;
};

}  // namespace tally::cuda

#endif  // TALLY_KERNELS_CUDA_CUDA_QUEUE_CU_H_
