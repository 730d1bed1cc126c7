// The aggregator without its network: Hellos, contributions and time in, actions out.
#ifndef TALLY_AGGREGATOR_ENGINE_H_
#define TALLY_AGGREGATOR_ENGINE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "aggregator/actions.h"
#include "aggregator/admission.h"
#include "aggregator/contribution_reader.h"
#include "aggregator/eviction.h"
#include "aggregator/job.h"
#include "aggregator/replay_reader.h"
#include "proto/tally/v1/membership.pb.h"
#include "proto/tally/v1/status.pb.h"

namespace tally {

struct EngineOptions {
  // This aggregator's name in the jobs' lists.
  std::string name;
  // Names this life of it.
  v1::Welcome::Instance instance;
  uint64_t memory_limit_bytes = uint64_t{1} << 30;
  // Chunks that a worker may send past the lowest incomplete one.
  uint32_t window_chunks = 16;
  // A run of which nobody has been connected for so long, in running time, is over.
  absl::Duration forget_after = absl::Seconds(30);
  // A stream that was silent for so long, in running time, is closed.
  absl::Duration silence_limit = absl::Seconds(30);
  // When members are held for dead. Nobody is before recover_after of running time.
  EvictionRule eviction;
  absl::Duration recover_after = absl::Seconds(30);
};

// All jobs of one aggregator. A pure state machine: no threads, sockets or clocks; the caller
// serialises calls, passes the time, and carries out the actions in order. Streams are named by the
// caller; each begins with HandleHello and ends with HandleClosed or with a CloseStream action,
// after which the engine knows it no more.
//
//   server                                      engine
//     | -- HandleHello ---------------------------> |
//     | <- AcceptStream, SendResult (genesis) ----- |     or CloseStream
//     | -- HandleContribution --------------------> |     from every member of the roster
//     | <- Compute -------------------------------- |
//     | -- HandleOutcome -------------------------> |
//     | <- SendResult ----------------------------- |     to every member
//
// A Hello with a history that this aggregator does not have begins a recovery: Need messages and
// HandleReplay, until the run's chunks are as they were.
class Engine {
 public:
  explicit Engine(EngineOptions options);

  Actions HandleHello(StreamId stream, const v1::Hello& hello, absl::Time now);
  Actions HandleContribution(StreamId stream, StagedContribution contribution, absl::Time now);
  // A piece of a history that this aggregator has lost.
  Actions HandleReplay(StreamId stream, Replayed piece, absl::Time now);
  // The worker holds a snapshot that it was sent.
  Actions HandleSnapshotAck(StreamId stream, const v1::ResidualSnapshotAck& ack, absl::Time now);
  Actions HandleOutcome(const ExchangeOutcome& outcome, absl::Time now);
  // A sealed exchange could not be computed: the run cannot go on.
  Actions HandleComputeFailure(uint64_t job_serial, const absl::Status& status);
  // A sign of life; an empty heartbeat brings no news.
  Actions HandleHeartbeat(StreamId stream, const v1::Heartbeat& heartbeat, absl::Time now);
  // The worker goes. Its stream is closed, with OK, when nobody needs its memory any more.
  Actions HandleLeave(StreamId stream, const v1::Leave& leave, absl::Time now);
  // A piece of what a leaver hands over, which `piece` holds; and its heir has all of it.
  Actions HandleHandover(StreamId stream, v1::Handover handover, std::string piece, absl::Time now);
  Actions HandleHandoverAck(StreamId stream, const v1::HandoverAck& ack, absl::Time now);
  // An observer wants to take part.
  Actions HandleActivate(StreamId stream, const v1::Activate& activate, absl::Time now);
  // A newcomer asks for the state, and a donor gives a piece of it, which `piece` holds.
  Actions HandleStateRequest(StreamId stream, const v1::StateRequest& request, absl::Time now);
  Actions HandleStatePart(StreamId stream, v1::StatePart part, std::string piece, absl::Time now);
  // The stream sent what it may not: it is closed with this status, nobody else is disturbed.
  Actions HandleOffence(StreamId stream, absl::Status status);
  // The stream is gone.
  Actions HandleClosed(StreamId stream);
  // To be called a few times a second, and at next_deadline().
  Actions HandleTick(absl::Time now);
  // When an exchange closes without late members; infinite: none is about to.
  absl::Time next_deadline() const;

  // From now on new streams are refused, and rounds not begun yet do not begin. `drained()` turns
  // true when all rounds under way are over, and what is left of them is in members' custody.
  Actions StartDraining();
  bool drained() const;
  // Exchanges that somebody has contributed to and that are not over.
  size_t exchanges_under_way() const;
  // Closes every stream.
  Actions Stop(const absl::Status& status);

  // Status of one job, or of all if `job` is empty. `jobs` is empty if there is no such job.
  v1::GetStatusResponse Status(const std::string& job, absl::Time now) const;

 private:
  struct Stream {
    uint64_t job_serial = 0;
    MemberId member;
    // In running time.
    absl::Duration heard_at;
  };
  struct RunningJob {
    std::unique_ptr<Job> job;
    // When somebody was last connected, in running time.
    absl::Duration connected_at;
  };

  struct EndedRun {
    std::string job;
    uint64_t run = 0;
    // Who was evicted, with the highest incarnation that is dead.
    std::map<std::string, uint64_t> evicted;
    // Of where its chunks' histories ended.
    uint64_t heads_digest = 0;
  };

  absl::Status Greet(StreamId stream, const v1::Hello& hello, absl::Time now, Actions& actions);
  // Null unless everybody has left that run, and it was not begun anew.
  const EndedRun* FindEnded(const JobDescription& description) const;
  // The job with that name, made if there is none. Fails if another run of it lives.
  absl::StatusOr<Job*> FindOrCreate(const JobDescription& description, const v1::Hello& hello,
                                    absl::Time now);
  Job* FindBySerial(uint64_t serial);
  // The job of a stream that is still open, else null; notes the sign of life.
  Job* Hear(StreamId stream);
  // Forgets the streams that `actions` close, and jobs that are over.
  Actions Settle(Actions actions);

  const EngineOptions options_;
  Admission admission_;
  uint64_t next_serial_ = 1;
  bool draining_ = false;
  // Time as this process lived it: a pause of the whole process counts as one tick, or everybody
  // would look silent after it.
  absl::Duration running_time_;
  absl::Time last_tick_ = absl::InfinitePast();
  std::map<std::string, RunningJob> jobs_;  // by name
  absl::flat_hash_map<uint64_t, Job*> jobs_by_serial_;
  // The last runs that everybody has left: who comes back to one must not begin it again, alone.
  std::deque<EndedRun> ended_runs_;
  absl::flat_hash_map<StreamId, Stream> streams_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_ENGINE_H_
