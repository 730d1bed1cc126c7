// Which runs of a vector meet in which columns of a sketch.
#ifndef TALLY_KERNELS_CUDA_SKETCH_PLAN_CU_H_
#define TALLY_KERNELS_CUDA_SKETCH_PLAN_CU_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <list>

#include "absl/status/statusor.h"
#include "kernels/cuda/queue_memory.cu.h"
#include "kernels/device/device.h"
#include "kernels/sketch_hash.h"

namespace tally::cuda {

// A cell of a sketch is a sum in the order of the vector, which rules out adding from all threads
// at once. So every slot (the kSketchRunElements columns that a run may go to) has the list of its
// runs, in increasing order, and its threads read what they add. In device memory.
struct SketchPlan {
  // [num_slots + 1] slot s has runs[starts[s]] to runs[starts[s + 1] - 1]; slots of row 0 first.
  const uint32_t* starts;
  // [rows * num_runs]
  const uint32_t* runs;
};

// The plans of one queue. A plan depends on the shape and the number of runs alone, so it is made
// once and used every round; the least recently used ones go when there are too many. Not
// thread-safe.
class SketchPlans {
 public:
  // `device` must outlive this.
  explicit SketchPlans(Device* device) : device_(device) {}
  // The queue is idle.
  ~SketchPlans();

  // A plan that stays until the queue's next Wait at least; it is made in `stream`.
  // Returns RESOURCE_EXHAUSTED if memory does not suffice.
  absl::StatusOr<SketchPlan> Find(const SketchShape& shape, uint32_t num_runs, QueueMemory& memory,
                                  cudaStream_t stream);
  // The queue is idle: plans beyond those that are kept go.
  void Trim();

 private:
  struct Entry {
    SketchShape shape;
    uint32_t num_runs;
    void* memory;
    size_t num_bytes;
    SketchPlan plan;
  };

  Device* const device_;
  std::list<Entry> entries_;  // last used first
};

}  // namespace tally::cuda

#endif  // TALLY_KERNELS_CUDA_SKETCH_PLAN_CU_H_
