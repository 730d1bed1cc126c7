// An accelerator with memory and queues of its own, as the rest of the tree sees it: nothing here
// needs its toolkit. kernels/cuda/ has NVIDIA's; kernels/device/fake_device.h one for tests.
#ifndef TALLY_KERNELS_DEVICE_DEVICE_H_
#define TALLY_KERNELS_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

// Arguments of DeviceQueue::Accumulate.
struct DeviceAccumulateArgs {
  AccumulateArgs accumulate;
  // [BitmapBytes(num_elements)] out: signs of the new sum, as Backend::PackSigns gives them, in the
  // same pass. Empty: not wanted.
  absl::Span<uint8_t> bits;
};

// Arguments of DeviceQueue::DenseMean.
struct DeviceMeanArgs {
  DType dtype = DType::kFloat32;
  absl::Span<const absl::Span<const uint8_t>> inputs;  // at least one, all of one size
  float divisor = 1;
  DType output_dtype = DType::kFloat32;
  absl::Span<uint8_t> output;
};

// One participant's entries of DeviceQueue::SparseMean.
struct DeviceSparseBlock {
  absl::Span<const uint32_t> indices;  // strictly increasing
  absl::Span<const float> values;
};

// Which elements of a vector, as runs of equal length: run k begins at element starts[k] *
// num_elements. Runs of one element are indices.
struct DeviceRuns {
  absl::Span<const uint32_t> starts;
  uint32_t num_elements = 1;
};

// Arguments of DeviceQueue::Weigh. `num_elements` is x.size().
struct DeviceWeighArgs {
  // [num_elements] masked elements become +0.
  absl::Span<float> x;
  // [BitmapBytes(num_elements)] As in AccumulateArgs.
  absl::Span<const uint8_t> live;
  // [num_elements] v; not negative.
  absl::Span<const float> second_moment;
  float second_correction = 1;
  float epsilon = 0;
  // [num_elements], apart from the others in memory: x times its weight, 1 / (sqrt(v *
  // second_correction) + epsilon).
  absl::Span<float> out;
};

// Memory of the host, given by Device::AllocatePinned, and where it is to go.
struct DeviceHostPiece {
  absl::Span<const uint8_t> pinned;  // starts at a multiple of 16 bytes
  uint8_t* device = nullptr;         // likewise
};

// The most arguments that an operation over many of them takes at once.
inline constexpr size_t kMaxDeviceBatch = 4096;

// An election over one chunk.
struct DeviceElectionArgs {
  Ballots ballots;
  size_t num_elements = 0;
  DrawStream draws;
  // DrawVotes, MajorityVotes: [BitmapBytes(num_elements)]; CountVotes: the planes.
  absl::Span<uint8_t> output;
};

// What is left to do for a device, in order: every method enqueues work and returns at once; work
// of one queue runs in the order in which it was enqueued, that of different queues side by side.
// Not thread-safe.
//
// The operations are those of kernels/backend.h, and a few that the host needs none of its own for,
// on the same arguments and with the same bits, but that elements lie in the device's memory: every
// span of float, double or uint8_t, `indices` and `starts`. Lists of spans, `segment_ends` and
// everything else lie in the host's, and are read before the method returns. Spans of the device's
// memory start at a multiple of 4 bytes, bitmaps, planes and dense payloads included (at a multiple
// of 16 they are faster), and up to the next multiple of 4 bytes past their end memory may be read
// and written. Arguments are not checked: they hold what Backend checks.
//
// Errors: RESOURCE_EXHAUSTED, and no argument is changed in place, if the device's memory does not
// suffice for what the operation needs besides its arguments; UNAVAILABLE if the device has failed:
// then it has failed for good (Device::failure), and nothing that was computed since the last Wait
// may be used.
class DeviceQueue {
 public:
  virtual ~DeviceQueue() = default;
  DeviceQueue(const DeviceQueue&) = delete;
  DeviceQueue& operator=(const DeviceQueue&) = delete;

  // Copies; the host's memory must stay, unchanged, until Wait has returned. From and to pinned
  // memory it runs beside kernels and copies of other queues.
  virtual absl::Status CopyIn(absl::Span<const uint8_t> host, void* device) = 0;
  // Many copies at once, which the device does in one launch: each alone would cost more than what
  // it carries. The pinned memory must stay, unchanged, until Wait has returned.
  virtual absl::Status GatherIn(absl::Span<const DeviceHostPiece> pieces) = 0;
  virtual absl::Status CopyOut(const void* device, absl::Span<uint8_t> host) = 0;
  // Within the device's memory.
  virtual absl::Status Copy(const void* from, void* to, size_t num_bytes) = 0;
  virtual absl::Status Zero(void* device, size_t num_bytes) = 0;

