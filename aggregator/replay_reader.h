// Pieces of a run's past as workers give them back to an aggregator that has lost it.
#ifndef TALLY_AGGREGATOR_REPLAY_READER_H_
#define TALLY_AGGREGATOR_REPLAY_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "aggregator/contribution_reader.h"
#include "aggregator/job_description.h"
#include "aggregator/residual_custody.h"
#include "codecs/checked_result.h"
#include "codecs/place.h"
#include "codecs/result_reader.h"
#include "codecs/snapshot_reader.h"
#include "kernels/backend.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// A contribution that the entry with this chain counts; 0: the worker lacks the entry.
struct ReplayedContribution {
  uint64_t chain = 0;
  StagedContribution contribution;
};

// A header alone.
struct ReplayedHeader {
  v1::ResultHeader header;
  uint64_t chain = 0;
};

// Each agrees with itself; what it is worth, chains tell.
using Replayed =
    absl::variant<CheckedResult, ReplayedHeader, ReplayedContribution, ResidualSnapshot>;

// Reads the replays of one stream of one member, outside the engine's lock. Not thread-safe; one
// per stream.
class ReplayReader {
 public:
  // `backend` outlives this.
  ReplayReader(std::shared_ptr<const JobDescription> description, MemberId member,
               const Backend* backend);

  // Takes the next message, a Replay or ResidualSnapshot; gives the piece if this completes it.
  // Returns INVALID_ARGUMENT if the message has no original, its chunk is not this aggregator's or
  // it names another place than its original; DATA_LOSS if a result, header or snapshot contradicts
  // itself; else as ContributionReader. Every message names chunk and round.
  absl::StatusOr<absl::optional<Replayed>> Read(v1::ClientMessage& message);

 private:
  absl::StatusOr<absl::optional<Replayed>> ReadReplay(v1::Replay& replay, const std::string& piece);
  absl::StatusOr<absl::optional<Replayed>> ReadSnapshot(v1::ResidualSnapshot& snapshot,
                                                        const std::string& piece);

  const std::shared_ptr<const JobDescription> description_;
  const Backend* const backend_;
  ContributionReader contributions_;
  ResultReader results_;
  SnapshotReader snapshots_;
  // Of the contribution under way.
  uint64_t chain_ = 0;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_REPLAY_READER_H_
