#include "kernels/cuda/queue_memory.cu.h"

#include <cstring>

#include "kernels/cuda/launch.cu.h"

namespace tally::cuda {

absl::StatusOr<uint8_t*> QueueMemory::UploadBytes(const void* table, size_t num_bytes) {
  if (num_bytes == 0) return nullptr;
  TALLY_ASSIGN_OR_RETURN(uint8_t* const staged, staging_.Take(num_bytes));
  TALLY_ASSIGN_OR_RETURN(uint8_t* const memory, scratch_.Take(num_bytes));
  std::memcpy(staged, table, num_bytes);
  TALLY_RETURN_IF_ERROR(
      StatusOf(cudaMemcpyAsync(memory, staged, num_bytes, cudaMemcpyHostToDevice, stream_),
               "copy of a table"));
  return memory;
}

}  // namespace tally::cuda
