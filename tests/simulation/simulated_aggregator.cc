#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "aggregator/exchange_task.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "kernels/host_backends.h"
#include "tests/simulation/simulated_process.h"

namespace tally {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);

}  // namespace

SimulatedAggregator::SimulatedAggregator(SimulatedNetwork* network, size_t index, uint64_t seed,
                                         absl::Duration evict_after)
    : network_(network),
      index_(index),
      evict_after_(evict_after),
      backend_(FastestHostBackend()),
      choices_(seed, /*purpose=*/100 + index),
      inbox_(&network->events()) {
  Start();
}

void SimulatedAggregator::Start() {
  ++life_;
  EngineOptions options;
  options.name = absl::StrCat("agg-", index_);
  options.instance.set_start_us(
      static_cast<uint64_t>(absl::ToUnixMicros(network_->events().now())));
  options.instance.set_random(choices_.Next());
  options.eviction.evict_after = evict_after_;
  options.eviction.minority_after = 4 * evict_after_;
  options.recover_after = evict_after_;
  engine_ = std::make_unique<Engine>(std::move(options));
  Tick(life_);
}

void SimulatedAggregator::Kill() {
  ++life_;
  inbox_.PauseUntil(absl::InfinitePast());
  engine_ = nullptr;
  for (auto& [id, stream] : streams_) {
    network_->Break(stream, absl::UnavailableError("the aggregator was killed"));
  }
  streams_.clear();
}

void SimulatedAggregator::Drain() {
  inbox_.Receive([this, life = life_] {
    if (life == life_) CarryOut(engine_->StartDraining());
  });
}

std::vector<std::shared_ptr<SimulatedStream>> SimulatedAggregator::streams() const {
  std::vector<std::shared_ptr<SimulatedStream>> streams;
  for (const auto& [id, stream] : streams_) streams.push_back(stream);
  return streams;
}

void SimulatedAggregator::Tick(uint64_t life) {
  if (life != life_) return;
  if (inbox_.paused()) {
    return network_->events().At(inbox_.paused_until(), [this, life] { Tick(life); });
  }
  CarryOut(engine_->HandleTick(network_->events().now()));
  network_->events().After(kTick, [this, life] { Tick(life); });
}

void SimulatedAggregator::Receive(const std::shared_ptr<SimulatedStream>& stream,
                                  v1::ClientMessage message) {
  inbox_.Receive([this, stream, message = std::move(message)] {
    if (!stream->broken) Take(stream, message);
  });
}

void SimulatedAggregator::Take(const std::shared_ptr<SimulatedStream>& stream,
                               v1::ClientMessage message) {
  const bool is_open = streams_.count(stream->id) > 0;
  if (engine_ == nullptr || (!message.has_hello() && !is_open)) {
    network_->Break(stream, absl::UnavailableError("nobody listens"));
    return;
  }
  if (message.has_hello()) {
    streams_[stream->id] = stream;
    return CarryOut(engine_->HandleHello(stream->id, message.hello(), network_->events().now()));
  }
  const absl::Status status = Handle(*stream, message);
  if (!status.ok()) CarryOut(engine_->HandleOffence(stream->id, status));
}

absl::Status SimulatedAggregator::Handle(SimulatedStream& stream, v1::ClientMessage& message) {
  const absl::Time now = network_->events().now();
  switch (message.kind_case()) {
    case v1::ClientMessage::kContribution: {
      TALLY_ASSIGN_OR_RETURN(
          absl::optional<StagedContribution> contribution,
          stream.contributions->Read(message.contribution(), BytesOf(message.payload())));
      if (contribution.has_value()) {
        CarryOut(engine_->HandleContribution(stream.id, *std::move(contribution), now));
      }
      return absl::OkStatus();
    }
    case v1::ClientMessage::kReplay:
    case v1::ClientMessage::kResidualSnapshot: {
      TALLY_ASSIGN_OR_RETURN(absl::optional<Replayed> piece, stream.replays->Read(message));
      if (piece.has_value()) CarryOut(engine_->HandleReplay(stream.id, *std::move(piece), now));
      return absl::OkStatus();
    }
    case v1::ClientMessage::kResidualSnapshotAck:
      CarryOut(engine_->HandleSnapshotAck(stream.id, message.residual_snapshot_ack(), now));
      return absl::OkStatus();
    case v1::ClientMessage::kHeartbeat:
      CarryOut(engine_->HandleHeartbeat(stream.id, message.heartbeat(), now));
      return absl::OkStatus();
    case v1::ClientMessage::kActivate:
      CarryOut(engine_->HandleActivate(stream.id, message.activate(), now));
      return absl::OkStatus();
    case v1::ClientMessage::kStateRequest:
      CarryOut(engine_->HandleStateRequest(stream.id, message.state_request(), now));
      return absl::OkStatus();
    case v1::ClientMessage::kStatePart:
      CarryOut(engine_->HandleStatePart(stream.id, std::move(*message.mutable_state_part()),
                                        std::move(*message.mutable_payload()), now));
      return absl::OkStatus();
    case v1::ClientMessage::kHandover:
      CarryOut(engine_->HandleHandover(stream.id, std::move(*message.mutable_handover()),
                                       std::move(*message.mutable_payload()), now));
      return absl::OkStatus();
    case v1::ClientMessage::kHandoverAck:
      CarryOut(engine_->HandleHandoverAck(stream.id, message.handover_ack(), now));
      return absl::OkStatus();
    case v1::ClientMessage::kLeave:
      CarryOut(engine_->HandleLeave(stream.id, message.leave(), now));
      return absl::OkStatus();
    default:
      return absl::UnimplementedError(message.ShortDebugString());
  }
}

