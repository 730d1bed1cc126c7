#include "client/transport/grpc_transport.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/grpc_status.h"
#include "base/mutex.h"
#include "codecs/message_frame.h"

namespace tally {
namespace {

constexpr char kExchangeMethod[] = "/tally.v1.Aggregation/Exchange";
// A slice and what stands around it, with room for headers over a full roster.
constexpr int kMaxReceiveBytes = 16 << 20;

grpc::ChannelArguments ArgumentsOfChannel() {
  grpc::ChannelArguments arguments;
  // A host that vanished without a word is noticed after 20 s + 10 s, also while nothing is sent.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Eviction is tuned to workers that are back 2 s after their aggregator. The least time between
  // attempts is also the time that one may take.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  // Channels to one address, of several clients in a process, would share a connection otherwise.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Aggregators stand next to their workers; a web proxy in the environment is not meant for them.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

// A slice that shares the payload's memory and keeps it alive.
grpc::Slice SliceOf(absl::Span<const uint8_t> piece, SharedBuffer payload) {
  return grpc::Slice(
      const_cast<uint8_t*>(piece.data()), piece.size(),  // gRPC only reads what it is given to send
      [](void* owner) { delete static_cast<SharedBuffer*>(owner); },
      new SharedBuffer(std::move(payload)));
}

grpc::ByteBuffer BufferOf(OutboundFrame frame) {
  if (frame.piece.empty()) {
    const grpc::Slice head(frame.head);
    return grpc::ByteBuffer(&head, 1);
  }
  const grpc::Slice slices[] = {grpc::Slice(frame.head),
                                SliceOf(frame.piece, std::move(frame.payload))};
  return grpc::ByteBuffer(slices, 2);
}

// One stream from Start to OnDone. The hold taken in Start lets writes begin outside of reactions;
// it ends with the last read, after which none begins.
class Stream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnStreamMessage(size_t aggregator, v1::ServerMessage message) = 0;
    // The stream's last call; the owner may let go of it.
    virtual void OnStreamDone(size_t aggregator, const absl::Status& status) = 0;
  };

  // `owner` outlives the stream.
  Stream(size_t aggregator, Owner* owner) : aggregator_(aggregator), owner_(owner) {}

  void Start(grpc::GenericStub* stub) {
    stub->PrepareBidiStreamingCall(&context_, kExchangeMethod, grpc::StubOptions(), this);
    AddHold();
    StartRead(&incoming_);
    StartCall();
    MutexLock lock(&mutex_);
    started_ = true;
    WriteNext();
  }

  void Send(OutboundFrame frame) {
    MutexLock lock(&mutex_);
    if (broken_) return;
    queue_.push_back(std::move(frame));
    WriteNext();
  }

  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Break();
      RemoveHold();
      return;
    }
    v1::ServerMessage message;
    grpc::ProtoBufferReader reader(&incoming_);
    bad_frame_.Update(ParseFrame(&reader, &message));
    if (bad_frame_.ok()) {
      owner_->OnStreamMessage(aggregator_, std::move(message));
    } else {
      context_.TryCancel();
    }
    incoming_.Clear();
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Break();
    MutexLock lock(&mutex_);
    writing_ = false;
    outgoing_.Clear();
    WriteNext();
  }

  void OnDone(const grpc::Status& status) override {
    owner_->OnStreamDone(aggregator_, bad_frame_.ok() ? FromGrpcStatus(status)
                                                      : absl::DataLossError(bad_frame_.message()));
  }

 private:
  void Break() {
    MutexLock lock(&mutex_);
    broken_ = true;
    queue_.clear();
  }

  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!started_ || broken_ || writing_ || queue_.empty()) return;
    outgoing_ = BufferOf(std::move(queue_.front()));
    queue_.pop_front();
    writing_ = true;
    StartWrite(&outgoing_);
  }

  const size_t aggregator_;
  Owner* const owner_;
  grpc::ClientContext context_;
  // Used by one reaction after the other.
  grpc::ByteBuffer incoming_;
  absl::Status bad_frame_;

  Mutex mutex_;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // No more writes: the stream has ended or is about to.
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<OutboundFrame> queue_ ABSL_GUARDED_BY(mutex_);
  // What StartWrite is at; gRPC reads it without the lock until OnWriteDone.
  grpc::ByteBuffer outgoing_;
};

class GrpcTransport final : public Transport, private Stream::Owner {
 public:
  explicit GrpcTransport(const std::vector<std::string>& addresses) : streams_(addresses.size()) {
    for (const std::string& address : addresses) {
      stubs_.push_back(std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
          address, grpc::InsecureChannelCredentials(), ArgumentsOfChannel())));
    }
  }
  ~GrpcTransport() override { Shutdown(); }

  void Start(Events* events) override { events_ = events; }

  void Open(size_t aggregator) override {
    Stream::Owner* const owner = this;
    const auto stream = std::make_shared<Stream>(aggregator, owner);
    {
      MutexLock lock(&mutex_);
      if (shut_down_) return;
      streams_[aggregator] = stream;
      ++active_streams_;
    }
    stream->Start(stubs_[aggregator].get());
  }

  void Send(size_t aggregator, OutboundFrame frame) override {
    if (const std::shared_ptr<Stream> stream = StreamTo(aggregator)) {
      stream->Send(std::move(frame));
    }
  }

  void Cut(size_t aggregator) override {
    if (const std::shared_ptr<Stream> stream = StreamTo(aggregator)) stream->Cancel();
  }

  void Shutdown() override {
    MutexLock lock(&mutex_);
    shut_down_ = true;
    for (const std::shared_ptr<Stream>& stream : streams_) {
      if (stream != nullptr) stream->Cancel();
    }
    while (active_streams_ > 0) stream_ended_.Wait(&mutex_);
  }

 private:
  std::shared_ptr<Stream> StreamTo(size_t aggregator) {
    MutexLock lock(&mutex_);
    return streams_[aggregator];
  }

  bool ShutDown() {
    MutexLock lock(&mutex_);
    return shut_down_;
  }

  void OnStreamMessage(size_t aggregator, v1::ServerMessage message) override {
    if (!ShutDown()) events_->OnMessage(aggregator, std::move(message));
  }

  void OnStreamDone(size_t aggregator, const absl::Status& status) override {
    std::shared_ptr<Stream> ended;  // let go of outside the lock
    bool tell = false;
    {
      MutexLock lock(&mutex_);
      ended = std::exchange(streams_[aggregator], nullptr);
      tell = !shut_down_;
    }
    if (tell) events_->OnClosed(aggregator, status);
    ended.reset();
    MutexLock lock(&mutex_);
    --active_streams_;
    stream_ended_.NotifyAll();
  }

  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  Events* events_ = nullptr;

  Mutex mutex_;
  CondVar stream_ended_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
  // Streams whose last event has not returned.
  size_t active_streams_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

std::unique_ptr<Transport> CreateGrpcTransport(const std::vector<std::string>& addresses) {
  return std::make_unique<GrpcTransport>(addresses);
}

}  // namespace tally
