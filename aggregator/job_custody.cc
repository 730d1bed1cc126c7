// How a job keeps its residuals in the custody of its members.
#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/job.h"

namespace tally {

void Job::SendSnapshotTo(const ResidualCustody::Order& order, Actions& actions) const {
  const absl::optional<StreamId> stream = StreamOf(order.custodian);
  if (stream.has_value()) actions.push_back(SendSnapshot{*stream, order.snapshot});
}

absl::Status Job::HandleSnapshotAck(const MemberId& member, const v1::ResidualSnapshotAck& ack,
                                    absl::Time now) {
  Hear(member, 0, now);
  if (ack.chunk() >= description_->layout.chunks().size() || !description_->Places(ack.chunk())) {
    return absl::InvalidArgumentError(absl::StrCat("`residual_snapshot_ack.chunk` = ", ack.chunk(),
                                                   ", must be one of this aggregator's"));
  }
  if (formed_)
    Find(ack.chunk()).AcknowledgeSnapshot(member, {ack.round(), ack.half()}, ack.chain());
  return absl::OkStatus();
}

std::vector<MemberId> Job::ConnectedMembers(const ChunkRound& chunk) const {
  std::vector<MemberId> connected;
  for (const MemberId& member : chunk.history().roster().members()) {
    if (StreamOf(member).has_value()) connected.push_back(member);
  }
  return connected;
}

void Job::SecureResiduals(Actions& actions) {
  if (!formed_ || !between_rounds()) return;
  for (ChunkRound& chunk : chunks_) {
    const absl::optional<ResidualCustody::Order> order = chunk.Secure(ConnectedMembers(chunk));
    if (order.has_value()) SendSnapshotTo(*order, actions);
  }
}

bool Job::secured() const {
  return !formed_ || std::all_of(chunks_.begin(), chunks_.end(), [this](const ChunkRound& chunk) {
    return chunk.secured() || ConnectedMembers(chunk).empty();
  });
}

}  // namespace tally
