// An aggregator's engine with everything around it simulated: streams, arithmetic and time.
#ifndef TALLY_TESTS_UTIL_ENGINE_DRIVER_H_
#define TALLY_TESTS_UTIL_ENGINE_DRIVER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "aggregator/actions.h"
#include "aggregator/contribution_reader.h"
#include "aggregator/engine.h"
#include "aggregator/exchange_task.h"
#include "aggregator/replay_reader.h"
#include "kernels/backend.h"
#include "proto/tally/v1/membership.pb.h"
#include "tests/util/contribution_builder.h"

namespace tally {

// What a stream's worker has been sent.
struct EngineInbox {
  absl::optional<v1::Welcome> welcome;
  std::shared_ptr<const JobDescription> description;
  MemberId member;
  std::vector<std::shared_ptr<const StoredResult>> results;
  std::vector<v1::Notice> notices;
  std::vector<std::shared_ptr<const ResidualSnapshot>> snapshots;
  std::vector<v1::Need> needs;
  std::vector<v1::StateRequest> state_requests;
  // With the bytes of each.
  std::vector<std::pair<v1::StatePart, std::string>> state_parts;
  std::vector<std::pair<v1::Handover, std::string>> handovers;
  std::vector<v1::HandoverAck> handover_acks;
  // Set once the stream is closed by the engine.
  absl::optional<absl::Status> closed;
};

// Plays the server: carries out the engine's actions into inboxes, computes what is to be computed,
// at once or when told, and moves the time. Not thread-safe.
class EngineDriver {
 public:
  explicit EngineDriver(EngineOptions options);

  Engine& engine() { return engine_; }
  absl::Time now() const { return now_; }
  // False: tasks wait for RunTasks.
  void set_compute_at_once(bool at_once) { compute_at_once_ = at_once; }

  // A stream comes in, with this Hello.
  StreamId Open(const v1::Hello& hello);
  // Reads the contribution as a server does, every slice of it, and hands it to the engine.
  void Contribute(StreamId stream, const TestContribution& contribution);
  void Heartbeat(StreamId stream, const v1::Heartbeat& heartbeat = {}) {
    CarryOut(engine_.HandleHeartbeat(stream, heartbeat, now_));
  }
  // Stays that long to hand its residual over.
  void Leave(StreamId stream, uint64_t last_round = 0,
             absl::Duration stays_for = absl::ZeroDuration());
  void HandOver(StreamId stream, v1::Handover handover, std::string piece) {
    CarryOut(engine_.HandleHandover(stream, std::move(handover), std::move(piece), now_));
  }
  void AcknowledgeHandover(StreamId stream, const v1::HandoverAck& ack) {
    CarryOut(engine_.HandleHandoverAck(stream, ack, now_));
  }
  void Activate(StreamId stream, uint64_t round);
  void RequestState(StreamId stream, uint64_t id, uint64_t received_bytes = 0);
  void GiveState(StreamId stream, v1::StatePart part, std::string piece) {
    CarryOut(engine_.HandleStatePart(stream, std::move(part), std::move(piece), now_));
  }
  // The worker holds the snapshot that it was sent.
  void Acknowledge(StreamId stream, const ResidualSnapshot& snapshot);
  void Replay(StreamId stream, Replayed piece) {
    CarryOut(engine_.HandleReplay(stream, std::move(piece), now_));
  }
  // The stream's connection breaks.
  void Disconnect(StreamId stream) { CarryOut(engine_.HandleClosed(stream)); }
  void Offend(StreamId stream, absl::Status status) {
    CarryOut(engine_.HandleOffence(stream, std::move(status)));
  }
  void StartDraining() { CarryOut(engine_.StartDraining()); }
  void Stop(const absl::Status& status) { CarryOut(engine_.Stop(status)); }
  // Computes what waits, in the order given.
  void RunTasks();
  size_t num_tasks() const { return tasks_.size(); }
  void FailTask(const absl::Status& status);

  // Time passes, with a tick every 100 ms.
  void AdvanceBy(absl::Duration duration);
  // Time passes without the process: the next tick comes only after it.
  void PauseFor(absl::Duration duration);

  const EngineInbox& inbox(StreamId stream) { return inboxes_[stream]; }
  // What went into the log, in order.
  const std::vector<std::string>& announcements() const { return announcements_; }
  // The status of the only job. The test fails if there are none or more.
  v1::JobStatus OnlyJob() const;

 private:
  void CarryOut(Actions actions);

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(400'000);
  Engine engine_;
  const Backend* const backend_;
  bool compute_at_once_ = true;
  StreamId next_stream_ = 1;
  std::map<StreamId, EngineInbox> inboxes_;
  std::vector<std::string> announcements_;
  std::deque<ExchangeTask> tasks_;
};

// A worker that keeps to the protocol: applies results, contributes on top of them.
class EngineWorker {
 public:
  // Says Hello at once. `driver` must outlive the worker.
  EngineWorker(EngineDriver* driver, v1::Hello hello);

  // Opens another stream, as a worker does whose stream broke: with the heads that it has applied.
  void Reconnect(v1::Intent intent = v1::INTENT_MEMBER);
  // Contributes to the open round of the chunk: the same value for every element.
  void Contribute(uint32_t chunk, float value);
  void ContributeAs(uint32_t chunk, const Exchange& exchange, std::string payload);
  void Abstain(uint32_t chunk);
  // What Contribute would send.
  TestContribution Contribution(uint32_t chunk, float value);
  void Send(const TestContribution& contribution) { driver_->Contribute(stream_, contribution); }

  StreamId stream() const { return stream_; }
  const v1::Hello& hello() const { return hello_; }
  const EngineInbox& inbox() const { return driver_->inbox(stream_); }
  const absl::optional<absl::Status>& closed() const { return inbox().closed; }
  // The newest result of the chunk; null before the genesis.
  std::shared_ptr<const StoredResult> Newest(uint32_t chunk);
  // The first element of it, of a dense exchange.
  float NewestValue(uint32_t chunk);

 private:
  struct Head {
    uint64_t next_round = 0;
    std::shared_ptr<const StoredResult> result;
  };
  // Takes what has come in since the last call.
  void Catch();

  EngineDriver* const driver_;
  v1::Hello hello_;
  StreamId stream_ = 0;
  size_t num_applied_ = 0;
  std::map<uint32_t, Head> heads_;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_ENGINE_DRIVER_H_
