// What a session asks of the world around it.
#ifndef TALLY_CLIENT_SESSION_ACTION_H_
#define TALLY_CLIENT_SESSION_ACTION_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/variant.h"
#include "base/buffer.h"
#include "client/exchanger.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// Open a stream to the aggregator: its first one, or a new one after the last was lost. The
// messages for it follow at once.
struct OpenStream {
  size_t aggregator = 0;
};

// Cut the aggregator's stream: its loss is an event as any other.
struct CutStream {
  size_t aggregator = 0;
};

// Send a message on the aggregator's open stream; nothing happens if it has been lost meanwhile.
struct SendMessage {
  size_t aggregator = 0;
  v1::ClientMessage message;
  // Whole: to be cut into slices. Null if the kind of message has none.
  SharedBuffer payload;
};

// Hand a result of the open round to the caller.
struct DeliverResult {
  ChunkResult result;
};

// All chunks have their first entry, or a newcomer has the state: rounds may begin.
struct RunStarted {};

// After Leave: every aggregator has ended its stream.
struct RunLeft {};

// The session is over; nothing more comes from it.
struct SessionFailed {
  absl::Status status;
};

using SessionAction = absl::variant<OpenStream, CutStream, SendMessage, DeliverResult, RunStarted,
                                    RunLeft, SessionFailed>;

// To be carried out in this order.
using SessionActions = std::vector<SessionAction>;

}  // namespace tally

#endif  // TALLY_CLIENT_SESSION_ACTION_H_
