// Who may hold the snapshots of an aggregator's residual: a function of headers, the same on
// workers and aggregators.
#ifndef TALLY_CODECS_CUSTODIANS_H_
#define TALLY_CODECS_CUSTODIANS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "codecs/roster.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// The participants of the exchange who stay after it, in the order of `roster`, which stood before
// it.
// Returns DATA_LOSS as Roster::Participants.
absl::StatusOr<std::vector<MemberId>> CustodiansAfter(const Roster& roster,
                                                      const v1::ResultHeader& header);

// Which of them is to hold the snapshot of the entry with this chain, if it can: spreads the
// chunks, and one chunk's snapshots, over the workers. `num_custodians` > 0.
size_t FirstCustodian(uint64_t chain, size_t num_custodians);

}  // namespace tally

#endif  // TALLY_CODECS_CUSTODIANS_H_
