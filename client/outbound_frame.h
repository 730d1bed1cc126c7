// What goes onto a stream: messages and their payloads, cut to size.
#ifndef TALLY_CLIENT_OUTBOUND_FRAME_H_
#define TALLY_CLIENT_OUTBOUND_FRAME_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/buffer.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// One message on the wire: `head`, then `piece` (codecs/message_frame.h). Cheap to copy: the piece
// is a view of `payload`, which the frame keeps alive.
struct OutboundFrame {
  std::string head;
  absl::Span<const uint8_t> piece;
  SharedBuffer payload;

  size_t num_bytes() const { return head.size() + piece.size(); }
};

// The frames of one message. Contributions, replays and snapshots are cut into slices of
// kSliceBytes, of which the first carries the message and the others chunk, round, half and slice;
// other kinds have no payload.
std::vector<OutboundFrame> CutIntoFrames(v1::ClientMessage message, const SharedBuffer& payload);

}  // namespace tally

#endif  // TALLY_CLIENT_OUTBOUND_FRAME_H_
