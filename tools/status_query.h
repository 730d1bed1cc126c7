// Asks an aggregator how it is.
#ifndef TALLY_TOOLS_STATUS_QUERY_H_
#define TALLY_TOOLS_STATUS_QUERY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/tally/v1/status.pb.h"

namespace tally {

// Calls GetStatus on the aggregator at `address` ("host:port" or "unix:/path") about `job`, or
// about all jobs if that is empty. Blocks for `deadline` at most.
// Returns the call's error under its own code, with the address in front: UNAVAILABLE if nobody
// listens there, DEADLINE_EXCEEDED if no answer came in time, NOT_FOUND if no job has this name.
absl::StatusOr<v1::GetStatusResponse> QueryStatus(const std::string& address,
                                                  const std::string& job, absl::Duration deadline);

}  // namespace tally

#endif  // TALLY_TOOLS_STATUS_QUERY_H_
