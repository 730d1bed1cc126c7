#include "kernels/device/memory_budget.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tally {

void MemoryBudget::Limit(uint64_t num_bytes) {
  const MutexLock lock(&mutex_);
  limit_bytes_ = num_bytes;
}

absl::Status MemoryBudget::Reserve(uint64_t num_bytes) {
  const MutexLock lock(&mutex_);
  if (num_bytes > limit_bytes_ - std::min(limit_bytes_, used_bytes_)) {
    return absl::ResourceExhaustedError(absl::StrCat(num_bytes, " bytes more ", name_, ", where ",
                                                     used_bytes_, " are in use: the limit is ",
                                                     limit_bytes_));
  }
  used_bytes_ += num_bytes;
  return absl::OkStatus();
}

void MemoryBudget::Release(uint64_t num_bytes) {
  const MutexLock lock(&mutex_);
  used_bytes_ -= num_bytes;
}

uint64_t MemoryBudget::used_bytes() const {
  const MutexLock lock(&mutex_);
  return used_bytes_;
}

}  // namespace tally
