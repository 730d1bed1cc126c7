#include "aggregator/server/dispatcher.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aggregator/host_runner.h"
#include "base/logging.h"
#include "base/simulated_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

// A stream whose peer does nothing by itself.
class FakeStream final : public StreamSink {
 public:
  explicit FakeStream(Dispatcher* dispatcher)
      : dispatcher_(dispatcher), id_(dispatcher->AddStream(this)) {}
  ~FakeStream() override { dispatcher_->RemoveStream(id_); }

  void Accept(std::shared_ptr<const JobDescription>, const MemberId&, uint64_t) override {
    Set(&accepted_);
  }
  void Send(const std::vector<grpc::ByteBuffer>&) override {}
  void Close(const absl::Status& status) override {
    {
      const MutexLock lock(&mutex_);
      status_ = status;
    }
    Set(&closed_);
  }
  void Abort() override { Set(&aborted_); }

  StreamId id() const { return id_; }
  bool accepted() { return Get(&accepted_); }
  bool closed() { return Get(&closed_); }
  absl::Status AwaitClose() { return Await(&closed_); }
  void AwaitAbort() { Await(&aborted_).IgnoreError(); }

 private:
  void Set(bool* event) {
    const MutexLock lock(&mutex_);
    *event = true;
    changed_.NotifyAll();
  }
  bool Get(const bool* event) {
    const MutexLock lock(&mutex_);
    return *event;
  }
  absl::Status Await(const bool* event) {
    const MutexLock lock(&mutex_);
    while (!*event) changed_.Wait(&mutex_);
    return status_;
  }

  Dispatcher* const dispatcher_;
  const StreamId id_;
  Mutex mutex_;
  CondVar changed_;
  // Set by the dispatcher's threads, under mutex_.
  bool accepted_ = false;
  bool closed_ = false;
  bool aborted_ = false;
  absl::Status status_;
};

class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() {
    EXPECT_THAT(InitLogging("off"), IsOk());
    dispatcher_ = std::make_unique<Dispatcher>(
        EngineOptions{.name = "agg-0", .silence_limit = absl::Seconds(30)},
        std::make_unique<HostRunner>(HostBackends().front(), 1), "scalar", HostBackends().front(),
        &clock_);
  }

  void SayHello(StreamId stream) {
    v1::ClientMessage message;
    *message.mutable_hello() = HelloBuilder().Build();
    dispatcher_->Take(stream, std::move(message));
  }

  SimulatedClock clock_;
  std::unique_ptr<Dispatcher> dispatcher_;
};

TEST_F(DispatcherTest, AcceptsAStreamThatSaysHello) {
  FakeStream stream(dispatcher_.get());
  SayHello(stream.id());
  EXPECT_TRUE(stream.accepted());
  EXPECT_FALSE(stream.closed());
}

TEST_F(DispatcherTest, SendsAwayAStreamThatNeverSaysHello) {
  FakeStream stream(dispatcher_.get());
  clock_.AdvanceBy(absl::Seconds(30));
  EXPECT_THAT(stream.AwaitClose(),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       "`hello` did not come, must come within 30s of the stream's start"));
}

TEST_F(DispatcherTest, CutsOffAStreamThatDoesNotTakeItsLastWords) {
  FakeStream stream(dispatcher_.get());
  dispatcher_->Offence(stream.id(), absl::InvalidArgumentError("garbage"));
  EXPECT_THAT(stream.AwaitClose(), StatusIs(absl::StatusCode::kInvalidArgument, "garbage"));
  clock_.AdvanceBy(absl::Seconds(30));
  stream.AwaitAbort();
}

TEST_F(DispatcherTest, CutsOffAWorkerThatEndsItsStreamAndTakesNothingMore) {
  FakeStream stream(dispatcher_.get());
  SayHello(stream.id());
  dispatcher_->EndOfStream(stream.id());
  EXPECT_THAT(stream.AwaitClose(), IsOk());
  clock_.AdvanceBy(absl::Seconds(30));
  stream.AwaitAbort();
}

TEST_F(DispatcherTest, TheFirstReasonForClosingStands) {
  FakeStream stream(dispatcher_.get());
  dispatcher_->Offence(stream.id(), absl::InvalidArgumentError("first"));
  dispatcher_->Offence(stream.id(), absl::InvalidArgumentError("second"));
  dispatcher_->EndOfStream(stream.id());
  EXPECT_THAT(stream.AwaitClose(), StatusIs(absl::StatusCode::kInvalidArgument, "first"));
}

TEST_F(DispatcherTest, AnIdleDrainClosesAllStreamsAndIsOverWhenTheyHaveEnded) {
  auto stream = std::make_unique<FakeStream>(dispatcher_.get());
  auto mute = std::make_unique<FakeStream>(dispatcher_.get());
  SayHello(stream->id());
  Mutex mutex;
  CondVar done;
  absl::optional<uint32_t> unfinished;
  dispatcher_->Drain(absl::Hours(1), [&](uint32_t count) {
    const MutexLock lock(&mutex);
    unfinished = count;
    done.NotifyAll();
  });
  for (auto* closing : {&stream, &mute}) {
    EXPECT_THAT((*closing)->AwaitClose(),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("has drained")));
    closing->reset();
  }
  const MutexLock lock(&mutex);
  while (!unfinished.has_value()) done.Wait(&mutex);
  EXPECT_EQ(*unfinished, 0u);
}

TEST_F(DispatcherTest, StatusTellsUptimeAndBackEnd) {
  clock_.AdvanceBy(absl::Milliseconds(2500));
  const v1::GetStatusResponse status = dispatcher_->Status("");
  EXPECT_EQ(status.uptime().seconds(), 2);
  EXPECT_EQ(status.uptime().nanos(), 500'000'000);
  EXPECT_EQ(status.backend(), "scalar");
}

}  // namespace
}  // namespace tally
