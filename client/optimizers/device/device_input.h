// What a trainer on a device puts in, as the host has to see it.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_INPUT_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_INPUT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/optimizers/input_guard.h"
#include "codecs/layout.h"
#include "kernels/device/lane.h"

namespace tally {

// A copy, on the host, of elements in the memory of the lane's device. Waits for the lane.
// Returns UNAVAILABLE if the device has failed.
absl::StatusOr<std::vector<float>> FetchElements(absl::Span<const float> elements, Lane& lane);

// Copies the elements `elements` of `x`, in the memory of the lane's device, to the host, and back.
// Both wait for the lane.
// Return RESOURCE_EXHAUSTED or UNAVAILABLE as the lane.
absl::Status FetchAt(absl::Span<const float> x, absl::Span<const uint32_t> elements,
                     absl::Span<float> out, Lane& lane);
absl::Status StoreAt(absl::Span<const float> values, absl::Span<const uint32_t> elements,
                     absl::Span<float> x, Lane& lane);

// Whether the guard lets all of a chunk's gradient be sent, which the device finds out. `gradient`
// [chunk.num_elements] lies in the device's memory. Waits for the lane.
// Returns what the guard does when it refuses; RESOURCE_EXHAUSTED or UNAVAILABLE as the lane.
absl::StatusOr<bool> IsAccepted(uint32_t chunk, absl::Span<const float> gradient, InputGuard& guard,
                                Lane& lane);

// The same for every compressed chunk of a layout that is not dealt out. `gradients`
// [layout.num_elements()].
absl::StatusOr<std::vector<bool>> AcceptedChunks(absl::Span<const float> gradients,
                                                 const Layout& layout, InputGuard& guard,
                                                 Lane& lane);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_INPUT_H_
