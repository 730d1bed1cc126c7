// The exchange itself: what optimizers stand on, and what a trainer with a method of its own uses
// directly.
#ifndef TALLY_CLIENT_EXCHANGER_H_
#define TALLY_CLIENT_EXCHANGER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/buffer.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

// What came back for one chunk of one round; the same for all workers, but for `counted`.
struct ChunkResult {
  uint32_t chunk = 0;
  uint64_t round = 0;
  // 1: the second half of a sketch round.
  uint32_t half = 0;
  // What was exchanged; unset if nobody took part: then there is no payload and nothing changes.
  absl::optional<Exchange> exchange;
  // The result's header names this worker: its contribution is in the result. Only then may the
  // contribution be taken out of the worker's residual.
  bool counted = false;
  // The mean that workers track starts anew after this result: what each believes that the others
  // know of its input becomes what all share. For exchanges divided by the roster.
  bool tracking_rebase = false;
  // The run goes on without this worker, which was evicted: this tells what became of its last
  // contribution, and nothing else. `exchange` is unset.
  bool settled = false;
  uint32_t num_participants = 0;
  // In the exchange's codec (codecs/*_codec.h); checked.
  SharedBuffer payload;
  // XXH3-64 of the payload; of a first half, what the second one's ValuesExchange names.
  uint64_t payload_digest = 0;
};

// Rounds of exchanges with everybody else. Calls of one round, in order:
//
//   StartRound()
//   for each chunk, in any order:  Contribute(chunk) or Abstain(chunk)     any time; never blocks
//   for each chunk:                NextResult() or PollResult()            in order of arrival
//
// The result of a chunk comes after this worker's turn, also if the others have closed the exchange
// before.
// A result with elements to be answered (HasSecondHalf of its exchange) opens the second half of
// the chunk's round: the caller contributes once more, a ValuesExchange, and another result comes.
// The round is over when the last results of all chunks were handed out. Sending, receiving and
// checking go on in the background from the first Contribute on, so a caller that alternates
// Contribute and PollResult overlaps its own encoding and decoding with the transport.
//
// A worker that was evicted, and may come again (ClientOptions::elastic), ends its round by itself:
// what it has sent is settled, what it puts in now is missed. Then StartRound returns ABORTED.
//
// Not thread-safe: one thread, or callers that take turns. After the run has failed every further
// call returns the same error; a call that was only wrong (INVALID_ARGUMENT, FAILED_PRECONDITION
// for its order) changes nothing, and the run goes on.
class Exchanger {
 public:
  virtual ~Exchanger() = default;

  virtual const Layout& layout() const = 0;

  // The run's seed and this worker's id: from them follow all random draws (codecs/draw_key.h).
  virtual uint64_t run_seed() const = 0;
  virtual absl::string_view worker() const = 0;

  // Number of the round that StartRound opens next.
  virtual uint64_t next_round() const = 0;

  // Others wait for this worker in the next round. An observer plays rounds without being waited
  // for: it need contribute nothing (Abstain), and what it contributes does not count.
  virtual bool takes_part() const { return true; }

  // Returns FAILED_PRECONDITION if results of the round before are outstanding; ABORTED if this
  // worker was evicted and may come again; else as NextResult.
  virtual absl::Status StartRound() = 0;

  // Queues this worker's contribution; takes `payload`, which is a payload of `exchange` for the
  // chunk. Chunks whose turn has not come wait here until the aggregator's window has room for
  // them.
  // Returns INVALID_ARGUMENT if the chunk does not exist, or the payload breaks a rule of its
  // codec; FAILED_PRECONDITION if no round is open, the chunk has contributed to it (or to this
  // half of it) already, or values come before the first half's result; else as NextResult.
  virtual absl::Status Contribute(uint32_t chunk, const Exchange& exchange, Buffer payload) = 0;

  // Takes no part in this round of the chunk: the others do not wait, the result still comes.
  // Errors as Contribute.
  virtual absl::Status Abstain(uint32_t chunk, const Exchange& exchange) = 0;

  // Waits for the next result of the round.
  // Returns FAILED_PRECONDITION if none is outstanding, or none can come before this worker has
  // contributed to a chunk that the window waits for; DEADLINE_EXCEEDED if an aggregator made no
  // progress for its timeout: the message names the aggregator, round, chunk and the workers that
  // it waits for; UNAVAILABLE if an aggregator went away for longer than that; the aggregator's own
  // code, with its words, if it refused this worker; DATA_LOSS if a result contradicts its header
  // or the history.
  virtual absl::StatusOr<ChunkResult> NextResult() = 0;

  // The same without waiting: unset if no result is there yet.
  virtual absl::StatusOr<absl::optional<ChunkResult>> PollResult() = 0;
};

}  // namespace tally

#endif  // TALLY_CLIENT_EXCHANGER_H_
