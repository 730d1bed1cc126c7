#include "aggregator/replay_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/status_macros.h"

namespace tally {
namespace {

absl::Status WithPlace(const v1::Replay& replay, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("chunk ", replay.chunk(), ", round ",
                                                  replay.round(), ": ", status.message()));
}

// Whether what is replayed stands where the replay says.
template <typename Original>
absl::Status CheckPlace(const v1::Replay& replay, const Original& original) {
  if (original.chunk() == replay.chunk() && original.round() == replay.round() &&
      original.half() == replay.half()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "`replay.original` is of chunk ", original.chunk(), ", ",
      PlaceName({original.round(), original.half()}), ", must be of the replay's own"));
}

absl::StatusOr<ReplayedHeader> ReadHeader(const v1::Replay& replay) {
  ReplayedHeader read;
  if (!read.header.ParseFromString(replay.header())) {
    return absl::DataLossError("`replay.header` must be a serialized tally.v1.ResultHeader");
  }
  TALLY_RETURN_IF_ERROR(CheckPlace(replay, read.header));
  read.chain = ChainOf(replay.header());
  return read;
}

}  // namespace

ReplayReader::ReplayReader(std::shared_ptr<const JobDescription> description, MemberId member,
                           const Backend* backend)
    : description_(std::move(description)),
      backend_(backend),
      contributions_(description_, std::move(member), backend),
      results_(&description_->layout, description_->roster_limit),
      snapshots_(&description_->layout) {}

absl::StatusOr<absl::optional<Replayed>> ReplayReader::Read(v1::ClientMessage& message) {
  const uint32_t chunk =
      message.has_replay() ? message.replay().chunk() : message.residual_snapshot().chunk();
  if (chunk >= description_->layout.chunks().size() || !description_->Places(chunk)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`chunk` = ", chunk, ", must be one of this aggregator's"));
  }
  if (message.has_residual_snapshot()) {
    return ReadSnapshot(*message.mutable_residual_snapshot(), message.payload());
  }
  absl::StatusOr<absl::optional<Replayed>> read =
      ReadReplay(*message.mutable_replay(), message.payload());
  if (!read.ok()) return WithPlace(message.replay(), read.status());
  return read;
}

absl::StatusOr<absl::optional<Replayed>> ReplayReader::ReadReplay(v1::Replay& replay,
                                                                  const std::string& piece) {
  switch (replay.original_case()) {
    case v1::Replay::kHeader: {
      TALLY_ASSIGN_OR_RETURN(ReplayedHeader header, ReadHeader(replay));
      return absl::make_optional(Replayed(std::move(header)));
    }
    case v1::Replay::kResult: {
      TALLY_RETURN_IF_ERROR(CheckPlace(replay, replay.result()));
      TALLY_ASSIGN_OR_RETURN(absl::optional<ReceivedResult> received,
                             results_.Take(std::move(*replay.mutable_result()), piece));
      if (!received.has_value()) return absl::optional<Replayed>();
      TALLY_ASSIGN_OR_RETURN(CheckedResult result,
                             CheckResult(received->message, std::move(received->payload),
                                         description_->layout, *backend_));
      return absl::make_optional(Replayed(std::move(result)));
    }
    case v1::Replay::kContribution: {
      TALLY_RETURN_IF_ERROR(CheckPlace(replay, replay.contribution()));
      if (replay.contribution().slice().offset_bytes() == 0) chain_ = replay.chain();
      TALLY_ASSIGN_OR_RETURN(absl::optional<StagedContribution> contribution,
                             contributions_.Read(replay.contribution(), BytesOf(piece)));
      if (!contribution.has_value()) return absl::optional<Replayed>();
      return absl::make_optional(Replayed(ReplayedContribution{chain_, *std::move(contribution)}));
    }
    default:
      return absl::InvalidArgumentError("`replay.original` is unset, must be set");
  }
}

absl::StatusOr<absl::optional<Replayed>> ReplayReader::ReadSnapshot(v1::ResidualSnapshot& snapshot,
                                                                    const std::string& piece) {
  TALLY_ASSIGN_OR_RETURN(absl::optional<ReceivedSnapshot> received,
                         snapshots_.Take(std::move(snapshot), piece));
  if (!received.has_value()) return absl::optional<Replayed>();
  const v1::ResidualSnapshot& message = received->message;
  return absl::make_optional(Replayed(ResidualSnapshot{
      .chunk = message.chunk(),
      .place = {message.round(), message.half()},
      .chain = message.chain(),
      .payload = std::move(received->payload),
      .payload_digest = message.payload_digest(),
  }));
}

}  // namespace tally
