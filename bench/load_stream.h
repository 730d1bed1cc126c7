// A bidirectional stream of raw bytes under full load, for benchmarks.
#ifndef TALLY_BENCH_LOAD_STREAM_H_
#define TALLY_BENCH_LOAD_STREAM_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/buffer.h"
#include "base/mutex.h"
#include "google/protobuf/message_lite.h"

namespace tally {

// Writes what is queued and hands on what arrives. Subclasses queue the next message when an answer
// is there, and call End when they have had enough. Reactions run on gRPC's threads, one at a time.
class LoadStream : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  ~LoadStream() override = default;

  // Opens the stream to `method` ("/package.Service/Method") at `address`.
  void Open(const std::string& address, const std::string& method);
  void Queue(std::vector<grpc::ByteBuffer> frames);
  // No more will be queued; the stream ends when the server agrees.
  void End();
  // Waits for the end of the stream and returns how it ended.
  absl::Status Wait();

 protected:
  virtual void OnMessage(grpc::ByteBuffer& message) = 0;

 private:
  void OnReadDone(bool ok) final;
  void OnWriteDone(bool ok) final;
  void OnDone(const grpc::Status& status) final;
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericStub> stub_;
  grpc::ByteBuffer incoming_;

  Mutex mutex_;
  CondVar done_or_not_;
  std::deque<grpc::ByteBuffer> outgoing_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// Frame of `message` (codecs/message_frame.h) with `size` bytes of `payload` from `offset` on,
// which it shares.
grpc::ByteBuffer FrameWithPayload(const google::protobuf::MessageLite& message,
                                  const SharedBuffer& payload, size_t offset, size_t size);

}  // namespace tally

#endif  // TALLY_BENCH_LOAD_STREAM_H_
