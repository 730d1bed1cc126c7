#include "aggregator/residual.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace tally {

Residual::~Residual() {
  if (is_on_device()) device_->Free(memory_, num_bytes());
}

void Residual::Lose(const absl::Status& cause) {
  loss_ = absl::DataLossError(
      absl::StrCat("the residual of ", num_elements_, " elements is lost: ", cause.message()));
}

absl::StatusOr<absl::Span<float>> Residual::HostValues() {
  TALLY_RETURN_IF_ERROR(loss_);
  if (values_.empty()) values_.resize(num_elements_);
  return absl::MakeSpan(values_);
}

absl::StatusOr<absl::Span<float>> Residual::OnHost() {
  if (!is_on_device()) return HostValues();
  const absl::StatusOr<std::unique_ptr<DeviceQueue>> queue = device_->NewQueue();
  if (absl::IsUnavailable(queue.status())) Lose(queue.status());
  TALLY_RETURN_IF_ERROR(loss_);
  TALLY_RETURN_IF_ERROR(queue.status());
  return OnHost(**queue);
}

absl::StatusOr<absl::Span<float>> Residual::OnHost(DeviceQueue& queue) {
  TALLY_RETURN_IF_ERROR(loss_);
  if (!is_on_device()) return HostValues();
  std::vector<float> values(num_elements_);
  absl::Status copied =
      queue.CopyOut(memory_, {reinterpret_cast<uint8_t*>(values.data()), num_bytes()});
  if (absl::IsResourceExhausted(copied)) return copied;
  copied.Update(queue.Wait());
  if (!copied.ok()) Lose(copied);
  TALLY_RETURN_IF_ERROR(loss_);
  device_->Free(memory_, num_bytes());
  memory_ = nullptr;
  values_ = std::move(values);
  return absl::MakeSpan(values_);
}

absl::StatusOr<absl::Span<float>> Residual::OnDevice(Lane& lane) {
  TALLY_RETURN_IF_ERROR(loss_);
  if (!is_on_device()) {
    Device& device = lane.device();
    TALLY_ASSIGN_OR_RETURN(void* const memory, device.Allocate(num_bytes()));
    absl::Status moved =
        values_.empty()
            ? lane.queue().Zero(memory, num_bytes())
            : lane.queue().CopyIn({reinterpret_cast<const uint8_t*>(values_.data()), num_bytes()},
                                  memory);
    if (moved.ok() && !values_.empty()) moved = lane.queue().Wait();
    if (!moved.ok()) {
      device.Free(memory, num_bytes());
      return moved;
    }
    device_ = &device;
    memory_ = memory;
    values_ = std::vector<float>();
  }
  TALLY_CHECK(device_ == &lane.device(), "a process computes on one device");
  return absl::MakeSpan(static_cast<float*>(memory_), num_elements_);
}

}  // namespace tally
