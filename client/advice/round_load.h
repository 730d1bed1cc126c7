// What one round puts on links and processors, for the adviser.
#ifndef TALLY_CLIENT_ADVICE_ROUND_LOAD_H_
#define TALLY_CLIENT_ADVICE_ROUND_LOAD_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

// Bytes of payloads and of the heads of their messages.
struct RoundLoad {
  double up_bytes = 0;    // of one worker, to all aggregators
  double down_bytes = 0;  // back
  // Of the aggregator that has most to do, for all workers.
  double busiest_up_bytes = 0;
  double busiest_down_bytes = 0;
  double busiest_core_seconds = 0;
  uint64_t busiest_chunks = 0;
  uint64_t chunks = 0;  // of all aggregators
  uint32_t halves = 1;  // exchanges that a chunk waits for, one after the other
};

// The load of a round in which each chunk exchanges what `exchanges_of` says, with all workers
// taking part. Chunks are placed as the session places them: by their number, round robin.
RoundLoad LoadOfRound(const Layout& layout, uint32_t num_workers, uint32_t num_aggregators,
                      absl::FunctionRef<std::vector<Exchange>(uint32_t chunk)> exchanges_of);

// Expected sizes of payloads: those of the codecs, less what sets of indices drawn at random leave
// of their maximum (index_set_codec.h). Of a sparse result: that of the union of `num_participants`
// sets drawn independently of each other.
double ExpectedContributionBytes(const Exchange& exchange, const Layout& layout, uint32_t chunk);
double ExpectedResultBytes(const Exchange& exchange, const Layout& layout, uint32_t chunk,
                           uint32_t num_participants);

// Estimates of what stands around a payload, gRPC's and HTTP/2's own bytes included: of its first
// message, of a result's also a bit per worker, and of each further slice.
inline constexpr double kContributionHeadBytes = 110;
inline constexpr double kResultHeadBytes = 110;
inline constexpr double kSliceHeadBytes = 40;

}  // namespace tally

#endif  // TALLY_CLIENT_ADVICE_ROUND_LOAD_H_
