// Elements in a device's memory.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ARRAY_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ARRAY_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "kernels/device/device.h"

namespace tally {

// Owns its memory, which goes on for at least 16 bytes past the last element. What is enqueued on
// it must be done when it goes. Not thread-safe.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  // Of unspecified content; `device` must outlive it.
  // Returns what Device::Allocate fails of.
  static absl::StatusOr<DeviceArray> Create(Device* device, size_t size) {
    DeviceArray array;
    if (size == 0) return array;
    TALLY_ASSIGN_OR_RETURN(void* const memory, device->Allocate(NumBytes(size)));
    array.device_ = device;
    array.span_ = absl::MakeSpan(static_cast<T*>(memory), size);
    return array;
  }
  DeviceArray(DeviceArray&& other) noexcept
      : device_(other.device_), span_(std::exchange(other.span_, {})) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(span_, other.span_);
    return *this;
  }
  ~DeviceArray() {
    if (!span_.empty()) device_->Free(span_.data(), NumBytes(span_.size()));
  }

  bool empty() const { return span_.empty(); }
  absl::Span<T> span() { return span_; }
  absl::Span<const T> span() const { return span_; }

 private:
  static size_t NumBytes(size_t size) { return size * sizeof(T) + 16; }

  Device* device_ = nullptr;
  absl::Span<T> span_;  // the device's
};

// Enqueues zeros for all of it.
template <typename T>
absl::Status Clear(DeviceQueue& queue, absl::Span<T> elements) {
  if (elements.empty()) return absl::OkStatus();
  return queue.Zero(elements.data(), elements.size() * sizeof(T));
}

// Enqueue copies of all of `from`, to as many elements; both must stay until the queue was waited
// for.
template <typename T>
absl::Status CopyToDevice(DeviceQueue& queue, absl::Span<const T> from, absl::Span<T> to) {
  if (from.empty()) return absl::OkStatus();
  return queue.CopyIn({reinterpret_cast<const uint8_t*>(from.data()), from.size() * sizeof(T)},
                      to.data());
}
template <typename T>
absl::Status CopyToHost(DeviceQueue& queue, absl::Span<const T> from, absl::Span<T> to) {
  if (from.empty()) return absl::OkStatus();
  return queue.CopyOut(from.data(), {reinterpret_cast<uint8_t*>(to.data()), to.size() * sizeof(T)});
}

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ARRAY_H_
