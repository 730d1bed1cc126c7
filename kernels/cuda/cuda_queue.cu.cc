#include "kernels/cuda/cuda_queue.cu.h"

#include <utility>

#include "kernels/cuda/launch.cu.h"

namespace tally::cuda {

CudaQueue::CudaQueue(Device* device, cudaStream_t stream,
                     std::function<void(const absl::Status&)> fail)
    : stream_(stream), fail_(std::move(fail)), memory_(device, stream), sketch_plans_(device) {}

CudaQueue::~CudaQueue() {
  Wait().IgnoreError();
  cudaStreamDestroy(stream_);
}

absl::Status CudaQueue::CopyIn(absl::Span<const uint8_t> host, void* device) {
  return Checked(
      StatusOf(cudaMemcpyAsync(device, host.data(), host.size(), cudaMemcpyHostToDevice, stream_),
               "copy to the device"));
}

absl::Status CudaQueue::CopyOut(const void* device, absl::Span<uint8_t> host) {
  return Checked(
      StatusOf(cudaMemcpyAsync(host.data(), device, host.size(), cudaMemcpyDeviceToHost, stream_),
               "copy from the device"));
}

absl::Status CudaQueue::Copy(const void* from, void* to, size_t num_bytes) {
  return Checked(
      StatusOf(cudaMemcpyAsync(to, from, num_bytes, cudaMemcpyDeviceToDevice, stream_), "copy"));
}

absl::Status CudaQueue::Zero(void* device, size_t num_bytes) {
  return Checked(StatusOf(cudaMemsetAsync(device, 0, num_bytes, stream_), "zeroing"));
}

absl::Status CudaQueue::Wait() {
  const absl::Status status =
      Checked(StatusOf(cudaStreamSynchronize(stream_), "wait for a stream"));
  memory_.Reset();
  sketch_plans_.Trim();
  return status;
}

absl::Status CudaQueue::Checked(absl::Status status) {
  if (absl::IsUnavailable(status)) fail_(status);
  return status;
}

}  // namespace tally::cuda
