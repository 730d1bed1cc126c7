#include "aggregator/server/dispatcher.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "aggregator/server/frames.h"
#include "base/logging.h"
#include "codecs/duration.h"

namespace tally {
namespace {

constexpr absl::Duration kTickInterval = absl::Milliseconds(100);
// Between two ticks.
constexpr absl::Duration kShortestPause = absl::Milliseconds(1);

}  // namespace

Dispatcher::Dispatcher(EngineOptions options, std::unique_ptr<ExchangeRunner> runner,
                       std::string arithmetic, const Backend* backend, const Clock* clock)
    : arithmetic_(std::move(arithmetic)),
      backend_(backend),
      clock_(clock),
      started_at_(clock->Now()),
      silence_limit_(options.silence_limit),
      engine_(std::move(options)),
      runner_(std::move(runner)),
      ticker_([this] { Tick(); }) {}

Dispatcher::~Dispatcher() {
  {
    const MutexLock lock(&mutex_);
    stopping_ = true;
    tick_soon_.NotifyAll();
  }
  ticker_.join();
}

StreamId Dispatcher::AddStream(StreamSink* sink) {
  const MutexLock lock(&mutex_);
  const StreamId stream = next_stream_++;
  streams_[stream] = {.sink = sink, .deadline = clock_->Now() + silence_limit_};
  return stream;
}

void Dispatcher::RemoveStream(StreamId stream) {
  const MutexLock lock(&mutex_);
  streams_.erase(stream);
  CarryOut(engine_.HandleClosed(stream));
}

void Dispatcher::Take(StreamId stream, WorkerMessage message) {
  const MutexLock lock(&mutex_);
  const auto* const read_by_engine = absl::get_if<v1::ClientMessage>(&message);
  if (read_by_engine != nullptr && read_by_engine->has_hello()) {
    const auto found = streams_.find(stream);
    if (found != streams_.end() && !found->second.closing) {
      found->second.deadline = absl::InfiniteFuture();
    }
  }
  CarryOut(TakeWorkerMessage(engine_, stream, std::move(message), clock_->Now()));
}

void Dispatcher::Offence(StreamId stream, const absl::Status& status) {
  const MutexLock lock(&mutex_);
  CarryOut(engine_.HandleOffence(stream, status));
}

void Dispatcher::EndOfStream(StreamId stream) {
  const MutexLock lock(&mutex_);
  CarryOut(engine_.HandleClosed(stream));
  CloseSink(stream, absl::OkStatus());
}

void Dispatcher::Drain(absl::Duration timeout, std::function<void(uint32_t)> done) {
  const MutexLock lock(&mutex_);
  CarryOut(engine_.StartDraining());
  // The ticking thread ends it, so that `done` never runs inside the caller's own call.
  drains_.push_back({clock_->Now() + timeout, std::move(done)});
}

v1::GetStatusResponse Dispatcher::Status(const std::string& job) const {
  const MutexLock lock(&mutex_);
  const absl::Time now = clock_->Now();
  v1::GetStatusResponse status = engine_.Status(job, now);
  *status.mutable_uptime() = EncodeDuration(now - started_at_);
  status.set_backend(arithmetic_);
  return status;
}

void Dispatcher::CarryOut(Actions actions) {
  struct Carrier {
    Dispatcher* self;

    StreamSink* Find(StreamId stream) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
      const auto found = self->streams_.find(stream);
      return found == self->streams_.end() ? nullptr : found->second.sink;
    }
    void operator()(AcceptStream& accept) const {
      StreamSink* const sink = Find(accept.stream);
      if (sink == nullptr) return;
      LogInfo(absl::StrCat("job `", accept.description->job, "`, run ", accept.description->run,
                           ": worker `", accept.member.worker, "`/", accept.member.incarnation,
                           " is here"));
      sink->Accept(accept.description, accept.member, accept.max_queued_bytes);
      v1::ServerMessage message;
      *message.mutable_welcome() = std::move(accept.welcome);
      sink->Send({EncodeMessage(message)});
    }
    void operator()(const SendControl& send) const {
      if (StreamSink* const sink = Find(send.stream)) sink->Send({EncodeMessage(send.message)});
    }
    void operator()(const SendResult& send) const {
      const std::vector<grpc::ByteBuffer> frames = EncodeResult(*send.result);
      for (const StreamId stream : send.streams) {
        if (StreamSink* const sink = Find(stream)) sink->Send(frames);
      }
    }
    void operator()(const SendSnapshot& send) const {
      if (StreamSink* const sink = Find(send.stream)) sink->Send(EncodeSnapshot(*send.snapshot));
    }
    void operator()(const Announce& announce) const { LogInfo(announce.text); }
    void operator()(const CloseStream& close) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
      LogWarning(absl::StrCat("closing a stream: ", close.status.ToString()));
      self->CloseSink(close.stream, close.status);
    }
    void operator()(Compute& compute) const {
      Dispatcher* const dispatcher = self;
      dispatcher->runner_->Submit(
          std::move(compute.task),
          [dispatcher](const ExchangeTask& task, const absl::StatusOr<ExchangeOutcome>& outcome) {
            dispatcher->TakeOutcome(task, outcome);
          });
    }
  };
  for (Action& action : actions) absl::visit(Carrier{this}, action);
  if (engine_.next_deadline() < next_tick_) tick_soon_.NotifyAll();
}

