// The question to the adviser.
#ifndef TALLY_CLIENT_ADVICE_ADVICE_OPTIONS_H_
#define TALLY_CLIENT_ADVICE_ADVICE_OPTIONS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "client/optimizers/create_optimizer.h"
#include "codecs/limits.h"
#include "kernels/dtype.h"

namespace tally {

struct AdviceOptions {
  uint64_t parameters = 0;  // 1 to 2^40
  // Share of them in tensors that the layout marks dense: [0, 1).
  double dense_share = 0;
  uint32_t workers = 0;  // 1 to 65,536
  // Rates of full-duplex links; positive. A worker's:
  double uplink_bits_per_second = 0;
  absl::optional<double> downlink_bits_per_second = absl::nullopt;  // unset: the uplink's
  // Aggregators that share the chunks, 1 to 1,024; each one's link, each way, and cores.
  uint32_t aggregators = 1;
  absl::optional<double> aggregator_link_bits_per_second = absl::nullopt;  // unset: the uplink's
  uint32_t aggregator_cores = 4;                                           // 1 to 1,024
  // Between a worker and an aggregator, there and back; from 0 to a minute.
  absl::Duration latency = absl::ZeroDuration();
  // The trainer's own time between two calls of Step: forward and backward pass. From 0 to a day.
  absl::Duration step = absl::ZeroDuration();
  // Share of `step` behind which the trainer hides exchanges, [0, 1]. Optimizers hide nothing by
  // themselves: Step begins when the whole gradient is there.
  double overlap = 0;
  uint32_t chunk_elements = kDefaultChunkElements;  // of the layout; as Layout::Create takes them
  // Length of the run, over which means are taken; 1 to 10^7.
  uint64_t rounds = 10'000;
  // As for CreateOptimizer, but for the sketch's sizes, which follow from the shares below, in
  // (0, 1], of the compressed parameters.
  OptimizerOptions optimizer = {};
  double sketch_share = 0.005;         // updated in a round
  double sketch_columns_share = 0.05;  // columns of a sketch
};

// Fills in what is unset.
// Returns INVALID_ARGUMENT, naming the field, if one is out of its range.
absl::StatusOr<AdviceOptions> CompleteAdviceOptions(AdviceOptions options);

// Reads "float32", "float16" or "bfloat16", for OptimizerOptions::dtype.
// Returns INVALID_ARGUMENT, naming `field`, if the text is anything else.
absl::StatusOr<DType> ParseDenseType(absl::string_view field, absl::string_view text);

}  // namespace tally

#endif  // TALLY_CLIENT_ADVICE_ADVICE_OPTIONS_H_