  // The norm is written to `norm`, one double.
  virtual absl::Status SumOfSquares(absl::Span<const float> x, double* norm) = 0;
  virtual absl::Status SumOfMagnitudes(absl::Span<const float> x, double* norm) = 0;
  virtual absl::Status DotProduct(absl::Span<const float> x, absl::Span<const float> y,
                                  double* product) = 0;
  // Writes 0 to `beyond` if all are within the bound, else something else.
  virtual absl::Status FindBeyond(absl::Span<const float> x, float bound, uint32_t* beyond) = 0;
  virtual absl::Status Blend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
                             absl::Span<float> out) = 0;
  virtual absl::Status AdamStep(const AdamArgs& args) = 0;
  virtual absl::Status MomentumStep(const MomentumArgs& args) = 0;

  // Elements that do not lie side by side: copies the runs of `x` to `packed`, one after the other,
  // and back; the two lie apart in memory. The last run may be cut short: `packed` ends it. No run
  // is there twice in Scatter's.
  virtual absl::Status Gather(absl::Span<const float> x, const DeviceRuns& runs,
                              absl::Span<float> packed) = 0;
  virtual absl::Status Scatter(absl::Span<const float> packed, const DeviceRuns& runs,
                               absl::Span<float> x) = 0;
  // What a sketch of x is to weigh its elements by: as much as they would move a parameter.
  virtual absl::Status Weigh(const DeviceWeighArgs& args) = 0;

  virtual absl::Status Accumulate(const DeviceAccumulateArgs& args) = 0;
  virtual absl::Status PackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) = 0;
  virtual absl::Status SumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                                absl::Span<const uint8_t> live, absl::Span<float> out) = 0;
  // All in one launch.
  virtual absl::Status SignRounds(absl::Span<const SignRoundArgs> rounds) = 0;

  // Means of dense payloads, all in one launch; kMaxDeviceBatch at most, as of elections.
  virtual absl::Status DenseMeans(absl::Span<const DeviceMeanArgs> means) = 0;
  // Copies bits where both are the same; else rounds like Backend::EncodeDense. One of them is
  // kFloat32.
  virtual absl::Status Convert(DType from, absl::Span<const uint8_t> x, DType to,
                               absl::Span<uint8_t> out) = 0;

  virtual absl::Status Binarise(const BinariseArgs& args) = 0;
  virtual absl::Status CountVotes(absl::Span<const DeviceElectionArgs> elections) = 0;
  virtual absl::Status DrawVotes(absl::Span<const DeviceElectionArgs> elections) = 0;
  virtual absl::Status MajorityVotes(absl::Span<const DeviceElectionArgs> elections) = 0;
  virtual absl::Status MeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                                    absl::Span<float> mean) = 0;

  virtual absl::Status Sketch(const SketchShape& shape, absl::Span<const float> x,
                              absl::Span<float> table) = 0;
  virtual absl::Status Estimate(const SketchShape& shape, absl::Span<const float> table,
                                absl::Span<float> x) = 0;
  // As SketchKernels::SelectLargest; besides, writes the values at the chosen indices to `values`
  // [indices.size()], unless that is empty.
  virtual absl::Status SelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                                     absl::Span<uint32_t> indices, absl::Span<float> values) = 0;
  // mean[k] of element indices[k]: the sum of the blocks' values, in their order, over `divisor`.
  // `indices` and `mean` [number of elements that some block names, at most their capacity] are
  // increasing; `count` says how many there are.
  virtual absl::Status SparseMean(absl::Span<const DeviceSparseBlock> blocks, uint32_t num_elements,
                                  float divisor, absl::Span<uint32_t> indices,
                                  absl::Span<float> mean, uint32_t* count) = 0;

  // Blocks until everything enqueued is done.
  // Returns UNAVAILABLE if something of it failed.
  virtual absl::Status Wait() = 0;

 protected:
  DeviceQueue() = default;
};

// Thread-safe. Outlives its queues and its memory.
class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // For people: "NVIDIA H200, compute capability 9.0, 139.8 GiB".
  virtual std::string description() const = 0;

  // From now on allocations beyond this many bytes in all are refused. Without a call only the
  // device itself limits them.
  virtual void LimitMemory(uint64_t num_bytes) = 0;

  // Memory of the device, aligned to 256 bytes, of unspecified content.
  // Returns RESOURCE_EXHAUSTED if it would exceed the limit, or the device has not so much left;
  // UNAVAILABLE if the device has failed.
  virtual absl::StatusOr<void*> Allocate(size_t num_bytes) = 0;
  // No enqueued work may use it any more.
  virtual void Free(void* memory, size_t num_bytes) = 0;
  // Bytes that are allocated now.
  virtual uint64_t allocated_bytes() const = 0;

  // The same for AllocatePinned.
  virtual void LimitPinned(uint64_t num_bytes) = 0;

  // Memory of the host that the device copies from and to by itself.
  // Returns RESOURCE_EXHAUSTED if it would exceed the limit, or the host has not so much left to
  // pin; UNAVAILABLE if the device has failed.
  virtual absl::StatusOr<void*> AllocatePinned(size_t num_bytes) = 0;
  virtual void FreePinned(void* memory, size_t num_bytes) = 0;

  // The queue holds what memory it needs for itself until it is destroyed.
  virtual absl::StatusOr<std::unique_ptr<DeviceQueue>> NewQueue() = 0;

  // OK, or what the device failed of: from then on every call fails.
  virtual absl::Status failure() const = 0;

 protected:
  Device() = default;
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_DEVICE_H_
