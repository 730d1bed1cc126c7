// Streams to the aggregators, as the client sees them.
#ifndef TALLY_CLIENT_TRANSPORT_H_
#define TALLY_CLIENT_TRANSPORT_H_

#include <cstddef>

#include "absl/status/status.h"
#include "client/outbound_frame.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// At most one stream per aggregator at a time. All calls return at once, are safe from any thread
// and from inside events, but for Start and Shutdown.
class Transport {
 public:
  // Called from the transport's own threads: for one aggregator one after the other, for different
  // ones at once.
  class Events {
   public:
    virtual ~Events() = default;
    // A message came; `message.payload()` is its piece.
    virtual void OnMessage(size_t aggregator, v1::ServerMessage message) = 0;
    // The stream has ended, in the aggregator's or the network's words: the last event of every
    // stream that was opened, also of one that never came about. Open may be called from here on.
    virtual void OnClosed(size_t aggregator, const absl::Status& status) = 0;
  };

  virtual ~Transport() = default;

  // Before anything else, once. `events` lives until Shutdown has returned.
  virtual void Start(Events* events) = 0;

  // Opens a stream; frames may be sent at once and travel when the connection stands. The
  // aggregator must not have one.
  virtual void Open(size_t aggregator) = 0;

  // Cuts the aggregator's stream without a word, if it has one: OnClosed follows.
  virtual void Cut(size_t aggregator) = 0;

  // Queues a frame on the aggregator's stream. A stream that is lost or gone drops it: OnClosed
  // tells.
  virtual void Send(size_t aggregator, OutboundFrame frame) = 0;

  // Cuts all streams without a word and waits until no event is running; none comes afterwards. Not
  // from inside an event. Further calls have no effect.
  virtual void Shutdown() = 0;
};

}  // namespace tally

#endif  // TALLY_CLIENT_TRANSPORT_H_
