#include "aggregator/server/server.h"

#include <grpcpp/create_channel.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/grpc_status.h"
#include "base/logging.h"
#include "base/simulated_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "kernels/device/device_backend.h"
#include "kernels/device/fake_device.h"
#include "kernels/host_backends.h"
#include "proto/tally/v1/aggregation.grpc.pb.h"
#include "tests/util/hello_builder.h"
#include "tests/util/raw_stream.h"
#include "tests/util/raw_worker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Optional;

// grpc.health.v1.HealthCheckResponse{status}.
constexpr char kServing[] = "\x08\x01";
constexpr char kNotServing[] = "\x08\x02";

ServerOptions Options() { return {.name = "agg-0", .listen = "127.0.0.1:0"}; }

Layout TestLayout() {
  absl::StatusOr<Layout> layout = Layout::Create({{"weights", 1024}}, 512);
  EXPECT_THAT(layout, IsOk());
  return *std::move(layout);
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() { EXPECT_THAT(InitLogging("off"), IsOk()); }

  absl::StatusOr<std::unique_ptr<Server>> Create(const ServerOptions& options) {
    return Server::Create(options, backend_, &clock_);
  }

  void Start(const ServerOptions& options = Options()) {
    absl::StatusOr<std::unique_ptr<Server>> server = Create(options);
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    stub_ = v1::Aggregation::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials()));
  }

  absl::StatusOr<v1::GetStatusResponse> GetStatus(const std::string& job = "") {
    grpc::ClientContext context;
    v1::GetStatusRequest request;
    request.set_job(job);
    v1::GetStatusResponse response;
    const grpc::Status status = stub_->GetStatus(&context, request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }

  absl::StatusOr<uint32_t> Drain(absl::optional<int64_t> deadline_seconds = absl::nullopt) {
    grpc::ClientContext context;
    v1::DrainRequest request;
    if (deadline_seconds.has_value()) request.mutable_deadline()->set_seconds(*deadline_seconds);
    v1::DrainResponse response;
    const grpc::Status status = stub_->Drain(&context, request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response.unfinished();
  }

  // News of the health of a service, from now on.
  std::unique_ptr<RawStream> WatchHealth(const std::string& service) const {
    auto watch = std::make_unique<RawStream>(server_->port(), "/grpc.health.v1.Health/Watch");
    watch->SendBytes(
        absl::StrCat("\x0a", std::string(1, static_cast<char>(service.size())), service));
    watch->CloseSending();
    return watch;
  }

  // Workers w-0, w-1, ... whose run has started.
  std::vector<std::unique_ptr<RawWorker>> StartRun(uint32_t count) {
    std::vector<std::unique_ptr<RawWorker>> workers;
    for (uint32_t i = 0; i < count; ++i) {
      workers.push_back(std::make_unique<RawWorker>(
          server_->port(),
          HelloBuilder().Worker(absl::StrCat("w-", i)).ExpectedWorkers(count).Build(),
          TestLayout()));
      workers.back()->Connect();
      EXPECT_TRUE(workers.back()->AwaitWelcome().has_value());
    }
    for (const auto& worker : workers) worker->AwaitStart();
    return workers;
  }

  // Contributes without anybody to complete the round.
  void BeginRound(RawWorker& worker) {
    worker.Contribute(0, 1);
    while (GetStatus()->jobs(0).contributions_pending() == 0) std::this_thread::yield();
  }

  SimulatedClock clock_;
  const Backend* backend_ = HostBackends().front();
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::Aggregation::Stub> stub_;
};

TEST_F(ServerTest, RefusesBadOptionsByName) {
  const struct {
    const char* message;
    ServerOptions options;
  } kRows[] = {
      {"`name` has 0 bytes, must have 1 to 255", {.name = "", .listen = "127.0.0.1:0"}},
      {"`name` has 256 bytes, must have 1 to 255",
       {.name = std::string(256, 'a'), .listen = "127.0.0.1:0"}},
      {"`listen` = \"\", must be host:port", {.name = "agg-0"}},
      {"`memory_limit` = 1MiB, must be at least 64MiB",
       {.name = "agg-0", .listen = "127.0.0.1:0", .memory_limit_bytes = 1 << 20}},
      {"`window_chunks` = 0, must be at least 1",
       {.name = "agg-0", .listen = "127.0.0.1:0", .window_chunks = 0}},
      {"`num_compute_threads` = 0, must be at least 1",
       {.name = "agg-0", .listen = "127.0.0.1:0", .num_compute_threads = 0}},
      {"`silence_limit` = 0, must be positive",
       {.name = "agg-0", .listen = "127.0.0.1:0", .silence_limit = absl::ZeroDuration()}},
      {"`evict_after` = 0, must be positive",
       {.name = "agg-0", .listen = "127.0.0.1:0", .evict_after = absl::ZeroDuration()}},
      {"`recover_after` = 0, must be positive",
       {.name = "agg-0", .listen = "127.0.0.1:0", .recover_after = absl::ZeroDuration()}},
      {"`minority_after` = 2m, must be at least `evict_after` = 3m",
       {.name = "agg-0", .listen = "127.0.0.1:0", .evict_after = absl::Minutes(3)}},
      {"`forget_after` = -1s, must be positive",
       {.name = "agg-0", .listen = "127.0.0.1:0", .forget_after = absl::Seconds(-1)}},
      {"`drain_timeout` = 0, must be positive",
       {.name = "agg-0", .listen = "127.0.0.1:0", .drain_timeout = absl::ZeroDuration()}},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(Create(row.options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.message)));
  }
}

