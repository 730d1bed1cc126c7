#include "client/outbound_frame.h"

#include <utility>

#include "codecs/limits.h"
#include "codecs/message_frame.h"
#include "codecs/slices.h"

namespace tally {
namespace {

// A message of the same kind that says only which payload a further slice belongs to.
template <typename Message>
Message PlaceIn(const Message& message) {
  Message place;
  place.set_chunk(message.chunk());
  place.set_round(message.round());
  place.set_half(message.half());
  return place;
}

// Where the message describes a slice of its payload; null if its kind has none.
v1::Slice* FindSlice(v1::ClientMessage& message) {
  switch (message.kind_case()) {
    case v1::ClientMessage::kContribution:
      return message.mutable_contribution()->mutable_slice();
    case v1::ClientMessage::kResidualSnapshot:
      return message.mutable_residual_snapshot()->mutable_slice();
    case v1::ClientMessage::kHandover:
      return message.mutable_handover()->mutable_slice();
    case v1::ClientMessage::kReplay:
      if (message.replay().has_contribution()) {
        return message.mutable_replay()->mutable_contribution()->mutable_slice();
      }
      if (message.replay().has_result()) {
        return message.mutable_replay()->mutable_result()->mutable_slice();
      }
      return nullptr;
    default:
      return nullptr;
  }
}

// Leaves of a sliced message what its further slices carry.
void ReduceToPlace(v1::ClientMessage& message) {
  if (message.has_contribution()) {
    *message.mutable_contribution() = PlaceIn(message.contribution());
  } else if (message.has_residual_snapshot()) {
    *message.mutable_residual_snapshot() = PlaceIn(message.residual_snapshot());
  } else if (message.has_handover()) {
    v1::Handover place;
    place.set_chunk(message.handover().chunk());
    place.set_heir(message.handover().heir());
    *message.mutable_handover() = std::move(place);
  } else if (message.replay().has_contribution()) {
    v1::Replay place = PlaceIn(message.replay());
    *place.mutable_contribution() = PlaceIn(message.replay().contribution());
    *message.mutable_replay() = std::move(place);
  } else {
    v1::Replay place = PlaceIn(message.replay());
    *place.mutable_result() = PlaceIn(message.replay().result());
    *message.mutable_replay() = std::move(place);
  }
}

}  // namespace

std::vector<OutboundFrame> CutIntoFrames(v1::ClientMessage message, const SharedBuffer& payload) {
  std::vector<OutboundFrame> frames;
  if (FindSlice(message) == nullptr) {
    frames.push_back({FrameHead(message, 0), {}, nullptr});
    return frames;
  }
  const absl::Span<const uint8_t> bytes =
      payload == nullptr ? absl::Span<const uint8_t>() : payload->bytes();
  for (PayloadSlice& slice : CutIntoSlices(bytes, kSliceBytes)) {
    *FindSlice(message) = std::move(slice.slice);
    frames.push_back({FrameHead(message, slice.piece.size()), slice.piece, payload});
    if (frames.size() == 1) ReduceToPlace(message);
  }
  return frames;
}

}  // namespace tally
