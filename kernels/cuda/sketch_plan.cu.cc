#include "kernels/cuda/sketch_plan.cu.h"

#include <bit>
#include <cub/device/device_radix_sort.cuh>

#include "base/status_macros.h"
#include "kernels/cuda/launch.cu.h"

namespace tally::cuda {
namespace {

constexpr size_t kKeptPlans = 64;
constexpr uint32_t kThreads = 256;

struct SlotsArgs {
  SketchShape shape;
  uint32_t num_runs;
  uint32_t* slots;
  uint32_t* runs;
};

// One run of one row a thread.
__global__ void SlotsKernel(SlotsArgs args) {
  const uint32_t run = blockIdx.x * kThreads + threadIdx.x;
  const uint32_t row = blockIdx.y;
  if (run >= args.num_runs) return;
  const SketchRunHash hash = HashOfRun(SketchRowKey(args.shape.key, row), run, args.shape.columns);
  const uint64_t i = uint64_t{row} * args.num_runs + run;
  args.slots[i] = (row * args.shape.columns + hash.first_column) / kSketchRunElements;
  args.runs[i] = run;
}

struct StartsArgs {
  const uint32_t* sorted_slots;
  uint32_t num_entries;
  uint32_t num_slots;
  uint32_t* starts;
};

// One entry a thread: slots from the one before's to its own, exclusive of the former, start here.
__global__ void StartsKernel(StartsArgs args) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i > args.num_entries) return;
  const uint32_t first = i == 0 ? 0 : args.sorted_slots[i - 1] + 1;
  const uint32_t last = i == args.num_entries ? args.num_slots : args.sorted_slots[i];
  for (uint32_t slot = first; slot <= last; ++slot) args.starts[slot] = i;
}

bool IsSame(const SketchShape& a, const SketchShape& b) {
  return a.rows == b.rows && a.columns == b.columns && a.key == b.key;
}

absl::Status MakePlan(const SketchShape& shape, uint32_t num_runs, uint32_t* starts, uint32_t* runs,
                      QueueMemory& memory, cudaStream_t stream) {
  const uint32_t num_entries = shape.rows * num_runs;
  const uint32_t num_slots = shape.rows * (shape.columns / kSketchRunElements);
  TALLY_ASSIGN_OR_RETURN(uint32_t* const slots, memory.Scratch<uint32_t>(num_entries));
  TALLY_ASSIGN_OR_RETURN(uint32_t* const sorted_slots, memory.Scratch<uint32_t>(num_entries));
  TALLY_ASSIGN_OR_RETURN(uint32_t* const unsorted_runs, memory.Scratch<uint32_t>(num_entries));
  TALLY_RETURN_IF_ERROR(Launch(SlotsKernel,
                               {dim3(BlocksFor(num_runs, kThreads), shape.rows), kThreads}, stream,
                               {shape, num_runs, slots, unsorted_runs}));
  // A stable sort, and rows have their runs in increasing order.
  const int num_bits = std::bit_width(num_slots);
  size_t sort_bytes = 0;
  TALLY_RETURN_IF_ERROR(StatusOf(
      cub::DeviceRadixSort::SortPairs(nullptr, sort_bytes, slots, sorted_slots, unsorted_runs, runs,
                                      num_entries, 0, num_bits, stream),
      "size of a sort"));
  TALLY_ASSIGN_OR_RETURN(uint8_t* const sort_memory, memory.Scratch<uint8_t>(sort_bytes));
  TALLY_RETURN_IF_ERROR(StatusOf(
      cub::DeviceRadixSort::SortPairs(sort_memory, sort_bytes, slots, sorted_slots, unsorted_runs,
                                      runs, num_entries, 0, num_bits, stream),
      "sort"));
  return Launch(StartsKernel, {BlocksFor(uint64_t{num_entries} + 1, kThreads), kThreads}, stream,
                {sorted_slots, num_entries, num_slots, starts});
}

}  // namespace

SketchPlans::~SketchPlans() {
  for (const Entry& entry : entries_) device_->Free(entry.memory, entry.num_bytes);
}

absl::StatusOr<SketchPlan> SketchPlans::Find(const SketchShape& shape, uint32_t num_runs,
                                             QueueMemory& memory, cudaStream_t stream) {
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->num_runs != num_runs || !IsSame(entry->shape, shape)) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return entry->plan;
  }
  const size_t num_starts = size_t{shape.rows} * (shape.columns / kSketchRunElements) + 1;
  const size_t num_bytes = (num_starts + size_t{shape.rows} * num_runs) * sizeof(uint32_t);
  TALLY_ASSIGN_OR_RETURN(void* const plan_memory, device_->Allocate(num_bytes));
  auto* const starts = static_cast<uint32_t*>(plan_memory);
  uint32_t* const runs = starts + num_starts;
  const absl::Status status = MakePlan(shape, num_runs, starts, runs, memory, stream);
  // Kept even so: kernels may be under way that write it. A key that nothing matches makes it go.
  entries_.push_front({shape, status.ok() ? num_runs : 0, plan_memory, num_bytes, {starts, runs}});
  TALLY_RETURN_IF_ERROR(status);
  return entries_.front().plan;
}

void SketchPlans::Trim() {
  while (entries_.size() > kKeptPlans) {
    device_->Free(entries_.back().memory, entries_.back().num_bytes);
    entries_.pop_back();
  }
}

}  // namespace tally::cuda
