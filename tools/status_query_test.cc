#include "tools/status_query.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/aggregation.grpc.pb.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Knows the job "bert", keeps silent about "slow", and knows no other.
class FakeAggregator final : public v1::Aggregation::Service {
 public:
  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest* request,
                         v1::GetStatusResponse* response) override {
    if (request->job() == "slow") {
      released_.WaitForNotification();
      return grpc::Status::OK;
    }
    if (!request->job().empty() && request->job() != "bert") {
      return {grpc::StatusCode::NOT_FOUND, "`job` = \"" + request->job() + "\""};
    }
    response->set_aggregator("agg-0");
    response->add_jobs()->set_job("bert");
    return grpc::Status::OK;
  }

  void Release() { released_.Notify(); }

 private:
  absl::Notification released_;
};

class StatusQueryTest : public testing::Test {
 protected:
  StatusQueryTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&aggregator_);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  ~StatusQueryTest() override {
    aggregator_.Release();
    server_->Shutdown();
  }

  FakeAggregator aggregator_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

TEST_F(StatusQueryTest, ReturnsTheAnswer) {
  for (const char* job : {"", "bert"}) {
    SCOPED_TRACE(job);
    const absl::StatusOr<v1::GetStatusResponse> status =
        QueryStatus(address_, job, absl::Seconds(30));
    ASSERT_THAT(status, IsOk());
    EXPECT_EQ(status->aggregator(), "agg-0");
    EXPECT_EQ(status->jobs(0).job(), "bert");
  }
}

TEST_F(StatusQueryTest, HandsOnTheAggregatorsErrorWithItsAddress) {
  EXPECT_THAT(QueryStatus(address_, "gpt", absl::Seconds(30)),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(address_), HasSubstr("`job` = \"gpt\""))));
}

TEST_F(StatusQueryTest, GivesUpAtTheDeadline) {
  EXPECT_THAT(QueryStatus(address_, "slow", absl::Milliseconds(100)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr(address_)));
}

TEST(StatusQueryWithoutServerTest, NamesTheAddressWhereNobodyListens) {
  // A relative path: that of the test's own directory is too long for a socket.
  const std::string address = "unix:nobody";
  EXPECT_THAT(QueryStatus(address, "", absl::Seconds(30)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(address)));
}

}  // namespace
}  // namespace tally