void SimulatedAggregator::ReceiveEnd(const std::shared_ptr<SimulatedStream>& stream) {
  inbox_.Receive([this, stream] { TakeEnd(stream); });
}

void SimulatedAggregator::TakeEnd(const std::shared_ptr<SimulatedStream>& stream) {
  if (streams_.erase(stream->id) == 0 || engine_ == nullptr) return;
  // The worker, if it lives, learns of it from the network, and not that all is well.
  CarryOut(engine_->HandleClosed(stream->id));
}

void SimulatedAggregator::RunLater(ExchangeTask task) {
  const absl::Duration delay = choices_.Between(absl::Microseconds(10), absl::Milliseconds(3));
  network_->events().After(delay, [this, life = life_, task = std::move(task)] {
    if (life != life_) return;
    const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, *backend_);
    TALLY_CHECK(outcome.ok(), outcome.status().ToString());
    CarryOut(engine_->HandleOutcome(*outcome, network_->events().now()));
  });
}

void SimulatedAggregator::CarryOut(Actions actions) {
  struct Carrier {
    SimulatedAggregator& self;

    using Receive = std::function<void(SimulatedWorker&, const SimulatedStream&)>;
    void Send(StreamId id, Receive receive) const {
      const auto found = self.streams_.find(id);
      if (found == self.streams_.end()) return;
      const std::shared_ptr<SimulatedStream> stream = found->second;
      self.network_->SendDown(stream, [stream, receive] { receive(*stream->worker, *stream); });
    }
    void operator()(AcceptStream& accept) const {
      SimulatedStream& stream = *self.streams_.at(accept.stream);
      stream.contributions =
          std::make_unique<ContributionReader>(accept.description, accept.member, self.backend_);
      stream.replays =
          std::make_unique<ReplayReader>(accept.description, accept.member, self.backend_);
      Send(accept.stream,
           [welcome = accept.welcome](SimulatedWorker& worker, const SimulatedStream& at) {
             worker.ReceiveWelcome(at, welcome);
           });
    }
    void operator()(const SendControl& send) const {
      Send(send.stream,
           [message = send.message](SimulatedWorker& worker, const SimulatedStream& at) {
             worker.ReceiveControl(at, message);
           });
    }
    void operator()(const SendResult& send) const {
      for (const StreamId stream : send.streams) {
        Send(stream, [result = send.result](SimulatedWorker& worker, const SimulatedStream& at) {
          worker.ReceiveResult(at, *result);
        });
      }
    }
    void operator()(const SendSnapshot& send) const {
      Send(send.stream,
           [snapshot = send.snapshot](SimulatedWorker& worker, const SimulatedStream& at) {
             worker.ReceiveSnapshot(at, *snapshot);
           });
    }
    void operator()(const Announce&) const {}
    void operator()(const CloseStream& close) const {
      Send(close.stream,
           [status = close.status](SimulatedWorker& worker, const SimulatedStream& at) {
             worker.ReceiveRefusal(at, status);
           });
      const auto found = self.streams_.find(close.stream);
      if (found == self.streams_.end()) return;
      const std::shared_ptr<SimulatedStream> stream = found->second;
      self.streams_.erase(found);
      self.network_->SendDown(stream, [stream, status = close.status] {
        stream->broken = true;
        stream->worker->LoseStream(*stream, status);
      });
    }
    void operator()(Compute& compute) const { self.RunLater(std::move(compute.task)); }
  };
  for (Action& action : actions) absl::visit(Carrier{*this}, action);
}

}  // namespace tally
