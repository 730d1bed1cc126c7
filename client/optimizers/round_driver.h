// One round over an Exchanger, with encoding, transport and decoding overlapped.
#ifndef TALLY_CLIENT_OPTIMIZERS_ROUND_DRIVER_H_
#define TALLY_CLIENT_OPTIMIZERS_ROUND_DRIVER_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "base/buffer.h"
#include "client/exchanger.h"
#include "codecs/exchange.h"

namespace tally {

// What became of this worker's contribution to one chunk of one round.
enum class Fate : uint8_t {
  kCounted,    // the result's header names this worker
  kMissed,     // sent, but the result does without it
  kAbstained,  // nothing was sent
};

// What a worker puts into one chunk of one exchange.
struct ChunkContribution {
  Exchange exchange;
  absl::optional<Buffer> payload;  // unset: abstains
};

// Drives the rounds of one optimizer. Not thread-safe.
class RoundDriver {
 public:
  // Called once per chunk and round, in increasing order of chunks.
  using Encode = absl::FunctionRef<absl::StatusOr<ChunkContribution>(uint32_t chunk)>;
  // Called once per chunk and round, after Encode of that chunk, in order of arrival: what it does
  // to one chunk must not depend on which others came before.
  using Apply = absl::FunctionRef<absl::Status(const ChunkResult& result, Fate fate)>;
  // Called with the result of a sketch round's first half: what the worker puts into the second.
  using Answer =
      absl::FunctionRef<absl::StatusOr<ChunkContribution>(const ChunkResult& result, Fate fate)>;

  // `exchanger` must outlive the driver.
  explicit RoundDriver(Exchanger* exchanger) : exchanger_(*exchanger) {}

  // Plays one round. Results are applied as soon as they are there, so the last chunks are still
  // being encoded while the first ones come back.
  //
  //   Encode(0) Contribute(0) | Encode(1) Contribute(1) Poll: Apply(0) | ... | Next: Apply(n - 1)
  //
  // Returns the first error of the exchanger or of a callable; FAILED_PRECONDITION if a result
  // exchanged something else than this worker put in (its replicated state is another one than the
  // majority's); DATA_LOSS if a result counts a contribution that was never sent. After an error
  // chunks stand at different rounds, so every further call returns that error.
  absl::Status Run(Encode encode, Apply apply);
  // The same for rounds with two halves: a chunk's first result goes to `answer`, its last one to
  // `apply`.
  absl::Status Run(Encode encode, Answer answer, Apply apply);

  bool failed() const { return !failure_.ok(); }
  // The error that every further Run returns; OK while there is none.
  const absl::Status& failure() const { return failure_; }

 private:
  absl::Status RunOnce(Encode encode, Answer answer, Apply apply);
  // True if the chunk's round is over.
  absl::StatusOr<bool> TakeResult(const ChunkResult& result, Answer answer, Apply apply);
  absl::Status Send(uint32_t chunk, ChunkContribution contribution);

  struct Sent {
    Exchange exchange;
    bool abstained = false;
    bool outstanding = false;
  };

  Exchanger& exchanger_;
  std::vector<Sent> sent_;  // by chunk
  absl::Status failure_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ROUND_DRIVER_H_
