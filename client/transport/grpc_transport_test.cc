#include "client/transport/grpc_transport.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/mutex.h"
#include "client/outbound_frame.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/aggregation.grpc.pb.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Far more than any event takes; a test that waits so long has failed.
constexpr absl::Duration kPatience = absl::Seconds(30);

using ServerStream = grpc::ServerReaderWriter<v1::ServerMessage, v1::ClientMessage>;

// An aggregator whose streams are served by a function, on a port of its own.
class FakeAggregator final : public v1::Aggregation::Service {
 public:
  explicit FakeAggregator(std::function<grpc::Status(ServerStream&)> serve)
      : serve_(std::move(serve)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  // Cuts all streams.
  void Stop() { server_->Shutdown(std::chrono::system_clock::now()); }

 private:
  grpc::Status Exchange(grpc::ServerContext*, ServerStream* stream) override {
    return serve_(*stream);
  }

  const std::function<grpc::Status(ServerStream&)> serve_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// Events, in the order in which they came.
class Recorder final : public Transport::Events {
 public:
  struct Event {
    size_t aggregator = 0;
    bool closed = false;
    v1::ServerMessage message;
    absl::Status status;
  };

  void OnMessage(size_t aggregator, v1::ServerMessage message) override {
    Add({aggregator, false, std::move(message), absl::OkStatus()});
  }
  void OnClosed(size_t aggregator, const absl::Status& status) override {
    Add({aggregator, true, {}, status});
  }

  // Waits for the next event.
  Event Next() {
    const absl::Time deadline = absl::Now() + kPatience;
    MutexLock lock(&mutex_);
    while (events_.empty() && absl::Now() < deadline) came_.WaitFor(&mutex_, kPatience);
    if (events_.empty()) return {0, true, {}, absl::DeadlineExceededError("no event came")};
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  size_t num_waiting() {
    MutexLock lock(&mutex_);
    return events_.size();
  }

 private:
  void Add(Event event) {
    MutexLock lock(&mutex_);
    events_.push_back(std::move(event));
    came_.NotifyAll();
  }

  Mutex mutex_;
  CondVar came_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
};

OutboundFrame HelloFrame(const std::string& job) {
  v1::ClientMessage message;
  message.mutable_hello()->set_job(job);
  return CutIntoFrames(message, nullptr)[0];
}

OutboundFrame LeaveFrame() {
  v1::ClientMessage message;
  message.mutable_leave();
  return CutIntoFrames(message, nullptr)[0];
}

// Answers every message with a Welcome from whoever the Hello's job or the payload's size names;
// ends with OK when the client has.
grpc::Status Echo(ServerStream& stream) {
  v1::ClientMessage message;
  while (stream.Read(&message) && !message.has_leave()) {
    v1::ServerMessage answer;
    answer.mutable_welcome()->set_aggregator(
        message.has_hello() ? message.hello().job() : absl::StrCat(message.payload().size()));
    answer.set_payload(message.payload());
    stream.Write(answer);
  }
  return grpc::Status::OK;
}

TEST(GrpcTransportTest, MessagesGoBothWaysInOrderUntilTheAggregatorEndsTheStream) {
  FakeAggregator aggregator(Echo);
  Recorder recorder;
  const std::unique_ptr<Transport> transport = CreateGrpcTransport({aggregator.address()});
  transport->Start(&recorder);
  transport->Open(0);
  for (int i = 0; i < 20; ++i) transport->Send(0, HelloFrame(absl::StrCat("job-", i)));
  transport->Send(0, LeaveFrame());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(recorder.Next().message.welcome().aggregator(), absl::StrCat("job-", i));
  }
  const Recorder::Event last = recorder.Next();
  EXPECT_TRUE(last.closed);
  EXPECT_THAT(last.status, IsOk());
}

TEST(GrpcTransportTest, PayloadsArriveWholeAndAreLetGoOf) {
  FakeAggregator aggregator(Echo);
  Recorder recorder;
  const std::unique_ptr<Transport> transport = CreateGrpcTransport({aggregator.address()});
  transport->Start(&recorder);
  transport->Open(0);
  Buffer bytes((size_t{1} << 20) + 5);
  for (size_t i = 0; i < bytes.size(); ++i) bytes.data()[i] = static_cast<uint8_t>(i % 251);
  auto payload = std::make_shared<const Buffer>(std::move(bytes));
  v1::ClientMessage message;
  message.mutable_contribution()->set_chunk(1);
  std::string sent(reinterpret_cast<const char*>(payload->data()), payload->size());
  const std::weak_ptr<const Buffer> watch = payload;
  for (OutboundFrame& frame : CutIntoFrames(message, payload)) {
    transport->Send(0, std::move(frame));
  }
  payload.reset();
  std::string received;
  while (received.size() < sent.size()) {
    const Recorder::Event event = recorder.Next();
    ASSERT_FALSE(event.closed) << event.status;
    received += event.message.payload();
  }
  EXPECT_TRUE(received == sent);
  transport->Shutdown();
  EXPECT_TRUE(watch.expired());
}

TEST(GrpcTransportTest, RefusalsCodeAndWordsEndTheStream) {
  FakeAggregator aggregator([](ServerStream&) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "`hello.seed` = 1, must be 2");
  });
  Recorder recorder;
  const std::unique_ptr<Transport> transport = CreateGrpcTransport({aggregator.address()});
  transport->Start(&recorder);
  transport->Open(0);
  EXPECT_THAT(recorder.Next().status,
              StatusIs(absl::StatusCode::kInvalidArgument, "`hello.seed` = 1, must be 2"));
}

