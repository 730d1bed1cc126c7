// From slices on a stream to a contribution that is whole and valid by itself.
#ifndef TALLY_AGGREGATOR_CONTRIBUTION_READER_H_
#define TALLY_AGGREGATOR_CONTRIBUTION_READER_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "aggregator/job_description.h"
#include "base/buffer.h"
#include "codecs/exchange.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "codecs/slices.h"
#include "kernels/backend.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// A worker's complete contribution to one exchange, checked as far as that needs no shared state.
struct StagedContribution {
  uint32_t chunk = 0;
  Place place;
  uint64_t prev_chain = 0;
  bool abstain = false;
  // The worker saves its state after this round.
  bool save = false;
  Exchange exchange;
  // Of the worker's replicated state; 0: it does not tell.
  uint64_t replica_digest = 0;
  // Null if the worker abstains.
  SharedBuffer payload;
  uint64_t payload_digest = 0;
};

// Reads the contributions of one stream of one member. Keeps the heavy work (copying, digest,
// looking at every value) out of the engine's lock. Not thread-safe; one per stream.
class ContributionReader {
 public:
  // `backend` must outlive this; `payload_memory` as SliceAssembler's.
  ContributionReader(std::shared_ptr<const JobDescription> description, MemberId member,
                     const Backend* backend, std::shared_ptr<BufferMemory> payload_memory = nullptr)
      : description_(std::move(description)),
        member_(std::move(member)),
        backend_(backend),
        assembler_(std::move(payload_memory)) {}

  // Takes the next slice; gives the contribution if it was the last one.
  // Returns INVALID_ARGUMENT if a field breaks its rule in proto/tally/v1/exchange.proto, the
  // slices do not fit together or the payload breaks a rule of its codec; UNIMPLEMENTED for an
  // exchange of an unknown kind or with unknown fields; DATA_LOSS if the payload has another digest
  // than declared. Every message names chunk and round.
  absl::StatusOr<absl::optional<StagedContribution>> Read(const v1::Contribution& message,
                                                          absl::Span<const uint8_t> piece);

 private:
  absl::Status Begin(const v1::Contribution& message, absl::Span<const uint8_t> piece);
  // Whether the exchange may stand in this half of a round, and in this job.
  absl::Status CheckFits(const Exchange& exchange, uint32_t half) const;
  absl::Status Continue(const v1::Contribution& message, absl::Span<const uint8_t> piece);
  absl::StatusOr<StagedContribution> Finish();

  const std::shared_ptr<const JobDescription> description_;
  const MemberId member_;
  const Backend* const backend_;
  SliceAssembler assembler_;
  StagedContribution current_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_CONTRIBUTION_READER_H_
