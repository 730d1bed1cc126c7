// What a queue needs besides the arguments of its operations.
#ifndef TALLY_KERNELS_CUDA_QUEUE_MEMORY_CU_H_
#define TALLY_KERNELS_CUDA_QUEUE_MEMORY_CU_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "kernels/device/device.h"
#include "kernels/device/slabs.h"

namespace tally::cuda {

// Scratch memory of the device, and tables that go there. What was handed out is taken back as a
// whole, by Reset, and kept for the next time. Not thread-safe.
class QueueMemory {
 public:
  // `device` must outlive this; tables are copied in `stream`, which is idle when this goes.
  QueueMemory(Device* device, cudaStream_t stream)
      : stream_(stream),
        scratch_(device, Slabs::Kind::kDevice),
        staging_(device, Slabs::Kind::kPinned) {}

  // Of unspecified content. RESOURCE_EXHAUSTED if memory does not suffice.
  template <typename T>
  absl::StatusOr<T*> Scratch(size_t size) {
    TALLY_ASSIGN_OR_RETURN(uint8_t* const memory, scratch_.Take(size * sizeof(T)));
    return reinterpret_cast<T*>(memory);
  }

  // A copy of `table` on the device, for kernels that are enqueued from now on.
  template <typename T>
  absl::StatusOr<const T*> Upload(absl::Span<const T> table) {
    TALLY_ASSIGN_OR_RETURN(uint8_t* const memory,
                           UploadBytes(table.data(), table.size() * sizeof(T)));
    return reinterpret_cast<const T*>(memory);
  }

  // Everything enqueued is done.
  void Reset() {
    scratch_.Reset();
    staging_.Reset();
  }

 private:
  absl::StatusOr<uint8_t*> UploadBytes(const void* table, size_t num_bytes);

  const cudaStream_t stream_;
  Slabs scratch_;
  Slabs staging_;
};

}  // namespace tally::cuda

#endif  // TALLY_KERNELS_CUDA_QUEUE_MEMORY_CU_H_
