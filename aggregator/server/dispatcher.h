// Where the aggregator's threads meet: the one lock around the engine, and the hands that carry out
// its actions.
#ifndef TALLY_AGGREGATOR_SERVER_DISPATCHER_H_
#define TALLY_AGGREGATOR_SERVER_DISPATCHER_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "aggregator/engine.h"
#include "aggregator/exchange_runner.h"
#include "aggregator/exchange_task.h"
#include "aggregator/worker_message.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "kernels/backend.h"

namespace tally {

// A stream as the dispatcher sees it. Its methods are called with the dispatcher's lock held: they
// only queue.
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  // Contributions may be read from now on. A stream that leaves more than `max_queued_bytes` lying
  // is cut off; 0: no limit. Called at most once, from inside Dispatcher::Take.
  virtual void Accept(std::shared_ptr<const JobDescription> description, const MemberId& member,
                      uint64_t max_queued_bytes) = 0;
  virtual void Send(const std::vector<grpc::ByteBuffer>& frames) = 0;
  // Ends the stream after what is queued: with a Refusal and this status, or OK. Only the first
  // call counts.
  virtual void Close(const absl::Status& status) = 0;
  // Ends the stream now: the peer does not take what is queued.
  virtual void Abort() = 0;
};

// Thread-safe. Events come from the streams' threads, from the arithmetic's threads and from a
// ticking thread of its own; each takes the lock, asks the engine, carries out its actions and
// returns.
class Dispatcher {
 public:
  // `runner` computes exchanges; `arithmetic` says by what means, for people. `backend` checks what
  // workers send. Unowned pointers must outlive the dispatcher.
  Dispatcher(EngineOptions options, std::unique_ptr<ExchangeRunner> runner, std::string arithmetic,
             const Backend* backend, const Clock* clock);
  // Every stream must have been removed.
  ~Dispatcher();

  // Names a new stream, which must say Hello within the silence limit; `sink` must live until
  // RemoveStream.
  StreamId AddStream(StreamSink* sink);
  // The stream is gone; `sink` is not called again.
  void RemoveStream(StreamId stream);

  // What came on the stream; its Hello first.
  void Take(StreamId stream, WorkerMessage message);
  // The stream broke a rule.
  void Offence(StreamId stream, const absl::Status& status);
  // No more messages come from the stream: it is closed.
  void EndOfStream(StreamId stream);

  // Begins no new rounds. Once every round under way is over, closes all streams, and calls `done`
  // with 0 when they have ended; when `timeout` has passed before that, closes them there and then
  // and calls `done` with the number of exchanges cut off. May be called again.
  void Drain(absl::Duration timeout, std::function<void(uint32_t unfinished)> done);

  v1::GetStatusResponse Status(const std::string& job) const;
  const Backend& backend() const { return *backend_; }
  // Where contributions are put together (ExchangeRunner).
  std::shared_ptr<BufferMemory> payload_memory() const { return runner_->payload_memory(); }

 private:
  struct Stream {
    StreamSink* sink;
    // When it must have said Hello or, once it is closing, must have ended.
    absl::Time deadline;
    bool closing = false;
  };
  struct PendingDrain {
    absl::Time deadline;
    std::function<void(uint32_t)> done;
    // Set once the streams have been closed: the exchanges cut off.
    absl::optional<uint32_t> unfinished = {};
  };

  void CarryOut(Actions actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseSink(StreamId stream, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sends away streams that never say Hello, and cuts off those that do not take their last words.
  void EnforceDeadlines() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeOutcome(const ExchangeTask& task, const absl::StatusOr<ExchangeOutcome>& outcome);
  void Tick();
  void StopStreams() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The drains that are over; the caller runs their callbacks without the lock.
  std::vector<std::function<void()>> FinishedDrains() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string arithmetic_;
  const Backend* const backend_;
  const Clock* const clock_;
  const absl::Time started_at_;
  const absl::Duration silence_limit_;

  mutable Mutex mutex_;
  CondVar tick_soon_;
  absl::Time next_tick_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Engine engine_ ABSL_GUARDED_BY(mutex_);
  StreamId next_stream_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<StreamId, Stream> streams_ ABSL_GUARDED_BY(mutex_);
  std::vector<PendingDrain> drains_ ABSL_GUARDED_BY(mutex_);

  const std::unique_ptr<ExchangeRunner> runner_;
  std::thread ticker_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_SERVER_DISPATCHER_H_
