#include "client/outbound_frame.h"

#include <utility>

#include "codecs/limits.h"
#include "codecs/message_frame.h"
#include "codecs/slices.h"

namespace tally {

std::vector<OutboundFrame> CutIntoFrames(v1::ClientMessage message, const SharedBuffer& payload) {
  std::vector<OutboundFrame> frames;
  if (!message.has_contribution()) {
    frames.push_back({FrameHead(message, 0), {}, nullptr});
    return frames;
  }
  const absl::Span<const uint8_t> bytes =
      payload == nullptr ? absl::Span<const uint8_t>() : payload->bytes();
  for (PayloadSlice& slice : CutIntoSlices(bytes, kSliceBytes)) {
    *message.mutable_contribution()->mutable_slice() = std::move(slice.slice);
    frames.push_back({FrameHead(message, slice.piece.size()), slice.piece, payload});
    if (frames.size() > 1) continue;
    v1::Contribution further;
    further.set_chunk(message.contribution().chunk());
    further.set_round(message.contribution().round());
    further.set_half(message.contribution().half());
    *message.mutable_contribution() = std::move(further);
  }
  return frames;
}

}  // namespace tally
