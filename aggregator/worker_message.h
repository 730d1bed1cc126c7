// What workers send, on its way into the engine.
#ifndef TALLY_AGGREGATOR_WORKER_MESSAGE_H_
#define TALLY_AGGREGATOR_WORKER_MESSAGE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "aggregator/actions.h"
#include "aggregator/contribution_reader.h"
#include "aggregator/engine.h"
#include "aggregator/job_description.h"
#include "aggregator/replay_reader.h"
#include "base/buffer.h"
#include "codecs/roster.h"
#include "kernels/backend.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// Whole: a contribution, a piece of a lost history, or a message that the engine reads itself.
using WorkerMessage = absl::variant<StagedContribution, Replayed, v1::ClientMessage>;

// Reads one stream: joins slices, checks digests and payloads. Not thread-safe.
class WorkerMessageReader {
 public:
  // `backend` must outlive the reader; `payload_memory` as SliceAssembler's.
  explicit WorkerMessageReader(const Backend* backend,
                               std::shared_ptr<BufferMemory> payload_memory = nullptr)
      : backend_(backend), payload_memory_(std::move(payload_memory)) {}

  // The engine has accepted the stream: what it contributes to, and whose it is. Before that, or if
  // it never is, nobody waits for contributions: they are dropped.
  void Accept(std::shared_ptr<const JobDescription> description, const MemberId& member);

  // What the message completes: an empty heartbeat if slices of it are to come, because a worker on
  // a slow link is busy for long with one contribution, not silent.
  // Returns INVALID_ARGUMENT if the stream does not begin with one Hello, the kind is not known
  // here or the payload is too long; else as ContributionReader and ReplayReader.
  absl::StatusOr<WorkerMessage> Read(v1::ClientMessage message);

 private:
  const Backend* const backend_;
  const std::shared_ptr<BufferMemory> payload_memory_;
  bool greeted_ = false;
  absl::optional<ContributionReader> contributions_;
  absl::optional<ReplayReader> replays_;
};

// Hands to the engine what came on the stream. Returns what is to be done.
Actions TakeWorkerMessage(Engine& engine, StreamId stream, WorkerMessage message, absl::Time now);

}  // namespace tally

#endif  // TALLY_AGGREGATOR_WORKER_MESSAGE_H_
