// From loads to times:
//
//   round      = step + max(0, exchange - overlap * step)
//   exchange   = longest + (worker + up + aggregator + down - longest of these) / chunks + latency
//   longest    of worker, up, aggregator, down, window
//   worker     = parameters * ns         encoding, decoding and the step: one thread
//   up, down   = the slower of a worker's bytes over its link, and all workers' bytes of the
//                busiest aggregator over that one's
//   aggregator = arithmetic of the busiest one's chunks / aggregator_cores
//   window     = latency * chunks of the busiest aggregator / 16
//
// An optimizer overlaps the stages chunk by chunk, so what counts is the longest one, and the
// others for one chunk. Sketch rounds pay latencies twice, for their two halves. A link gives its
// rate without frame headers, or what gRPC moves with one core on a worker and aggregator_cores on
// an aggregator. In rounds without an exchange (0/1 Adam) round = step + worker.
//
// Beside the methods stands a ring all-reduce over the workers' links, which Tally does not do and
// which needs no aggregator:
//
//   ring       = 2 (n - 1) / n * bytes over the slower direction + (n - 1) * latency + worker
#ifndef TALLY_CLIENT_ADVICE_ROUND_COST_H_
#define TALLY_CLIENT_ADVICE_ROUND_COST_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "client/advice/advice_options.h"
#include "client/advice/round_load.h"
#include "kernels/dtype.h"

namespace tally {

// How one round's time comes about.
struct RoundCost {
  double up_bytes = 0;  // of one worker
  double down_bytes = 0;
  absl::Duration worker;
  absl::Duration up;
  absl::Duration aggregator;
  absl::Duration down;
  absl::Duration window;
  absl::Duration latency;
  uint64_t chunks = 1;
  absl::Duration exchange;
  absl::Duration round;
};

// Of complete options. `worker` is a worker's own time in a round. Where fewer than one exchange
// comes on a round, bytes and `round` are means over rounds, and the terms those of an exchange.
RoundCost CostOfRound(const AdviceOptions& options, const RoundLoad& load, absl::Duration worker,
                      double exchanges_per_round);

// A ring all-reduce of all parameters.
struct RingCost {
  std::string settings;
  double bytes = 0;  // of one worker, each way
  absl::Duration round;
};

// Of complete options; `worker` as in RoundCost, for a dense exchange.
RingCost CostOfRing(const AdviceOptions& options, DType dtype, absl::Duration worker);

}  // namespace tally

#endif  // TALLY_CLIENT_ADVICE_ROUND_COST_H_
