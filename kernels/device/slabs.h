// Memory that is handed out in pieces and taken back as a whole.
#ifndef TALLY_KERNELS_DEVICE_SLABS_H_
#define TALLY_KERNELS_DEVICE_SLABS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/device/device.h"

namespace tally {

// Of a device, or of the host and pinned for it. Slabs that a use needed are kept for the next one,
// which finds them as one. Not thread-safe.
class Slabs {
 public:
  enum class Kind : uint8_t { kDevice, kPinned };

  // `device` must outlive this.
  Slabs(Device* device, Kind kind) : device_(device), kind_(kind) {}
  // No enqueued work uses what was taken.
  ~Slabs() { Free(); }
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;

  // At least `num_bytes` of unspecified content, and 16 more that may be touched; starts at a
  // multiple of 256 bytes. Null for no bytes. Good until Reset.
  // Returns what Device::Allocate or AllocatePinned fails of.
  absl::StatusOr<uint8_t*> Take(size_t num_bytes);
  // Takes everything back; no enqueued work uses it.
  void Reset();

 private:
  struct Slab {
    uint8_t* memory;
    size_t num_bytes;
    size_t used_bytes = 0;
  };

  absl::Status AddSlab(size_t least_bytes);
  absl::StatusOr<void*> Allocate(size_t num_bytes);
  void Free();

  Device* const device_;
  const Kind kind_;
  std::vector<Slab> slabs_;
  // So large is the next slab if there is room: what was needed at once before.
  size_t wanted_bytes_ = 0;
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_SLABS_H_
