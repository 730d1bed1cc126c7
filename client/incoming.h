// What aggregators send, on its way into the session.
#ifndef TALLY_CLIENT_INCOMING_H_
#define TALLY_CLIENT_INCOMING_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "client/session.h"
#include "codecs/checked_result.h"
#include "codecs/handover_reader.h"
#include "codecs/layout.h"
#include "codecs/result_reader.h"
#include "codecs/snapshot_reader.h"
#include "kernels/backend.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// Whole: a result, a snapshot, what a leaver hands over, or a message without a payload.
using Incoming =
    absl::variant<CheckedResult, ReceivedSnapshot, ReceivedHandover, v1::ServerMessage>;

// Reads one stream: joins slices, checks digests and payloads. Not thread-safe.
class IncomingReader {
 public:
  // `layout` and `backend` must outlive the reader.
  IncomingReader(const Layout* layout, uint32_t roster_limit, const Backend* backend);

  // What the message completes; nothing if slices of it are to come, or if it is a slice of what a
  // leaver hands over and does not fit. Returns as ResultReader, SnapshotReader and CheckResult.
  absl::StatusOr<absl::optional<Incoming>> Read(v1::ServerMessage message);

 private:
  const Layout* layout_;
  const Backend* backend_;
  ResultReader results_;
  SnapshotReader snapshots_;
  HandoverReader handovers_;
};

// Hands to the session what came from the aggregator. A message of a kind that this build does not
// know ends the run.
void TakeIncoming(Session& session, size_t aggregator, Incoming incoming, absl::Time now);

}  // namespace tally

#endif  // TALLY_CLIENT_INCOMING_H_
