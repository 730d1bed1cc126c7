// What the exchanges of a chunk have left over.
#ifndef TALLY_AGGREGATOR_RESIDUAL_H_
#define TALLY_AGGREGATOR_RESIDUAL_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/device/device.h"
#include "kernels/device/lane.h"

namespace tally {

// [size()] fp32, in the memory of the host or in that of a device, never in both. It goes where
// somebody computes with it and stays there. What a device held when it failed is lost. Not
// thread-safe; a task that is out owns it.
class Residual {
 public:
  // Zeros, which take no memory before somebody asks for them.
  explicit Residual(size_t num_elements) : num_elements_(num_elements) {}
  explicit Residual(std::vector<float> values)
      : num_elements_(values.size()), values_(std::move(values)) {}
  // Gives memory of a device back, which must live still and be done with it.
  ~Residual();

  Residual(const Residual&) = delete;
  Residual& operator=(const Residual&) = delete;

  size_t size() const { return num_elements_; }
  bool is_on_device() const { return memory_ != nullptr; }

  // Brings it to the host, if it lies on a device; waits for `queue`, a queue of that device. The
  // span is good until OnDevice.
  // Returns DATA_LOSS if it is lost; RESOURCE_EXHAUSTED, and leaves it where it is, if the queue
  // has no memory for that.
  absl::StatusOr<absl::Span<float>> OnHost(DeviceQueue& queue);
  // The same with a queue for this once.
  absl::StatusOr<absl::Span<float>> OnHost();

  // Brings it to the lane's device, in the order of the lane's queue, and waits for that if it has
  // lain on the host with other values than zeros. The span is the device's, good until OnHost.
  // Returns RESOURCE_EXHAUSTED or UNAVAILABLE, and leaves it where it is, if the device has no room
  // for it or has failed; DATA_LOSS if it is lost.
  absl::StatusOr<absl::Span<float>> OnDevice(Lane& lane);

  // What it holds may no longer be used, for that reason.
  void Lose(const absl::Status& cause);

 private:
  size_t num_bytes() const { return num_elements_ * sizeof(float); }
  // Of one that lies on the host.
  absl::StatusOr<absl::Span<float>> HostValues();

  const size_t num_elements_;
  std::vector<float> values_;  // empty: zeros, or on the device
  Device* device_ = nullptr;   // whose memory it is
  void* memory_ = nullptr;     // null: it lies on the host
  absl::Status loss_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_RESIDUAL_H_