TEST_F(ServerTest, RefusesAnAddressThatIsInUseOrIsNone) {
  Start();
  const std::string taken = absl::StrCat("127.0.0.1:", server_->port());
  for (const std::string& listen : {taken, std::string("no address")}) {
    EXPECT_THAT(Create({.name = "agg-0", .listen = listen}),
                StatusIs(absl::StatusCode::kUnavailable,
                         HasSubstr(absl::StrCat("`listen` = \"", listen, "\""))));
  }
}

TEST_F(ServerTest, ListensOnAUnixSocketWithoutAPort) {
  // The path of a socket has at most 107 bytes.
  const char* const folder = std::getenv("TEST_TMPDIR");
  ASSERT_EQ(chdir(folder == nullptr ? "/tmp" : folder), 0);
  const absl::StatusOr<std::unique_ptr<Server>> server =
      Create({.name = "agg-0", .listen = "unix:server_test.socket"});
  ASSERT_THAT(server, IsOk());
  EXPECT_EQ((*server)->port(), 0);
}

TEST_F(ServerTest, TellsItsStatus) {
  Start();
  clock_.AdvanceBy(absl::Seconds(5));
  const auto workers = StartRun(1);
  const absl::StatusOr<v1::GetStatusResponse> status = GetStatus("job");
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->aggregator(), "agg-0");
  EXPECT_EQ(status->uptime().seconds(), 5);
  EXPECT_EQ(status->memory_limit_bytes(), Options().memory_limit_bytes / 4 * 3);
  EXPECT_THAT(status->admitted_bytes(), Gt(0u));
  EXPECT_EQ(status->backend(), "scalar");
  EXPECT_FALSE(status->draining());
  ASSERT_EQ(status->jobs_size(), 1);
  EXPECT_EQ(status->jobs(0).job(), "job");
}

TEST_F(ServerTest, StatusOfAnUnknownJobIsNotFound) {
  Start();
  EXPECT_THAT(GetStatus("nobody"), StatusIs(absl::StatusCode::kNotFound,
                                            "`job` = \"nobody\", must be a job that runs here"));
}

TEST_F(ServerTest, PlaysRounds) {
  Start();
  const auto workers = StartRun(3);
  for (const float value : {1.0f, 2.0f}) {
    for (const auto& worker : workers) worker->Contribute(1, value);
    for (const auto& worker : workers) {
      EXPECT_THAT(worker->AwaitResult(1).values, Each(value));
    }
  }
  for (const auto& worker : workers) EXPECT_THAT(worker->Leave(), IsOk());
  while (GetStatus()->jobs_size() > 0) std::this_thread::yield();
}

TEST_F(ServerTest, PlaysRoundsOnADevice) {
  auto owned_device = std::make_unique<FakeDevice>();
  const FakeDevice& device = *owned_device;
  const DeviceBackend backend("fake", std::move(owned_device), backend_, /*max_lanes=*/1);
  backend_ = &backend;
  ServerOptions options = Options();
  options.device_memory_limit_bytes = 64 << 20;
  Start(options);
  EXPECT_EQ(GetStatus()->backend(), "fake (a device that tests pretend to have)");
  {
    const auto workers = StartRun(3);
    for (const auto& worker : workers) worker->Contribute(1, 2.0f);
    for (const auto& worker : workers) {
      EXPECT_THAT(worker->AwaitResult(1).values, Each(2.0f));
    }
  }
  EXPECT_GT(device.num_launches(), 0);
  server_ = nullptr;
}

TEST_F(ServerTest, ASliceOfALargeContributionIsASignOfLife) {
  Start();
  const auto workers = StartRun(1);
  clock_.AdvanceBy(absl::Seconds(10));
  EXPECT_EQ(GetStatus()->jobs(0).members(0).silent_for().seconds(), 10);
  workers[0]->stream().Send(workers[0]->Contribution(0, 1).Slices(100).front());
  while (GetStatus()->jobs(0).members(0).silent_for().seconds() > 0) std::this_thread::yield();
}

