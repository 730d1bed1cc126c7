#include "kernels/cuda/cuda_device.h"

#include <cuda_runtime.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/device/memory_budget.h"

namespace tally {
namespace {

using cuda::StatusOf;

// What the kernels are compiled for, and newer.
constexpr int kOldestMajor = 8;

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(std::string description) : description_(std::move(description)) {}

  std::string description() const override { return description_; }

  void LimitMemory(uint64_t num_bytes) override { budget_.Limit(num_bytes); }

  absl::StatusOr<void*> Allocate(size_t num_bytes) override {
    return AllocateFrom(budget_, num_bytes, "memory of the device",
                        [num_bytes](void** memory) { return cudaMalloc(memory, num_bytes); });
  }

  void Free(void* memory, size_t num_bytes) override {
    // After a failure there is nothing to free.
    Checked(StatusOf(cudaFree(memory), "freeing")).IgnoreError();
    budget_.Release(num_bytes);
  }

  uint64_t allocated_bytes() const override { return budget_.used_bytes(); }

  void LimitPinned(uint64_t num_bytes) override { pinned_budget_.Limit(num_bytes); }

  absl::StatusOr<void*> AllocatePinned(size_t num_bytes) override {
    return AllocateFrom(pinned_budget_, num_bytes, "pinned memory of the host",
                        [num_bytes](void** memory) { return cudaMallocHost(memory, num_bytes); });
  }

  void FreePinned(void* memory, size_t num_bytes) override {
    Checked(StatusOf(cudaFreeHost(memory), "freeing")).IgnoreError();
    pinned_budget_.Release(num_bytes);
  }

  absl::StatusOr<std::unique_ptr<DeviceQueue>> NewQueue() override {
    TALLY_RETURN_IF_ERROR(failure());
    cudaStream_t stream;
    TALLY_RETURN_IF_ERROR(
        Checked(StatusOf(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream")));
    return std::unique_ptr<DeviceQueue>(std::make_unique<cuda::CudaQueue>(
        this, stream, [this](const absl::Status& status) { Checked(status).IgnoreError(); }));
  }

  absl::Status failure() const override {
    const MutexLock lock(&mutex_);
    return failure_;
  }

 private:
  template <typename Function>
  absl::StatusOr<void*> AllocateFrom(MemoryBudget& budget, size_t num_bytes, absl::string_view what,
                                     Function allocate) {
    TALLY_RETURN_IF_ERROR(failure());
    TALLY_RETURN_IF_ERROR(budget.Reserve(num_bytes));
    void* memory = nullptr;
    const absl::Status status = Checked(StatusOf(allocate(&memory), what));
    if (status.ok()) return memory;
    budget.Release(num_bytes);
    return status;
  }

  // Remembers the first error that is not want of memory: CUDA's others leave the process's
  // context unusable, or may.
  absl::Status Checked(absl::Status status) {
    if (absl::IsUnavailable(status)) {
      const MutexLock lock(&mutex_);
      if (failure_.ok()) failure_ = status;
    } else if (!status.ok()) {
      cudaGetLastError();  // want of memory is not to be reported again by the next launch
    }
    return status;
  }

  const std::string description_;
  mutable Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  MemoryBudget budget_{"of the device's memory"};
  MemoryBudget pinned_budget_{"of pinned memory"};
};

}  // namespace

absl::StatusOr<std::unique_ptr<Device>> OpenCudaDevice() {
  int num_devices = 0;
  TALLY_RETURN_IF_ERROR(StatusOf(cudaGetDeviceCount(&num_devices), "no CUDA device"));
  if (num_devices == 0) return absl::UnavailableError("no CUDA device: the driver shows none");
  cudaDeviceProp properties;
  TALLY_RETURN_IF_ERROR(StatusOf(cudaGetDeviceProperties(&properties, 0), "the CUDA device"));
  std::string description =
      absl::StrFormat("%s, compute capability %d.%d, %.1f GiB", properties.name, properties.major,
                      properties.minor, static_cast<double>(properties.totalGlobalMem) / (1 << 30));
  if (properties.major < kOldestMajor) {
    return absl::UnavailableError(absl::StrCat("the CUDA device is ", description,
                                               ", must be of compute capability ", kOldestMajor,
                                               ".0 or later"));
  }
  // Waiting threads sleep: the cores are the network's.
  TALLY_RETURN_IF_ERROR(
      StatusOf(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync), "the CUDA device"));
  TALLY_RETURN_IF_ERROR(StatusOf(cudaFree(nullptr), "the CUDA device"));
  return std::unique_ptr<Device>(std::make_unique<CudaDevice>(std::move(description)));
}

}  // namespace tally
