#include "tests/hostile/hostile_fixture.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/grpc_status.h"
#include "base/logging.h"
#include "kernels/host_backends.h"
#include "proto/tally/v1/aggregation.grpc.pb.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr uint32_t kNumChunks = 2;

Layout LargeChunks() {
  absl::StatusOr<Layout> layout =
      Layout::Create({{"weights", kNumChunks * kHostileChunkElements}}, kHostileChunkElements);
  TALLY_CHECK(layout.ok(), layout.status().ToString());
  return *std::move(layout);
}

}  // namespace

HostileRunTest::HostileRunTest(const Layout& layout, uint32_t roster_limit)
    : layout_(layout), roster_limit_(roster_limit) {
  EXPECT_THAT(InitLogging("off"), IsOk());
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Create({.name = "agg-0", .listen = "127.0.0.1:0"}, FastestHostBackend(), &clock_);
  TALLY_CHECK(server.ok(), server.status().ToString());
  server_ = *std::move(server);
  for (RawWorker** worker : {&first_, &second_, &third_}) {
    workers_.push_back(std::make_unique<RawWorker>(
        server_->port(), HelloOf(absl::StrCat("w-", workers_.size())), layout_));
    *worker = workers_.back().get();
    (*worker)->Connect();
  }
  for (const auto& worker : workers_) worker->AwaitStart();
}

v1::Hello HostileRunTest::HelloOf(const std::string& worker) const {
  HelloBuilder builder;
  builder.Worker(worker).ExpectedWorkers(3).WithLayout(layout_);
  if (roster_limit_ != 0) builder.RosterLimit(roster_limit_);
  return builder.Build();
}

absl::StatusOr<v1::JobStatus> HostileRunTest::GetStatus() const {
  const auto stub = v1::Aggregation::NewStub(grpc::CreateChannel(
      absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::GetStatusRequest request;
  request.set_job("job");
  v1::GetStatusResponse response;
  const grpc::Status status = stub->GetStatus(&context, request, &response);
  if (!status.ok()) return FromGrpcStatus(status);
  return response.jobs(0);
}

const RawWorker::Result& HostileRunTest::AwaitSameResult(uint32_t chunk,
                                                         const std::string& participants) {
  const RawWorker::Result& result = first_->AwaitResult(chunk);
  EXPECT_EQ(result.header.participants(), participants);
  for (RawWorker* worker : {second_, third_}) {
    const RawWorker::Result& other = worker->AwaitResult(chunk);
    // The payload's digest stands in the header.
    EXPECT_EQ(other.header_bytes, result.header_bytes);
  }
  return result;
}

HostileTest::HostileTest() : HostileRunTest(LargeChunks()) {
  for (const auto& worker : workers_) worker->Contribute(0, 1);
  ExpectResult(0, 1);
}

void HostileTest::ContributeWithoutThird() {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
}

void HostileTest::ExpectResult(uint32_t chunk, float value) {
  const RawWorker::Result& result = AwaitSameResult(chunk, "\x07");
  EXPECT_EQ(result.values.size(), kHostileChunkElements);
  EXPECT_EQ(std::count(result.values.begin(), result.values.end(), value), kHostileChunkElements);
}

void HostileTest::ExpectRoundsGoOn() {
  EXPECT_THAT(GetStatus(), IsOk());
  third_->Contribute(0, 30);
  ExpectResult(0, 11);
  for (const auto& worker : workers_) worker->Contribute(0, 5);
  for (const auto& worker : workers_) worker->Contribute(1, 6);
  ExpectResult(0, 5);
  ExpectResult(1, 6);
  const absl::StatusOr<v1::JobStatus> status = GetStatus();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->contributions_counted(), 4u * 3);
  EXPECT_EQ(status->contributions_pending(), 0u);
}

}  // namespace tally
