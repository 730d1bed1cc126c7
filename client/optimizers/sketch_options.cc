#include "client/optimizers/sketch_options.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/sketch_hash.h"
#include "kernels/sketch_kernels.h"

namespace tally {
namespace {

constexpr uint32_t kMinGroupColumns = 1024;
// If all elements could be candidates once within so many rounds, choosing them well matters less:
// what is left out is kept and comes soon.
constexpr uint64_t kSoonRounds = 10;

uint64_t DivideRoundingUp(uint64_t dividend, uint64_t divisor) {
  return (dividend + divisor - 1) / divisor;
}

uint64_t NumCandidates(const SketchOptions& options) {
  return uint64_t{options.num_updated} * options.candidates_per_updated;
}

}  // namespace

GroupSketch SketchOfGroup(const SketchOptions& options, const Layout& layout, uint32_t group) {
  const uint32_t num_groups = layout.dealing()->options().num_groups;
  const uint64_t columns = DivideRoundingUp(options.columns, num_groups);
  const uint64_t candidates = DivideRoundingUp(NumCandidates(options), num_groups);
  return {.columns = static_cast<uint32_t>(DivideRoundingUp(columns, kSketchRunElements) *
                                           kSketchRunElements),
          .num_candidates = static_cast<uint32_t>(
              std::min<uint64_t>(candidates, layout.chunks()[group].num_elements))};
}

uint32_t NumSketchGroups(uint32_t columns, uint64_t num_compressed) {
  const uint64_t blocks = DivideRoundingUp(num_compressed, kDealtBlockElements);
  const uint64_t groups = std::min<uint64_t>(columns / kMinGroupColumns, blocks);
  return static_cast<uint32_t>(std::max<uint64_t>(groups, 1));
}

absl::Status ValidateSketchOptions(const SketchOptions& options, const Layout& layout) {
  if (layout.num_compressed() > 0 && !layout.dealing().has_value()) {
    return absl::InvalidArgumentError(
        "`layout.dealing` is unset, must be set for a method that sketches (NumSketchGroups)");
  }
  const struct {
    absl::string_view field;
    uint64_t value;
  } positive[] = {{"num_updated", options.num_updated},
                  {"candidates_per_updated", options.candidates_per_updated},
                  {"columns", options.columns}};
  for (const auto& [field, value] : positive) {
    if (value == 0) {
      return absl::InvalidArgumentError(absl::StrCat("`", field, "` = 0, must be at least 1"));
    }
  }
  if (options.num_updated > layout.num_compressed()) {
    return absl::InvalidArgumentError(absl::StrCat("`num_updated` = ", options.num_updated,
                                                   ", must be at most ", layout.num_compressed(),
                                                   ", the compressed elements"));
  }
  if (options.rows % 2 == 0 || options.rows > kMaxSketchRows) {
    return absl::InvalidArgumentError(
        absl::StrCat("`rows` = ", options.rows, ", must be odd and at most ", kMaxSketchRows));
  }
  return absl::OkStatus();
}

std::string SketchWarning(const SketchOptions& options, const Layout& layout) {
  const uint64_t elements = layout.num_compressed();
  if (options.columns < 2 * uint64_t{options.num_updated} &&
      NumCandidates(options) < elements / kSoonRounds) {
    return absl::StrCat("`columns` = ", options.columns,
                        " is less than twice `num_updated` = ", options.num_updated,
                        ": the estimates are mostly noise, most large elements will not be found");
  }
  if (NumCandidates(options) >= elements) {
    return absl::StrCat("`num_updated` * `candidates_per_updated` = ", NumCandidates(options),
                        " is all of the ", elements,
                        " elements: their values alone are as large as the gradient");
  }
  if (uint64_t{options.rows} * options.columns >= elements) {
    return absl::StrCat("`rows` * `columns` = ", uint64_t{options.rows} * options.columns,
                        " cells are no fewer than the ", elements,
                        " elements: a dense exchange costs less and loses nothing");
  }
  return "";
}

}  // namespace tally
