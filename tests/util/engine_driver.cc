#include "tests/util/engine_driver.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/types/variant.h"
#include "base/check.h"
#include "codecs/duration.h"
#include "codecs/limits.h"
#include "kernels/host_backends.h"

namespace tally {

EngineDriver::EngineDriver(EngineOptions options)
    : engine_(std::move(options)), backend_(HostBackends().front()) {
  CarryOut(engine_.HandleTick(now_));
}

StreamId EngineDriver::Open(const v1::Hello& hello) {
  const StreamId stream = next_stream_++;
  CarryOut(engine_.HandleHello(stream, hello, now_));
  return stream;
}

void EngineDriver::Contribute(StreamId stream, const TestContribution& contribution) {
  const EngineInbox& inbox = inboxes_[stream];
  TALLY_CHECK(inbox.description != nullptr, "a worker contributes after its Welcome");
  ContributionReader reader(inbox.description, inbox.member, backend_);
  for (const v1::ClientMessage& message : contribution.Slices(kSliceBytes)) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(message.payload().data());
    absl::StatusOr<absl::optional<StagedContribution>> staged =
        reader.Read(message.contribution(), {bytes, message.payload().size()});
    if (!staged.ok()) return Offend(stream, staged.status());
    if (!staged->has_value()) continue;
    CarryOut(engine_.HandleContribution(stream, **std::move(staged), now_));
  }
}

void EngineDriver::Leave(StreamId stream, uint64_t last_round, absl::Duration stays_for) {
  v1::Leave leave;
  leave.set_last_round(last_round);
  if (stays_for > absl::ZeroDuration()) *leave.mutable_deadline() = EncodeDuration(stays_for);
  CarryOut(engine_.HandleLeave(stream, leave, now_));
}

void EngineDriver::Acknowledge(StreamId stream, const ResidualSnapshot& snapshot) {
  v1::ResidualSnapshotAck ack;
  ack.set_chunk(snapshot.chunk);
  ack.set_round(snapshot.place.round);
  ack.set_half(snapshot.place.half);
  ack.set_chain(snapshot.chain);
  CarryOut(engine_.HandleSnapshotAck(stream, ack, now_));
}

void EngineDriver::Activate(StreamId stream, uint64_t round) {
  v1::Activate activate;
  activate.set_round(round);
  CarryOut(engine_.HandleActivate(stream, activate, now_));
}

void EngineDriver::RequestState(StreamId stream, uint64_t id, uint64_t received_bytes) {
  v1::StateRequest request;
  request.set_id(id);
  request.set_received_bytes(received_bytes);
  CarryOut(engine_.HandleStateRequest(stream, request, now_));
}

void EngineDriver::RunTasks() {
  while (!tasks_.empty()) {
    const ExchangeTask task = std::move(tasks_.front());
    tasks_.pop_front();
    const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, *backend_);
    TALLY_CHECK(outcome.ok(), outcome.status().ToString());
    CarryOut(engine_.HandleOutcome(*outcome, now_));
  }
}

void EngineDriver::FailTask(const absl::Status& status) {
  const uint64_t job_serial = tasks_.front().job_serial;
  tasks_.pop_front();
  CarryOut(engine_.HandleComputeFailure(job_serial, status));
}

void EngineDriver::AdvanceBy(absl::Duration duration) {
  constexpr absl::Duration kTick = absl::Milliseconds(100);
  const absl::Time end = now_ + duration;
  while (now_ < end) {
    now_ = std::min(now_ + kTick, end);
    CarryOut(engine_.HandleTick(now_));
  }
}

void EngineDriver::PauseFor(absl::Duration duration) {
  now_ += duration;
  CarryOut(engine_.HandleTick(now_));
}

v1::JobStatus EngineDriver::OnlyJob() const {
  const v1::GetStatusResponse status = engine_.Status("", now_);
  TALLY_CHECK(status.jobs_size() == 1, status.ShortDebugString());
  return status.jobs(0);
}

