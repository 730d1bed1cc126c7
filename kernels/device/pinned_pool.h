// Payloads in memory that a device copies by itself.
#ifndef TALLY_KERNELS_DEVICE_PINNED_POOL_H_
#define TALLY_KERNELS_DEVICE_PINNED_POOL_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "base/buffer.h"
#include "base/mutex.h"
#include "kernels/device/device.h"

namespace tally {

// A piece of the host's memory, pinned for a device, for buffers: what is received goes to the
// device from where it was put together, without another copy, while the network and kernels go on.
// Pinning is slow and may wait for the device, so all of it is pinned at the start; after that the
// threads of the network, who ask for buffers, never call the device. Small buffers, and those that
// find no room, are left to the heap. Thread-safe.
class PinnedPool final : public BufferMemory {
 public:
  // Below, a copy into a lane's staging memory costs less than it is worth to think about.
  static constexpr size_t kSmallestBytes = size_t{16} << 10;

  // `device` must outlive the pool. Has `num_bytes`, or none if so many cannot be pinned. Buffers
  // below `smallest_bytes` are left to the heap.
  PinnedPool(Device* device, uint64_t num_bytes, size_t smallest_bytes = kSmallestBytes);
  // Every buffer has gone.
  ~PinnedPool() override;

  uint8_t* TryAllocate(size_t num_bytes) override;
  void Free(uint8_t* data, size_t num_bytes) override;

  uint64_t num_bytes() const { return num_bytes_; }
  // In no buffer.
  uint64_t free_bytes() const;

 private:
  Device* const device_;
  const size_t smallest_bytes_;
  uint64_t num_bytes_ = 0;
  uint8_t* memory_ = nullptr;

  mutable Mutex mutex_;
  // By where they begin; no two touch.
  std::map<uint64_t, uint64_t> free_ranges_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_PINNED_POOL_H_
