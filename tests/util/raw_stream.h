// A stream to an aggregator on which a test may say whatever it likes.
#ifndef TALLY_TESTS_UTIL_RAW_STREAM_H_
#define TALLY_TESTS_UTIL_RAW_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "base/mutex.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// One call, of Exchange unless said, played step by step: every method waits until its step is
// done, for a minute at most. One thread may send while another receives.
class RawStream final : private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  static constexpr char kExchange[] = "/tally.v1.Aggregation/Exchange";

  // To the server that listens on this port of the loopback.
  explicit RawStream(int port, const std::string& method = kExchange);
  // Cuts the stream off if it has not ended.
  ~RawStream() override;

  // False: the stream has ended.
  bool Send(const v1::ClientMessage& message);
  bool SendBytes(const std::string& bytes);
  // No more messages will come from here.
  void CloseSending();
  // The next message; nothing: the stream has ended.
  absl::optional<v1::ServerMessage> Receive();
  absl::optional<std::string> ReceiveBytes();
  // How the stream ended. Takes what is still coming.
  absl::Status Finish();
  // Drops the connection in the middle of whatever is going on.
  void Cancel();

 private:
  void OnWriteDone(bool ok) override { Done(&write_, ok); }
  void OnWritesDoneDone(bool ok) override { Done(&write_, ok); }
  void OnReadDone(bool ok) override { Done(&read_, ok); }
  void OnDone(const grpc::Status& status) override;

  // Lets the waiting thread go on with the step's outcome.
  void Done(absl::optional<bool>* step, bool ok);
  // Waits for the step's outcome and takes it.
  bool Wait(absl::optional<bool>* step);

  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericStub> stub_;
  grpc::ByteBuffer outgoing_;
  grpc::ByteBuffer incoming_;

  Mutex mutex_;
  CondVar step_done_;
  absl::optional<bool> write_ ABSL_GUARDED_BY(mutex_);
  absl::optional<bool> read_ ABSL_GUARDED_BY(mutex_);
  absl::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
  bool held_ = true;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_RAW_STREAM_H_