void EngineDriver::CarryOut(Actions actions) {
  struct Carrier {
    EngineDriver& driver;

    void operator()(AcceptStream& accept) const {
      EngineInbox& inbox = driver.inboxes_[accept.stream];
      inbox.welcome = std::move(accept.welcome);
      inbox.description = std::move(accept.description);
      inbox.member = std::move(accept.member);
    }
    void operator()(SendControl& send) const {
      EngineInbox& inbox = driver.inboxes_[send.stream];
      v1::ServerMessage& message = send.message;
      if (message.has_welcome()) inbox.welcome = std::move(*message.mutable_welcome());
      if (message.has_notice()) inbox.notices.push_back(std::move(*message.mutable_notice()));
      if (message.has_need()) inbox.needs.push_back(std::move(*message.mutable_need()));
      if (message.has_state_request()) {
        inbox.state_requests.push_back(std::move(*message.mutable_state_request()));
      }
      if (message.has_state_part()) {
        inbox.state_parts.emplace_back(std::move(*message.mutable_state_part()),
                                       std::move(*message.mutable_payload()));
      }
      if (message.has_handover()) {
        inbox.handovers.emplace_back(std::move(*message.mutable_handover()),
                                     std::move(*message.mutable_payload()));
      }
      if (message.has_handover_ack()) inbox.handover_acks.push_back(message.handover_ack());
    }
    void operator()(const SendResult& send) const {
      for (const StreamId stream : send.streams) {
        driver.inboxes_[stream].results.push_back(send.result);
      }
    }
    void operator()(const SendSnapshot& send) const {
      driver.inboxes_[send.stream].snapshots.push_back(send.snapshot);
    }
    void operator()(Announce& announce) const {
      driver.announcements_.push_back(std::move(announce.text));
    }
    void operator()(CloseStream& close) const {
      absl::optional<absl::Status>& closed = driver.inboxes_[close.stream].closed;
      TALLY_CHECK(!closed.has_value(), "a stream is closed once");
      closed = std::move(close.status);
    }
    void operator()(Compute& compute) const { driver.tasks_.push_back(std::move(compute.task)); }
  };
  for (Action& action : actions) absl::visit(Carrier{*this}, action);
  if (compute_at_once_) RunTasks();
}

EngineWorker::EngineWorker(EngineDriver* driver, v1::Hello hello)
    : driver_(driver), hello_(std::move(hello)), stream_(driver->Open(hello_)) {}

void EngineWorker::Reconnect(v1::Intent intent) {
  Catch();
  v1::Hello hello = hello_;
  hello.set_intent(intent);
  for (const auto& [chunk, head] : heads_) {
    v1::ChunkProgress& progress = *hello.add_chunks();
    progress.set_chunk(chunk);
    progress.mutable_head()->set_round(head.result->place.round);
    progress.mutable_head()->set_chain(head.result->chain);
  }
  stream_ = driver_->Open(hello);
  num_applied_ = 0;
}

void EngineWorker::Contribute(uint32_t chunk, float value) { Send(Contribution(chunk, value)); }

void EngineWorker::ContributeAs(uint32_t chunk, const Exchange& exchange, std::string payload) {
  Catch();
  const Head& head = heads_[chunk];
  Send(MakeContribution(hello_, chunk, head.next_round, head.result->chain, exchange,
                        std::move(payload)));
}

void EngineWorker::Abstain(uint32_t chunk) {
  Catch();
  const Head& head = heads_[chunk];
  Send(MakeAbstention(hello_, chunk, head.next_round, head.result->chain, DenseFloat32()));
}

TestContribution EngineWorker::Contribution(uint32_t chunk, float value) {
  Catch();
  const Head& head = heads_[chunk];
  const size_t num_elements = inbox().description->layout.chunks()[chunk].num_elements;
  return MakeContribution(hello_, chunk, head.next_round, head.result->chain, DenseFloat32(),
                          DensePayload(std::vector<float>(num_elements, value)));
}

std::shared_ptr<const StoredResult> EngineWorker::Newest(uint32_t chunk) {
  Catch();
  return heads_[chunk].result;
}

float EngineWorker::NewestValue(uint32_t chunk) {
  float value = 0;
  std::memcpy(&value, Newest(chunk)->payload->data(), sizeof(value));
  return value;
}

void EngineWorker::Catch() {
  const std::vector<std::shared_ptr<const StoredResult>>& results = inbox().results;
  for (; num_applied_ < results.size(); ++num_applied_) {
    const std::shared_ptr<const StoredResult>& result = results[num_applied_];
    heads_[result->message.chunk()] = {.next_round = result->place.round + 1, .result = result};
  }
}

}  // namespace tally
