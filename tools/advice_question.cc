#include "tools/advice_question.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tools/quantity.h"

namespace tally {

absl::StatusOr<AdviceOptions> ReadQuestion(const AdviceQuestion& question) {
  AdviceOptions options;
  TALLY_ASSIGN_OR_RETURN(options.parameters, ParseCount("--parameters", question.parameters));
  TALLY_ASSIGN_OR_RETURN(options.workers, ParseSmallCount("--workers", question.workers));
  TALLY_ASSIGN_OR_RETURN(options.uplink_bits_per_second, ParseBitRate("--uplink", question.uplink));
  if (!question.downlink.empty()) {
    TALLY_ASSIGN_OR_RETURN(options.downlink_bits_per_second,
                           ParseBitRate("--downlink", question.downlink));
  }
  if (!question.aggregators.empty()) {
    TALLY_ASSIGN_OR_RETURN(options.aggregators,
                           ParseSmallCount("--aggregators", question.aggregators));
  }
  if (!question.aggregator_link.empty()) {
    TALLY_ASSIGN_OR_RETURN(options.aggregator_link_bits_per_second,
                           ParseBitRate("--aggregator_link", question.aggregator_link));
  }
  TALLY_ASSIGN_OR_RETURN(options.aggregator_cores,
                         ParseSmallCount("--aggregator_cores", question.aggregator_cores));
  TALLY_ASSIGN_OR_RETURN(options.latency, ParseTime("--latency", question.latency));
  TALLY_ASSIGN_OR_RETURN(options.step, ParseTime("--step", question.step));
  options.overlap = question.overlap;
  options.dense_share = question.dense_share;
  options.chunk_elements = question.chunk_elements;
  TALLY_ASSIGN_OR_RETURN(options.rounds, ParseCount("--rounds", question.rounds));
  if (question.warmup_rounds == "0") {
    options.optimizer.warmup_rounds = 0;
  } else if (!question.warmup_rounds.empty()) {
    TALLY_ASSIGN_OR_RETURN(options.optimizer.warmup_rounds,
                           ParseCount("--warmup_rounds", question.warmup_rounds));
  }
  TALLY_ASSIGN_OR_RETURN(options.optimizer.dtype,
                         ParseDenseType("--dense_type", question.dense_type));
  options.optimizer.share = question.share;
  options.sketch_share = question.sketch_share;
  options.sketch_columns_share = question.sketch_columns_share;
  return options;
}

}  // namespace tally
