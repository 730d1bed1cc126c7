// How much memory of one kind may be taken, and how much is.
#ifndef TALLY_KERNELS_DEVICE_MEMORY_BUDGET_H_
#define TALLY_KERNELS_DEVICE_MEMORY_BUDGET_H_

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "base/mutex.h"

namespace tally {

// Thread-safe.
class MemoryBudget {
 public:
  // Without a limit at first. Messages call the memory `name`: "of the device's memory".
  explicit MemoryBudget(std::string name) : name_(std::move(name)) {}

  // Reservations from now on.
  void Limit(uint64_t num_bytes);
  // Returns RESOURCE_EXHAUSTED, with what is in use and the limit, if they do not fit.
  absl::Status Reserve(uint64_t num_bytes);
  // Gives back what was reserved.
  void Release(uint64_t num_bytes);

  uint64_t used_bytes() const;

 private:
  const std::string name_;
  mutable Mutex mutex_;
  uint64_t limit_bytes_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<uint64_t>::max();
  uint64_t used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_MEMORY_BUDGET_H_
