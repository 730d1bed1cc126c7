// One worker's stream, as gRPC drives it.
#ifndef TALLY_AGGREGATOR_SERVER_EXCHANGE_STREAM_H_
#define TALLY_AGGREGATOR_SERVER_EXCHANGE_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "aggregator/server/dispatcher.h"
#include "aggregator/worker_message.h"
#include "base/mutex.h"

namespace tally {

// Reads one message at a time, checks it and hands it to the dispatcher; writes what is queued, one
// frame at a time. While a worker leaves more than kMaxQueuedFrames of its results lying, its
// stream is not read: so a stream holds these, with the payloads that they share, one message as it
// came in and little else. Deletes itself when gRPC is done with it.
class ExchangeStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                             public StreamSink {
 public:
  static constexpr size_t kMaxQueuedFrames = 64;

  // `dispatcher` must outlive the stream; `context` is the call's.
  ExchangeStream(Dispatcher* dispatcher, grpc::CallbackServerContext* context);

  void Accept(std::shared_ptr<const JobDescription> description, const MemberId& member,
              uint64_t max_queued_bytes) override;
  void Send(const std::vector<grpc::ByteBuffer>& frames) override;
  void Close(const absl::Status& status) override;
  void Abort() override;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  // Returns what is wrong with the message: the sender's fault.
  absl::Status TakeMessage();
  // Starts the next write, or ends the stream if that is all.
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Dispatcher* const dispatcher_;
  grpc::CallbackServerContext* const context_;
  const StreamId id_;

  // Of the reading side, which is one thread at a time.
  grpc::ByteBuffer incoming_;
  WorkerMessageReader reader_;

  Mutex mutex_;
  std::deque<grpc::ByteBuffer> outgoing_ ABSL_GUARDED_BY(mutex_);
  uint64_t outgoing_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t max_queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // No read is under way, until the queue is shorter.
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  // Set once no more frames may be queued; how the stream ends.
  absl::optional<absl::Status> closing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_SERVER_EXCHANGE_STREAM_H_
