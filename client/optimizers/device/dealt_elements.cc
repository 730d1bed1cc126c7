#include "client/optimizers/device/dealt_elements.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/optimizers/device/lane_use.h"

namespace tally {

DealtElements::DealtElements(const Layout* layout, Lane* lane) : layout_(layout), lane_(lane) {
  uint64_t num_elements = 0;
  uint64_t num_runs = 0;
  for (const Layout::Chunk& chunk : layout->chunks()) {
    if (!chunk.dealt) continue;
    offsets_.push_back(num_elements);
    first_runs_.push_back(num_runs);
    num_elements += chunk.num_elements;
    num_runs += (chunk.num_elements + kDealtBlockElements - 1) / kDealtBlockElements;
    largest_group_ = std::max(largest_group_, chunk.num_elements);
  }
  first_runs_.push_back(num_runs);
}

absl::StatusOr<DealtElements> DealtElements::Create(const Layout* layout, Lane* lane) {
  constexpr uint64_t kMaxFlat = std::numeric_limits<uint32_t>::max();
  if (layout->num_elements() > kMaxFlat) {
    return absl::InvalidArgumentError(absl::StrCat("`layout` has ", layout->num_elements(),
                                                   " elements, must have at most ", kMaxFlat,
                                                   " on a device"));
  }
  DealtElements elements(layout, lane);
  TALLY_RETURN_IF_ERROR(elements.Upload());
  return elements;
}

absl::Status DealtElements::Upload() {
  std::vector<uint32_t> runs;
  for (uint32_t group = 0; group < num_groups(); ++group) {
    const uint64_t count = first_runs_[group + 1] - first_runs_[group];
    for (uint64_t run = 0; run < count; ++run) {
      runs.push_back(static_cast<uint32_t>(layout_->dealing()->BlockOf(group, run)));
    }
  }
  const LaneUse use(lane_);
  TALLY_ASSIGN_OR_RETURN(runs_, DeviceArray<uint32_t>::Create(&lane_->device(), runs.size()));
  TALLY_RETURN_IF_ERROR(CopyToDevice(lane_->queue(), absl::MakeConstSpan(runs), runs_.span()));
  for (uint32_t group = 0; group < num_groups(); ++group) {
    DeviceArray<uint8_t>& live = live_.emplace_back();
    const absl::Span<const uint8_t> bitmap = layout_->live(group);
    TALLY_ASSIGN_OR_RETURN(live, DeviceArray<uint8_t>::Create(&lane_->device(), bitmap.size()));
    TALLY_RETURN_IF_ERROR(CopyToDevice(lane_->queue(), bitmap, live.span()));
  }
  return lane_->Finish();
}

DeviceRuns DealtElements::RunsOf(uint32_t group) const {
  return {.starts =
              runs_.span().subspan(first_runs_[group], first_runs_[group + 1] - first_runs_[group]),
          .num_elements = kDealtBlockElements};
}

absl::Status DealtElements::Gather(absl::Span<const float> flat, uint32_t group,
                                   absl::Span<float> elements) {
  return lane_->queue().Gather(flat, RunsOf(group), elements);
}

absl::Status DealtElements::Scatter(absl::Span<const float> elements, uint32_t group,
                                    absl::Span<float> flat) {
  return lane_->queue().Scatter(elements, RunsOf(group), flat);
}

std::vector<float> DealtElements::Flat(absl::Span<const float> grouped) const {
  std::vector<float> flat(grouped.begin(), grouped.end());
  for (uint32_t group = 0; group < num_groups(); ++group) {
    layout_->dealing()->Scatter(group, /*begin=*/0, In(grouped, group),
                                absl::MakeSpan(flat).first(layout_->num_compressed()));
  }
  return flat;
}

std::vector<float> DealtElements::Grouped(absl::Span<const float> flat) const {
  std::vector<float> grouped(flat.begin(), flat.end());
  for (uint32_t group = 0; group < num_groups(); ++group) {
    layout_->dealing()->Gather(group, /*begin=*/0, flat.first(layout_->num_compressed()),
                               In(absl::MakeSpan(grouped), group));
  }
  return grouped;
}

}  // namespace tally
