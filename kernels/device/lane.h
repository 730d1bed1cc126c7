// One user's way to a device and back: a queue, with memory on both sides.
#ifndef TALLY_KERNELS_DEVICE_LANE_H_
#define TALLY_KERNELS_DEVICE_LANE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "kernels/device/device.h"
#include "kernels/device/slabs.h"

namespace tally {

// What one use looks like:
//
//   In, InOut, Out...  -->  queue().SomeOperation...  -->  Finish
//
// Arguments lie in ordinary memory of the host; they are copied to pinned memory and go to the
// device from there, and results come back the same way: so the host's memory is written only once
// everything has succeeded. Memory on both sides is kept from use to use. Not thread-safe.
class Lane {
 public:
  // `device` must outlive the lane.
  static absl::StatusOr<std::unique_ptr<Lane>> Create(Device* device);
  ~Lane();

  // Where operations are enqueued, after what In and its like have asked for so far: to be called
  // anew for an operation on anything that was asked for since.
  DeviceQueue& queue() {
    SendPieces();
    return *queue_;
  }
  Device& device() { return *device_; }

  // The device's memory until Finish or Abandon; starts at a multiple of 256 bytes and goes on for
  // at least 16 past its end. Empty for `size` 0.
  // These return RESOURCE_EXHAUSTED if memory does not suffice, UNAVAILABLE if the device failed.
  template <typename T>
  absl::StatusOr<absl::Span<T>> Scratch(size_t size) {
    TALLY_ASSIGN_OR_RETURN(uint8_t* const memory, device_memory_.Take(size * sizeof(T)));
    return absl::MakeSpan(reinterpret_cast<T*>(memory), size);
  }
  // Copied to the device; `host` may go when this returns.
  template <typename T>
  absl::StatusOr<absl::Span<const T>> In(absl::Span<const T> host) {
    TALLY_ASSIGN_OR_RETURN(
        uint8_t* const memory,
        CopyIn({reinterpret_cast<const uint8_t*>(host.data()), host.size() * sizeof(T)}));
    return absl::MakeConstSpan(reinterpret_cast<const T*>(memory), host.size());
  }
  // Each of a list.
  absl::StatusOr<std::vector<absl::Span<const uint8_t>>> InEach(
      absl::Span<const absl::Span<const uint8_t>> host);
  // One from memory that Device::AllocatePinned gave; it must stay as it is until Finish.
  absl::StatusOr<absl::Span<const uint8_t>> InFromPinned(absl::Span<const uint8_t> pinned);
  // Copied back by Finish; `host` must stay until then.
  template <typename T>
  absl::StatusOr<absl::Span<T>> Out(absl::Span<T> host) {
    TALLY_ASSIGN_OR_RETURN(absl::Span<T> const device, Scratch<T>(host.size()));
    TALLY_RETURN_IF_ERROR(CopyBack(
        device.data(), {reinterpret_cast<uint8_t*>(host.data()), host.size() * sizeof(T)}));
    return device;
  }
  // Both.
  template <typename T>
  absl::StatusOr<absl::Span<T>> InOut(absl::Span<T> host) {
    TALLY_ASSIGN_OR_RETURN(
        uint8_t* const memory,
        CopyIn({reinterpret_cast<const uint8_t*>(host.data()), host.size() * sizeof(T)}));
    TALLY_RETURN_IF_ERROR(
        CopyBack(memory, {reinterpret_cast<uint8_t*>(host.data()), host.size() * sizeof(T)}));
    return absl::MakeSpan(reinterpret_cast<T*>(memory), host.size());
  }
  // `host` is written by Finish from memory of the device that the caller holds.
  absl::Status CopyBack(const void* device, absl::Span<uint8_t> host);
  // The same to memory that Device::AllocatePinned gave, which is written before Finish returns,
  // also where it fails.
  absl::Status CopyBackToPinned(const void* device, absl::Span<uint8_t> pinned);

  // Waits for everything; then writes what was to be copied back, and is ready for the next use. On
  // error nothing of the host's memory has been written, but for pinned memory.
  absl::Status Finish();
  // Forgets everything since the last Finish, once the device is done with it.
  void Abandon();

 private:
  struct Return {
    const void* device;
    absl::Span<uint8_t> staging;
    absl::Span<uint8_t> host;  // empty if it ends in `staging`
  };

  Lane(Device* device, std::unique_ptr<DeviceQueue> queue);
  absl::StatusOr<uint8_t*> CopyIn(absl::Span<const uint8_t> host);
  // Enqueues the copies that In and its like have asked for since the last time, as one.
  void SendPieces();
  void TakeBack();

  Device* const device_;
  Slabs device_memory_;
  Slabs pinned_memory_;
  std::vector<DeviceHostPiece> pieces_;
  absl::Status sent_;  // what sending pieces has failed of: the device
  std::vector<Return> returns_;
  const std::unique_ptr<DeviceQueue> queue_;
};

// A bounded number of lanes. Thread-safe.
class LanePool {
 public:
  // Gives a lane back when it goes; the lane's last use has ended in Finish or Abandon.
  class Lease {
   public:
    Lease(LanePool* pool, std::unique_ptr<Lane> lane) : pool_(pool), lane_(std::move(lane)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (lane_ != nullptr) pool_->GiveBack(std::move(lane_));
    }
    Lane* operator->() const { return lane_.get(); }
    Lane& operator*() const { return *lane_; }

   private:
    LanePool* pool_;
    std::unique_ptr<Lane> lane_;
  };

  // `device` must outlive the pool; at most `max_lanes` are out at once.
  LanePool(Device* device, int max_lanes) : device_(device), max_lanes_(max_lanes) {}

  // Waits for one of the lanes if all are out. A lane is created when there is none.
  // Returns what creating it fails of.
  absl::StatusOr<Lease> Take();

 private:
  void GiveBack(std::unique_ptr<Lane> lane);

  Device* const device_;
  const int max_lanes_;
  Mutex mutex_;
  CondVar given_back_;
  int num_lanes_ ABSL_GUARDED_BY(mutex_) = 0;  // created and not destroyed
  std::vector<std::unique_ptr<Lane>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_LANE_H_
