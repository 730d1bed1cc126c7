// The worker's side of Tally: joins a run and takes part in its rounds.
#ifndef TALLY_CLIENT_CLIENT_H_
#define TALLY_CLIENT_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "client/client_options.h"
#include "client/exchanger.h"
#include "client/inheritance.h"
#include "client/undone_contribution.h"

namespace tally {

// Traffic and waits since Connect. Byte counts are those of messages, headers included, before
// HTTP/2 framing.
struct ClientStatistics {
  uint64_t rounds = 0;
  uint64_t contribution_bytes = 0;
  uint64_t result_bytes = 0;
  uint64_t other_bytes_sent = 0;
  uint64_t other_bytes_received = 0;
  uint64_t reconnects = 0;
  // Contributions that a result's header did not name.
  uint64_t missed_contributions = 0;
  // Contributions of a worker that was evicted of which nobody could tell any more whether they
  // count: they were taken out of its residual.
  uint64_t unsettled_contributions = 0;
  // Contributions of a worker that was evicted which a result counted that a crash undid before
  // the others had it (TakeUndone).
  uint64_t undone_contributions = 0;
  // Norms (2) of what this worker has handed over when it left, and of what nobody has taken.
  double handed_over_norm = 0;
  double discarded_norm = 0;
  // Time spent inside NextResult.
  absl::Duration result_wait = absl::ZeroDuration();
};

// A worker in a run. Thread rules and round calls: Exchanger. Owns its connections and threads; the
// destructor closes them without taking leave, as a crash would.
class Client : public Exchanger {
 public:
  // Connects to all aggregators and waits until the run has started: all expected workers are
  // there. If the run has begun without this worker and it is `elastic`, waits for the state of the
  // others (joined_state) instead.
  // Returns INVALID_ARGUMENT, naming the field, if an option breaks its rule or an aggregator
  // refuses one; FAILED_PRECONDITION if the run has started without this worker, which is not
  // `elastic`, or is over; DEADLINE_EXCEEDED if it is not started within start_timeout: the message
  // names the aggregator that cannot be reached (with the transport's words), or gives its reason,
  // how many workers are still missing.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options);

  // Ends this worker's part in the run, after the last result of a round: tells the aggregators and
  // waits until they have closed the streams. Every call after it returns FAILED_PRECONDITION. The
  // run ends when every worker has left.
  // Returns FAILED_PRECONDITION while results are outstanding, or if the run is over and this
  // worker had been evicted from it; DEADLINE_EXCEEDED, naming the aggregator, if a stream is not
  // closed within aggregator_timeout; DATA_LOSS if a crash undid the last result that this worker
  // has read, and it was evicted: its parameters are not the others'.
  virtual absl::Status Leave() = 0;

  // The same for a worker that goes while others go on: `residual` [layout().num_elements()],
  // finite, in the order of the flat vector, is what it has not got across (Optimizer::Residual);
  // or empty.
  // Each chunk of it goes to a worker that stays, which a header names, and joins that one's
  // residual (TakeInheritances). Waits for that up to handover_timeout; what nobody has taken by
  // then, or could take because everybody leaves, is lost and counted (ClientStatistics).
  // Returns INVALID_ARGUMENT if the size is wrong or a value is not finite; else as Leave().
  virtual absl::Status Leave(absl::Span<const float> residual) = 0;

  // What workers that left have handed to this one since the last call, to be added to its residual
  // (TakeInheritances of client/optimizers/take_inheritances.h does). To be asked after every
  // round: a worker that never asks is given nothing.
  virtual std::vector<Inheritance> TakeInheritances() = 0;

  // Once StartRound has returned ABORTED: those of this worker's contributions that it has seen
  // counted, and that count no more; since the last call. What it comes again with has them back
  // (ResidualToKeep of client/optimizers/residual_to_keep.h).
  virtual std::vector<UndoneContribution> TakeUndone() = 0;

  // The state that a newcomer starts from, as GiveState gave it on another worker: the next round
  // is the one after it. Null on workers that have begun the run. Valid as long as the client.
  virtual const Buffer* joined_state() const = 0;

  // Between two rounds: a newcomer waits for the replicated state as it is now. To be asked after
  // every round, by trainers that are `elastic`.
  virtual bool state_wanted() const = 0;

  // Gives newcomers the replicated state as it is now, in the trainer's own format; it travels in
  // the background while rounds go on.
  // Returns INVALID_ARGUMENT if `state` is empty; FAILED_PRECONDITION while results are
  // outstanding.
  virtual absl::Status GiveState(Buffer state) = 0;

  // A run may be resumed from what all of its workers save at one round. Before that round, on all
  // workers: announces that the round which StartRound opens next is the one. If a step opens none,
  // the announcement stands until one does.
  virtual void SaveNextRound() = 0;

  // After that round: what the worker is to give as ClientOptions::saved_run when the run resumes,
  // beside what it saves of its own (Optimizer::SaveState, the parameters). Waits until what falls
  // to this worker of the aggregators' residuals is here; in all, 4 bytes per element that is
  // exchanged as signs, spread over the workers. What others have handed over and TakeInheritances
  // has not given yet is in it: nothing may be taken between this and Optimizer::SaveState. What a
  // worker that left less than 10 s ago hands over is waited for so long, unless rounds close
  // without late workers.
  // Returns FAILED_PRECONDITION if the round before was not announced or is not over, everybody
  // abstained from one of its chunks, others have closed the next one without this worker, or it
  // does not take part; DEADLINE_EXCEEDED, naming
  // chunk and aggregator, if a residual does not come within aggregator_timeout; the run goes on.
  // Else as Exchanger::NextResult.
  virtual absl::StatusOr<std::string> SaveRun() = 0;

  // The replicated state should be the same on all workers, bit for bit. To see whether it is:
  // after a step, while replica_digest_wanted(), tell a digest of it, which is not 0
  // (base/digest.h); the aggregators compare those of all workers. Then drifted_workers() names
  // those that are not like most; if this worker is among them, what it computes harms the others.
  // Costs 8 bytes per chunk in one of 64 rounds. Trainers that tell none are not compared.
  virtual bool replica_digest_wanted() const = 0;
  virtual void TellReplicaDigest(uint64_t digest) = 0;
  virtual std::vector<std::string> drifted_workers() const = 0;

  virtual ClientStatistics statistics() const = 0;

  // Why the open round waits, for people; empty if it does not: "round 812, chunk 3 at `agg-1`
  // for 4.2s: waiting for worker `w-5`, silent for 4.2 s; 7 of 8 arrived in 5.0 s".
  virtual std::string waiting_for() const = 0;
};

}  // namespace tally

#endif  // TALLY_CLIENT_CLIENT_H_
