#include "tests/simulation/simulated_aggregator.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "aggregator/exchange_task.h"
#include "aggregator/worker_message.h"
#include "base/check.h"
#include "kernels/host_backends.h"
#include "tests/simulation/simulated_worker.h"
#include "tests/util/live_bytes.h"

namespace tally {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);

// What has gone over a wire is not the sender's memory.
SharedBuffer CopyOf(const SharedBuffer& payload) {
  if (payload == nullptr) return nullptr;
  Buffer copy(payload->size());
  std::copy(payload->bytes().begin(), payload->bytes().end(), copy.data());
  return std::make_shared<const Buffer>(std::move(copy));
}

}  // namespace

SimulatedAggregator::SimulatedAggregator(SimulatedNetwork* network, size_t index, uint64_t seed,
                                         uint32_t window_chunks, absl::Duration evict_after)
    : network_(network),
      index_(index),
      window_chunks_(window_chunks),
      evict_after_(evict_after),
      backend_(FastestHostBackend()),
      choices_(seed, /*purpose=*/100 + index),
      inbox_(&network->events()) {
  Start();
}

void SimulatedAggregator::Start() {
  const MemoryOwner owner(index_);
  ++life_;
  EngineOptions options;
  options.name = absl::StrCat("agg-", index_);
  options.instance.set_start_us(
      static_cast<uint64_t>(absl::ToUnixMicros(network_->events().now())));
  options.instance.set_random(choices_.Next());
  options.window_chunks = window_chunks_;
  options.eviction.evict_after = evict_after_;
  options.eviction.minority_after = 4 * evict_after_;
  options.recover_after = evict_after_;
  engine_ = std::make_unique<Engine>(std::move(options));
  Tick(life_);
}

void SimulatedAggregator::Run(const std::function<Actions()>& call) {
  Actions actions = [&] {
    const MemoryOwner owner(index_);
    return call();
  }();
  peak_bytes_ = std::max(peak_bytes_, LiveBytesOf(index_));
  CarryOut(std::move(actions));
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
    if (life == life_) Run([this] { return engine_->StartDraining(); });
  });
}

void SimulatedAggregator::Cut(const std::shared_ptr<SimulatedStream>& stream) {
  network_->Break(stream, absl::UnavailableError("the connection was cut"));
  network_->events().After(choices_.Between(absl::ZeroDuration(), absl::Milliseconds(10)),
                           [this, stream] { ReceiveEnd(stream); });
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
  Run([this] { return engine_->HandleTick(network_->events().now()); });
  network_->events().After(kTick, [this, life] { Tick(life); });
}

void SimulatedAggregator::Receive(const std::shared_ptr<SimulatedStream>& stream,
                                  v1::ClientMessage message) {
  inbox_.Receive([this, stream, message = std::move(message)] {
    if (!stream->broken) Take(stream, message);
  });
}

void SimulatedAggregator::Take(const std::shared_ptr<SimulatedStream>& stream,
                               const v1::ClientMessage& message) {
  const bool is_open = streams_.count(stream->id) > 0;
  if (engine_ == nullptr || (!message.has_hello() && !is_open)) {
    network_->Break(stream, absl::UnavailableError("nobody listens"));
    return;
  }
  if (message.has_hello()) streams_[stream->id] = stream;
  Run([&] {
    if (message.has_hello()) stream->reader = std::make_unique<WorkerMessageReader>(backend_);
    // What arrives lies in the aggregator's memory, wherever it came from.
    absl::StatusOr<WorkerMessage> whole = stream->reader->Read(message);
    return whole.ok() ? TakeWorkerMessage(*engine_, stream->id, *std::move(whole),
                                          network_->events().now())
                      : engine_->HandleOffence(stream->id, whole.status());
  });
}

void SimulatedAggregator::ReceiveEnd(const std::shared_ptr<SimulatedStream>& stream) {
  inbox_.Receive([this, stream] { TakeEnd(stream); });
}

void SimulatedAggregator::TakeEnd(const std::shared_ptr<SimulatedStream>& stream) {
  if (streams_.erase(stream->id) == 0 || engine_ == nullptr) return;
  // The worker, if it lives, learns of it from the network, and not that all is well.
  Run([&] { return engine_->HandleClosed(stream->id); });
}

void SimulatedAggregator::RunLater(ExchangeTask task) {
  const absl::Duration delay = choices_.Between(absl::Microseconds(10), absl::Milliseconds(3));
  network_->events().After(delay, [this, life = life_, task = std::move(task)] {
    if (life != life_) return;
    Run([&] {
      const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, *backend_);
      TALLY_CHECK(outcome.ok(), outcome.status().ToString());
      return engine_->HandleOutcome(*outcome, network_->events().now());
    });
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
      self.network_->SendDown(
          stream, [stream, receive = std::move(receive)] { receive(*stream->worker, *stream); });
    }
    void operator()(AcceptStream& accept) const {
      const MemoryOwner owner(self.index_);
      self.streams_.at(accept.stream)->reader->Accept(accept.description, accept.member);
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
      auto copy = std::make_shared<StoredResult>(*send.result);
      copy->payload = CopyOf(copy->payload);
      for (const StreamId stream : send.streams) {
        Send(stream, [copy](SimulatedWorker& worker, const SimulatedStream& at) {
          worker.ReceiveResult(at, *copy);
        });
      }
    }
    void operator()(const SendSnapshot& send) const {
      Send(send.stream, [snapshot = *send.snapshot, payload = CopyOf(send.snapshot->payload)](
                            SimulatedWorker& worker, const SimulatedStream& at) {
        ResidualSnapshot copy = snapshot;
        copy.payload = payload;
        worker.ReceiveSnapshot(at, copy);
      });
    }
    void operator()(const Announce& news) const { self.announcements_.push_back(news.text); }
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
