// What the engine wants done: the only way out of the state machine.
#ifndef TALLY_AGGREGATOR_ACTIONS_H_
#define TALLY_AGGREGATOR_ACTIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/variant.h"
#include "aggregator/chunk_log.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "aggregator/residual_custody.h"
#include "codecs/roster.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// Names a stream for as long as the aggregator runs; chosen by the server.
using StreamId = uint64_t;

// The stream is a worker's of this run: send `welcome`, and read contributions with `description`
// from now on.
struct AcceptStream {
  StreamId stream = 0;
  std::shared_ptr<const JobDescription> description;
  MemberId member;
  v1::Welcome welcome;
  // Nobody waits for the worker, so nothing but this bounds what waits for it; 0: the run does.
  uint64_t max_queued_bytes = 0;
};

// A message to the stream's worker that is small, or a slice of something large.
struct SendControl {
  StreamId stream = 0;
  v1::ServerMessage message;
};

// The same result to several streams.
struct SendResult {
  std::vector<StreamId> streams;
  std::shared_ptr<const StoredResult> result;
};

// A snapshot of a residual, into the custody of the stream's worker.
struct SendSnapshot {
  StreamId stream = 0;
  std::shared_ptr<const ResidualSnapshot> snapshot;
};

// Write a line into the log: something that people who run the aggregator want to know.
struct Announce {
  std::string text;
};

// End the stream; unless the status is OK a Refusal with it goes out first. The engine has
// forgotten the stream.
struct CloseStream {
  StreamId stream = 0;
  absl::Status status;
};

// Run the task (exchange_task.h) and give the outcome to Engine::HandleOutcome.
struct Compute {
  ExchangeTask task;
};

using Action = absl::variant<AcceptStream, SendControl, SendResult, SendSnapshot, Announce,
                             CloseStream, Compute>;

// In the order in which they are to be carried out.
using Actions = std::vector<Action>;

}  // namespace tally

#endif  // TALLY_AGGREGATOR_ACTIONS_H_