TEST_F(ServerTest, AWorkerThatTakesNoAnswersIsNotReadUntilItDoes) {
  constexpr int kRepeats = 5000;
  Start();
  const auto workers = StartRun(1);
  const TestContribution contribution = workers[0]->Contribution(0, 1);
  workers[0]->Send(contribution);
  workers[0]->AwaitResult(0);
  RawStream& stream = workers[0]->stream();
  std::future<void> repeating = std::async(std::launch::async, [&] {
    const v1::ClientMessage repeat = contribution.Slices(1 << 20).front();
    for (int i = 0; i < kRepeats; ++i) stream.Send(repeat);
  });
  EXPECT_THAT(GetStatus(), IsOk());
  for (int i = 0; i < kRepeats; ++i) {
    const absl::optional<v1::ServerMessage> answer = stream.Receive();
    ASSERT_TRUE(answer.has_value() && answer->has_result());
  }
  repeating.get();
  EXPECT_EQ(GetStatus()->jobs(0).contributions_offered(), 1u);
}

TEST_F(ServerTest, ReflectionListsTheService) {
  Start();
  RawStream reflection(server_->port(),
                       "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
  // ServerReflectionRequest{list_services = ""}.
  reflection.SendBytes(std::string("\x3a\x00", 2));
  EXPECT_THAT(reflection.ReceiveBytes(), Optional(HasSubstr("tally.v1.Aggregation")));
}

TEST_F(ServerTest, HealthIsServingUntilItDrains) {
  Start();
  const auto workers = StartRun(2);
  BeginRound(*workers[0]);
  const auto whole = WatchHealth("");
  const auto service = WatchHealth("tally.v1.Aggregation");
  EXPECT_THAT(whole->ReceiveBytes(), Optional(std::string(kServing)));
  EXPECT_THAT(service->ReceiveBytes(), Optional(std::string(kServing)));
  std::future<uint32_t> unfinished =
      std::async(std::launch::async, [this] { return server_->Drain(); });
  EXPECT_THAT(whole->ReceiveBytes(), Optional(std::string(kNotServing)));
  EXPECT_THAT(service->ReceiveBytes(), Optional(std::string(kNotServing)));
  workers[1]->Contribute(0, 1);
  for (const auto& worker : workers) worker->Contribute(1, 1);
  for (const auto& worker : workers) EXPECT_FALSE(worker->AwaitRefusal().ok());
  EXPECT_EQ(unfinished.get(), 0u) << "watchers of health hold nothing up";
}

TEST_F(ServerTest, DrainingLetsTheRoundUnderWayFinishAndThenSaysGoodbye) {
  Start();
  const auto workers = StartRun(2);
  BeginRound(*workers[0]);
  std::future<uint32_t> unfinished =
      std::async(std::launch::async, [this] { return server_->Drain(); });
  while (!GetStatus()->draining()) std::this_thread::yield();
  workers[1]->Contribute(0, 3);
  for (const auto& worker : workers) worker->Contribute(1, 5);
  for (const auto& worker : workers) {
    EXPECT_THAT(worker->AwaitResult(0).values, Each(2));
    EXPECT_THAT(worker->AwaitResult(1).values, Each(5));
    EXPECT_THAT(worker->AwaitRefusal(),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("has drained")));
  }
  EXPECT_EQ(unfinished.get(), 0u);
}

TEST_F(ServerTest, ADrainCallTurnsHealthAndRefusesNewStreams) {
  Start();
  const auto health = WatchHealth("");
  EXPECT_THAT(health->ReceiveBytes(), Optional(std::string(kServing)));
  EXPECT_THAT(Drain(), IsOkAndHolds(0u));
  EXPECT_THAT(health->ReceiveBytes(), Optional(std::string(kNotServing)));
  RawWorker late(server_->port(), HelloBuilder().Build(), TestLayout());
  late.Connect();
  EXPECT_THAT(late.AwaitRefusal(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is draining")));
}

TEST_F(ServerTest, ADrainCallCountsWhatItCutsOffAtItsDeadline) {
  Start();
  const auto workers = StartRun(2);
  BeginRound(*workers[0]);
  EXPECT_THAT(Drain(0), IsOkAndHolds(1u));
  EXPECT_THAT(workers[0]->AwaitRefusal(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ServerTest, RefusesANegativeDrainDeadline) {
  Start();
  EXPECT_THAT(Drain(-1), StatusIs(absl::StatusCode::kInvalidArgument,
                                  "`deadline` = -1s, must not be negative"));
  EXPECT_FALSE(GetStatus()->draining());
}

TEST_F(ServerTest, MayBeDrainedTwice) {
  Start();
  EXPECT_THAT(Drain(), IsOkAndHolds(0u));
  EXPECT_EQ(server_->Drain(), 0u);
}

TEST_F(ServerTest, GoesAwayUnderLiveStreams) {
  Start();
  const auto workers = StartRun(2);
  BeginRound(*workers[0]);
  server_.reset();
  for (const auto& worker : workers) EXPECT_FALSE(worker->stream().Finish().ok());
}

TEST_F(ServerTest, GoesAwayUnderADrainCall) {
  Start();
  const auto workers = StartRun(2);
  BeginRound(*workers[0]);
  std::thread drain([this] { (void)Drain(3600); });
  while (!GetStatus()->draining()) std::this_thread::yield();
  server_.reset();
  drain.join();
}

}  // namespace
}  // namespace tally