void Dispatcher::CloseSink(StreamId stream, const absl::Status& status) {
  const auto found = streams_.find(stream);
  if (found == streams_.end() || found->second.closing) return;
  found->second.closing = true;
  found->second.deadline = clock_->Now() + silence_limit_;
  found->second.sink->Close(status);
}

void Dispatcher::EnforceDeadlines() {
  const absl::Time now = clock_->Now();
  std::vector<StreamId> mute;
  for (auto& [id, stream] : streams_) {
    if (now < stream.deadline) continue;
    if (stream.closing) {
      stream.deadline = absl::InfiniteFuture();
      stream.sink->Abort();
    } else {
      mute.push_back(id);
    }
  }
  for (const StreamId stream : mute) {
    CarryOut(engine_.HandleOffence(
        stream, absl::DeadlineExceededError(absl::StrCat("`hello` did not come, must come within ",
                                                         absl::FormatDuration(silence_limit_),
                                                         " of the stream's start"))));
  }
}

void Dispatcher::TakeOutcome(const ExchangeTask& task,
                             const absl::StatusOr<ExchangeOutcome>& outcome) {
  const MutexLock lock(&mutex_);
  if (outcome.ok()) {
    CarryOut(engine_.HandleOutcome(*outcome, clock_->Now()));
  } else {
    LogError(outcome.status().ToString());
    CarryOut(engine_.HandleComputeFailure(task.job_serial, outcome.status()));
  }
}

std::vector<std::function<void()>> Dispatcher::FinishedDrains() {
  if (drains_.empty()) return {};
  const absl::Time now = clock_->Now();
  const bool drained = engine_.drained();
  const auto unfinished = static_cast<uint32_t>(engine_.exchanges_under_way());
  bool stop = false;
  for (PendingDrain& drain : drains_) {
    if (drain.unfinished.has_value() || (!drained && now < drain.deadline)) continue;
    drain.unfinished = unfinished;
    stop = true;
  }
  if (stop) StopStreams();
  std::vector<std::function<void()>> finished;
  std::vector<PendingDrain> pending;
  for (PendingDrain& drain : drains_) {
    if (!drain.unfinished.has_value() || (!streams_.empty() && now < drain.deadline)) {
      pending.push_back(std::move(drain));
      continue;
    }
    finished.push_back([done = std::move(drain.done), count = *drain.unfinished] { done(count); });
  }
  drains_ = std::move(pending);
  return finished;
}

void Dispatcher::StopStreams() {
  const absl::Status status =
      absl::UnavailableError("the aggregator has drained and is going away");
  CarryOut(engine_.Stop(status));
  std::vector<StreamId> mute;
  for (const auto& [id, stream] : streams_) mute.push_back(id);
  for (const StreamId stream : mute) CloseSink(stream, status);
}

void Dispatcher::Tick() {
  while (true) {
    std::vector<std::function<void()>> finished;
    {
      const MutexLock lock(&mutex_);
      if (stopping_) return;
      next_tick_ = std::min(clock_->Now() + kTickInterval, engine_.next_deadline());
      tick_soon_.WaitFor(&mutex_, std::max(next_tick_ - clock_->Now(), kShortestPause));
      if (stopping_) return;
      CarryOut(engine_.HandleTick(clock_->Now()));
      EnforceDeadlines();
      finished = FinishedDrains();
    }
    for (const std::function<void()>& done : finished) done();
  }
}

}  // namespace tally
