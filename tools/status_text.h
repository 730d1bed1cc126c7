// An aggregator's status in words.
#ifndef TALLY_TOOLS_STATUS_TEXT_H_
#define TALLY_TOOLS_STATUS_TEXT_H_

#include <string>

#include "proto/tally/v1/status.pb.h"

namespace tally {

// Describes what an aggregator does and what each of its jobs waits for, in lines that end with a
// newline:
//
//   agg-0: up 12m, memory 1.2MiB of 2GiB admitted, back end simd
//     job bert, run 7: running
//       8 of 14 chunks at round 812 (open), 7 of 8 contributions there; waiting for w-5
//       members: w-0, w-5 (silent for 4.2s), w-6 (not connected)
//       contributions: 912 offered, 900 counted, 0 late, 0 abstained, 0 refused, 12 pending
//       memory: 1.2MiB
std::string FormatStatus(const v1::GetStatusResponse& status);

}  // namespace tally

#endif  // TALLY_TOOLS_STATUS_TEXT_H_