TEST(GrpcTransportTest, NobodyThereIsUnavailableInTheNetworksWords) {
  std::string address;
  {
    FakeAggregator aggregator(Echo);
    address = aggregator.address();
    aggregator.Stop();
  }
  Recorder recorder;
  const std::unique_ptr<Transport> transport = CreateGrpcTransport({address});
  transport->Start(&recorder);
  transport->Open(0);
  transport->Send(0, HelloFrame("bert"));
  const Recorder::Event event = recorder.Next();
  EXPECT_TRUE(event.closed);
  EXPECT_THAT(event.status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("connect")));
}

TEST(GrpcTransportTest, OpensAnotherStreamAfterOneWasLost) {
  FakeAggregator aggregator([](ServerStream& stream) {
    v1::ClientMessage message;
    stream.Read(&message);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, message.hello().job());
  });
  Recorder recorder;
  const std::unique_ptr<Transport> transport = CreateGrpcTransport({aggregator.address()});
  transport->Start(&recorder);
  for (const std::string job : {"first", "second"}) {
    transport->Open(0);
    transport->Send(0, HelloFrame(job));
    EXPECT_THAT(recorder.Next().status, StatusIs(absl::StatusCode::kUnavailable, job));
  }
  transport->Send(0, HelloFrame("to nobody"));
  EXPECT_EQ(recorder.num_waiting(), 0u);
}

TEST(GrpcTransportTest, StreamsToSeveralAggregatorsAreIndependent) {
  FakeAggregator first(Echo);
  FakeAggregator second(Echo);
  Recorder recorder;
  const std::unique_ptr<Transport> transport =
      CreateGrpcTransport({first.address(), second.address()});
  transport->Start(&recorder);
  transport->Open(0);
  transport->Open(1);
  transport->Send(1, HelloFrame("one"));
  EXPECT_EQ(recorder.Next().aggregator, 1u);
  second.Stop();
  const Recorder::Event lost = recorder.Next();
  EXPECT_TRUE(lost.closed);
  EXPECT_EQ(lost.aggregator, 1u);
  transport->Send(0, HelloFrame("zero"));
  EXPECT_EQ(recorder.Next().message.welcome().aggregator(), "zero");
}

TEST(GrpcTransportTest, ShutdownCutsStreamsAndSilencesThem) {
  FakeAggregator aggregator(Echo);
  Recorder recorder;
  const std::unique_ptr<Transport> transport = CreateGrpcTransport({aggregator.address()});
  transport->Start(&recorder);
  transport->Open(0);
  transport->Send(0, HelloFrame("bert"));
  EXPECT_FALSE(recorder.Next().closed);
  transport->Shutdown();
  transport->Open(0);
  transport->Send(0, HelloFrame("bert"));
  transport->Shutdown();
  EXPECT_EQ(recorder.num_waiting(), 0u);
}

// A server that answers any call with one message of these bytes.
class RawServer final : public grpc::CallbackGenericService {
 public:
  explicit RawServer(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    message_ = grpc::ByteBuffer(&slice, 1);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  class Reactor final : public grpc::ServerGenericBidiReactor {
   public:
    explicit Reactor(const grpc::ByteBuffer* message) { StartWrite(message); }
    void OnDone() override { delete this; }
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
  };

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Reactor(&message_);
  }

  grpc::ByteBuffer message_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST(GrpcTransportTest, BytesThatAreNoMessageEndTheStream) {
  RawServer server("\xff\xff\xff");
  Recorder recorder;
  const std::unique_ptr<Transport> transport = CreateGrpcTransport({server.address()});
  transport->Start(&recorder);
  transport->Open(0);
  EXPECT_THAT(recorder.Next().status,
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("tally.v1.ServerMessage")));
}

}  // namespace
}  // namespace tally
