#include "kernels/sketch_kernels.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/argument_checks.h"
#include "kernels/live_mask.h"

namespace tally {
namespace {

absl::Status CheckTable(const SketchShape& shape, absl::Span<const float> table) {
  if (shape.rows % 2 == 0 || shape.rows > kMaxSketchRows) {
    return absl::InvalidArgumentError(
        absl::StrCat("`shape.rows` = ", shape.rows, ", must be odd and at most ", kMaxSketchRows));
  }
  if (shape.columns == 0 || shape.columns % kSketchRunElements != 0) {
    return absl::InvalidArgumentError(absl::StrCat("`shape.columns` = ", shape.columns,
                                                   ", must be a multiple of ", kSketchRunElements));
  }
  if (table.size() != SketchCells(shape)) {
    return absl::InvalidArgumentError(absl::StrCat("`table` has ", table.size(), " cells, must be ",
                                                   shape.rows, " rows of ", shape.columns,
                                                   " columns"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SketchKernels::Sketch(const SketchShape& shape, absl::Span<const float> x,
                                   absl::Span<float> table) const {
  TALLY_RETURN_IF_ERROR(CheckTable(shape, table));
  TALLY_RETURN_IF_ERROR(
      CheckDisjoint({ArgumentMemory::Written("table", table), ArgumentMemory::Read("x", x)}));
  if (x.empty()) {
    std::fill(table.begin(), table.end(), 0.0f);
  } else {
    DoSketch(shape, x, table);
  }
  return absl::OkStatus();
}

absl::Status SketchKernels::Estimate(const SketchShape& shape, absl::Span<const float> table,
                                     absl::Span<float> x) const {
  TALLY_RETURN_IF_ERROR(CheckTable(shape, table));
  TALLY_RETURN_IF_ERROR(
      CheckDisjoint({ArgumentMemory::Written("x", x), ArgumentMemory::Read("table", table)}));
  if (!x.empty()) DoEstimate(shape, table, x);
  return absl::OkStatus();
}

absl::Status SketchKernels::SelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                                          absl::Span<uint32_t> indices) const {
  if (x.size() > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`x` has ", x.size(), " values, must have at most ", std::numeric_limits<uint32_t>::max()));
  }
  TALLY_RETURN_IF_ERROR(CheckLive(live, x.size()));
  const uint64_t num_live = CountLive(live, 0, x.size());
  if (indices.size() > num_live) {
    return absl::InvalidArgumentError(absl::StrCat("`indices` has ", indices.size(),
                                                   " entries, must have at most ", num_live,
                                                   ", the unmasked elements"));
  }
  TALLY_RETURN_IF_ERROR(
      CheckDisjoint({ArgumentMemory::Written("indices", indices), ArgumentMemory::Read("x", x),
                     ArgumentMemory::Read("live", live)}));
  if (!indices.empty()) DoSelectLargest(x, live, indices);
  return absl::OkStatus();
}

}  // namespace tally
