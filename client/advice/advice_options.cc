#include "client/advice/advice_options.h"

#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/optimizers/zeroone_schedule.h"
#include "codecs/limits.h"

namespace tally {
namespace {

// A longer run is like its last part.
constexpr double kMaxAdvisedRounds = 1e7;

absl::Status CheckRange(absl::string_view field, double value, double least, double most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("`", field, "` = ", value, ", must be from ", least, " to ", most));
}

// Excludes the lower bound.
absl::Status CheckShare(absl::string_view field, double value) {
  if (value > 0 && value <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("`", field, "` = ", value, ", must be in (0, 1]"));
}

absl::Status CheckRate(absl::string_view field, double value) {
  if (value > 0 && std::isfinite(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("`", field, "` = ", value, ", must be positive and finite"));
}

absl::Status CheckTime(absl::string_view field, absl::Duration value, absl::Duration most) {
  if (value >= absl::ZeroDuration() && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("`", field, "` = ", absl::FormatDuration(value),
                                                 ", must be from 0 to ",
                                                 absl::FormatDuration(most)));
}

absl::Status CheckOptions(const AdviceOptions& options) {
  if (options.parameters == 0 || options.parameters > kMaxElements) {
    return absl::InvalidArgumentError(
        absl::StrCat("`parameters` = ", options.parameters, ", must be from 1 to ", kMaxElements));
  }
  if (!(options.dense_share >= 0 && options.dense_share < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`dense_share` = ", options.dense_share, ", must be in [0, 1)"));
  }
  TALLY_RETURN_IF_ERROR(CheckRange("workers", options.workers, 1, kMaxRoster));
  TALLY_RETURN_IF_ERROR(CheckRate("uplink_bits_per_second", options.uplink_bits_per_second));
  TALLY_RETURN_IF_ERROR(CheckRate("downlink_bits_per_second", *options.downlink_bits_per_second));
  TALLY_RETURN_IF_ERROR(CheckRange("aggregators", options.aggregators, 1, kMaxAggregators));
  TALLY_RETURN_IF_ERROR(
      CheckRate("aggregator_link_bits_per_second", *options.aggregator_link_bits_per_second));
  TALLY_RETURN_IF_ERROR(CheckRange("aggregator_cores", options.aggregator_cores, 1, 1024));
  TALLY_RETURN_IF_ERROR(CheckTime("latency", options.latency, absl::Minutes(1)));
  TALLY_RETURN_IF_ERROR(CheckTime("step", options.step, absl::Hours(24)));
  TALLY_RETURN_IF_ERROR(CheckRange("overlap", options.overlap, 0, 1));
  if (options.chunk_elements == 0 || options.chunk_elements % kChunkElementsMultiple != 0 ||
      options.chunk_elements > kMaxChunkElements) {
    return absl::InvalidArgumentError(
        absl::StrCat("`chunk_elements` = ", options.chunk_elements, ", must be a multiple of ",
                     kChunkElementsMultiple, " from there to ", kMaxChunkElements));
  }
  TALLY_RETURN_IF_ERROR(
      CheckRange("rounds", static_cast<double>(options.rounds), 1, kMaxAdvisedRounds));
  TALLY_RETURN_IF_ERROR(ValidateZeroOneScheduleOptions(options.optimizer.schedule));
  TALLY_RETURN_IF_ERROR(CheckShare("optimizer.share", options.optimizer.share));
  TALLY_RETURN_IF_ERROR(CheckShare("sketch_share", options.sketch_share));
  return CheckShare("sketch_columns_share", options.sketch_columns_share);
}

}  // namespace

absl::StatusOr<AdviceOptions> CompleteAdviceOptions(AdviceOptions options) {
  const double uplink = options.uplink_bits_per_second;
  options.downlink_bits_per_second = options.downlink_bits_per_second.value_or(uplink);
  options.aggregator_link_bits_per_second =
      options.aggregator_link_bits_per_second.value_or(uplink);
  TALLY_RETURN_IF_ERROR(CheckOptions(options));
  return options;
}

absl::StatusOr<DType> ParseDenseType(absl::string_view field, absl::string_view text) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    if (absl::EqualsIgnoreCase(text, DTypeName(dtype))) return dtype;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("`", field, "` = \"", text, "\", must be float32, float16 or bfloat16"));
}

}  // namespace tally
