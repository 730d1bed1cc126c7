// A device for tests: its memory is the host's, its kernels are the scalar back end's.
#ifndef TALLY_KERNELS_DEVICE_FAKE_DEVICE_H_
#define TALLY_KERNELS_DEVICE_FAKE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "kernels/device/device.h"
#include "kernels/device/memory_budget.h"

namespace tally {

// Nothing happens before DeviceQueue::Wait: then everything enqueued is done, in order. So a result
// that is read too early, or an argument that went too early, shows. Fresh memory holds 0xa5
// (floats that are no result of anything); what kernels may write past the end of spans of bytes,
// they write. Stops the process if elements do not lie in the device's memory or start at no
// multiple of 4 bytes, if arguments break Backend's rules, if something was written beside memory
// that is freed, or if memory outlives the device. Thread-safe, as Device says.
class FakeDevice final : public Device {
 public:
  FakeDevice() = default;
  ~FakeDevice() override;

  std::string description() const override { return "a device that tests pretend to have"; }
  void LimitMemory(uint64_t num_bytes) override;
  absl::StatusOr<void*> Allocate(size_t num_bytes) override;
  void Free(void* memory, size_t num_bytes) override;
  uint64_t allocated_bytes() const override { return budget_.used_bytes(); }
  absl::StatusOr<void*> AllocatePinned(size_t num_bytes) override;
  void LimitPinned(uint64_t num_bytes) override;
  void FreePinned(void* memory, size_t num_bytes) override;
  absl::StatusOr<std::unique_ptr<DeviceQueue>> NewQueue() override;
  absl::Status failure() const override;

  // From now on everything fails, also what is enqueued already: half of what a queue holds is
  // still done.
  void Fail(const std::string& why);
  uint64_t pinned_bytes() const { return pinned_budget_.used_bytes(); }
  // How often Wait has been called on queues that held kernels, and how many kernels have run: what
  // batching is to keep small.
  int num_waits() const;
  int num_launches() const;

 private:
  class Queue;

  // Stops the process unless the memory is allocated and may be passed to a kernel.
  void CheckHolds(const void* memory, size_t num_bytes) const;
  // Of one Wait.
  void CountKernels(int num_kernels);

  MemoryBudget budget_{"of the device's memory"};
  MemoryBudget pinned_budget_{"of pinned memory"};
  mutable Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::map<const uint8_t*, uint64_t> memory_ ABSL_GUARDED_BY(mutex_);
  std::map<void*, uint64_t> pinned_ ABSL_GUARDED_BY(mutex_);
  int num_waits_ ABSL_GUARDED_BY(mutex_) = 0;
  int num_launches_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_FAKE_DEVICE_H_
