#include "kernels/cuda/cuda_device.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"

namespace tally {
namespace {

using cuda::StatusOf;

// What the kernels are compiled for, and newer.
constexpr int kOldestMajor = 8;

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(std::string description) : description_(std::move(description)) {}

  std::string description() const override { return description_; }

  void LimitMemory(uint64_t num_bytes) override {
    const MutexLock lock(&mutex_);
    memory_limit_ = num_bytes;
  }

  absl::StatusOr<void*> Allocate(size_t num_bytes) override {
    {
      const MutexLock lock(&mutex_);
      TALLY_RETURN_IF_ERROR(failure_);
      if (num_bytes > memory_limit_ - std::min(memory_limit_, allocated_bytes_)) {
        return absl::ResourceExhaustedError(
            absl::StrCat(num_bytes, " bytes more on the device, where ", allocated_bytes_,
                         " are in use: the limit is ", memory_limit_));
      }
      allocated_bytes_ += num_bytes;
    }
    void* memory = nullptr;
    const absl::Status status =
        Checked(StatusOf(cudaMalloc(&memory, num_bytes), "memory of the device"));
    if (status.ok()) return memory;
    const MutexLock lock(&mutex_);
    allocated_bytes_ -= num_bytes;
    return status;
  }

  void Free(void* memory, size_t num_bytes) override {
    // After a failure there is nothing to free.
    Checked(StatusOf(cudaFree(memory), "freeing")).IgnoreError();
    const MutexLock lock(&mutex_);
    allocated_bytes_ -= num_bytes;
  }

  uint64_t allocated_bytes() const override {
    const MutexLock lock(&mutex_);
    return allocated_bytes_;
  }

  absl::StatusOr<void*> AllocatePinned(size_t num_bytes) override {
    TALLY_RETURN_IF_ERROR(failure());
    void* memory = nullptr;
    TALLY_RETURN_IF_ERROR(
        Checked(StatusOf(cudaMallocHost(&memory, num_bytes), "pinned memory of the host")));
    return memory;
  }

  void FreePinned(void* memory) override {
    Checked(StatusOf(cudaFreeHost(memory), "freeing")).IgnoreError();
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
  uint64_t memory_limit_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<uint64_t>::max();
  uint64_t allocated_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
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
