// Payloads in memory that a device copies by itself.
#ifndef TALLY_KERNELS_DEVICE_PINNED_POOL_H_
#define TALLY_KERNELS_DEVICE_PINNED_POOL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/buffer.h"
#include "base/mutex.h"
#include "kernels/device/device.h"

namespace tally {

// A bounded amount of the host's memory, pinned for a device, for buffers: what is received goes to
// the device from where it was assembled, without another copy, while the network and kernels go
// on. Pinning is slow, so memory that comes back is kept for the next buffer of its size; payloads
// of a job have few sizes. Small buffers are left to the heap. Thread-safe.
class PinnedPool final : public BufferMemory {
 public:
  // Below, a copy into a lane's staging memory costs less than it is worth to think about.
  static constexpr size_t kSmallestBytes = size_t{16} << 10;

  // `device` must outlive the pool. Buffers below `smallest_bytes` are left to the heap.
  PinnedPool(Device* device, uint64_t max_bytes, size_t smallest_bytes = kSmallestBytes)
      : device_(device), max_bytes_(max_bytes), smallest_bytes_(smallest_bytes) {}
  // Every buffer has gone.
  ~PinnedPool() override;

  uint8_t* TryAllocate(size_t num_bytes) override;
  void Free(uint8_t* data, size_t num_bytes) override;

  // Pinned now, in use or not.
  uint64_t pinned_bytes() const;

 private:
  // Unpins what is not in use, until `num_bytes` more may be pinned. Returns whether they may.
  bool MakeRoom(size_t num_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Device* const device_;
  const uint64_t max_bytes_;
  const size_t smallest_bytes_;
  mutable Mutex mutex_;
  uint64_t pinned_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Not in use, by size.
  std::map<size_t, std::vector<void*>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_PINNED_POOL_H_
