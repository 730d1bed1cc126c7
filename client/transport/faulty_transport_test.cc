#include "client/transport/faulty_transport.h"

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Writes down what it is told, and cuts by closing.
class RecordingTransport final : public Transport {
 public:
  struct Record {
    Mutex mutex;
    CondVar changed;
    std::vector<std::string> sent ABSL_GUARDED_BY(mutex);
    int num_cuts ABSL_GUARDED_BY(mutex) = 0;
  };
  explicit RecordingTransport(Record* record) : record_(*record) {}

  void Start(Events*) override {}
  void Open(size_t) override {}
  void Cut(size_t) override {
    MutexLock lock(&record_.mutex);
    ++record_.num_cuts;
    record_.changed.NotifyAll();
  }
  void Send(size_t, OutboundFrame frame) override {
    MutexLock lock(&record_.mutex);
    record_.sent.push_back(frame.head);
    record_.changed.NotifyAll();
  }
  void Shutdown() override {}

 private:
  Record& record_;
};

OutboundFrame FrameOf(const std::string& head) { return {head, {}, nullptr}; }

class FaultyTransportTest : public testing::Test {
 protected:
  std::unique_ptr<Transport> Make(const FaultPlan& plan) {
    auto transport = MakeFaultyTransport(std::make_unique<RecordingTransport>(&record_), plan, 2);
    transport->Start(nullptr);
    transport->Open(0);
    return transport;
  }
  RecordingTransport::Record record_;
};

TEST_F(FaultyTransportTest, CutsStreamsAgainAndAgain) {
  const auto transport = Make({.seed = 1, .cut = absl::Milliseconds(1)});
  MutexLock lock(&record_.mutex);
  while (record_.num_cuts < 3) record_.changed.Wait(&record_.mutex);
}

TEST_F(FaultyTransportTest, SendsLateAndInOrder) {
  const auto transport = Make({.seed = 1, .delay = absl::Milliseconds(5)});
  for (const char* head : {"a", "b", "c", "d"}) transport->Send(0, FrameOf(head));
  MutexLock lock(&record_.mutex);
  while (record_.sent.size() < 4) record_.changed.Wait(&record_.mutex);
  EXPECT_THAT(record_.sent, ElementsAre("a", "b", "c", "d"));
}

TEST_F(FaultyTransportTest, WhatIsLateForAStreamDoesNotComeIntoTheNext) {
  const auto transport = Make({.seed = 1, .delay = absl::Hours(1)});
  transport->Send(0, FrameOf("old"));
  transport->Open(0);
  transport->Shutdown();
  MutexLock lock(&record_.mutex);
  EXPECT_THAT(record_.sent, IsEmpty());
}

TEST_F(FaultyTransportTest, KillsItsProcess) {
  EXPECT_EXIT(
      {
        const auto transport = Make({.seed = 1, .kill = absl::Milliseconds(1)});
        absl::SleepFor(absl::Minutes(1));
      },
      testing::KilledBySignal(SIGKILL), "");
}

}  // namespace
}  // namespace tally
