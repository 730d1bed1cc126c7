// Vectors of a dealt layout in the memory of a lane's device, group after group.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_DEALT_ELEMENTS_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_DEALT_ELEMENTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/optimizers/device/device_array.h"
#include "codecs/layout.h"
#include "kernels/device/device.h"
#include "kernels/device/lane.h"

namespace tally {

// Where groups and their elements lie: in a flat vector [num_elements], as a trainer has it, in
// runs of 64 that are dealt out; in a grouped one the elements of each group side by side, and
// after the last group the dense tensors as in the flat one. Only arrays and the lane are the
// device's. Not thread-safe.
class DealtElements {
 public:
  // `layout` is dealt out; it and `lane` must outlive this.
  // Returns INVALID_ARGUMENT if a flat vector has more than 2^32 - 1 elements, RESOURCE_EXHAUSTED
  // or UNAVAILABLE as the lane does.
  static absl::StatusOr<DealtElements> Create(const Layout* layout, Lane* lane);

  uint32_t num_groups() const { return static_cast<uint32_t>(offsets_.size()); }
  uint32_t largest_group() const { return largest_group_; }
  // A chunk of a grouped vector: of a group's elements, or of a dense tensor's.
  template <typename T>
  absl::Span<T> In(absl::Span<T> grouped, uint32_t chunk) const {
    const Layout::Chunk& shape = layout_->chunks()[chunk];
    return grouped.subspan(shape.dealt ? offsets_[chunk] : shape.offset, shape.num_elements);
  }
  // Bitmap of the group's elements that are not masked; empty: all.
  absl::Span<const uint8_t> live(uint32_t group) const { return live_[group].span(); }

  // Enqueue copies of a group's elements out of a flat vector, and back.
  absl::Status Gather(absl::Span<const float> flat, uint32_t group, absl::Span<float> elements);
  absl::Status Scatter(absl::Span<const float> elements, uint32_t group, absl::Span<float> flat);

  // On the host: a grouped vector in the order of a flat one, and back. Either may end with the
  // groups, without dense tensors.
  std::vector<float> Flat(absl::Span<const float> grouped) const;
  std::vector<float> Grouped(absl::Span<const float> flat) const;

 private:
  DealtElements(const Layout* layout, Lane* lane);
  absl::Status Upload();
  DeviceRuns RunsOf(uint32_t group) const;

  const Layout* layout_;
  Lane* lane_;
  uint32_t largest_group_ = 0;
  // By group, of its first element in a grouped vector, and of its first run in runs_.
  std::vector<uint64_t> offsets_;
  std::vector<uint64_t> first_runs_;
  DeviceArray<uint32_t> runs_;  // where they start in a flat vector, in runs
  std::vector<DeviceArray<uint8_t>> live_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEALT_ELEMENTS_H_
