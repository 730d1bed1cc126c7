#include "aggregator/worker_message.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/variant.h"
#include "aggregator/job_description.h"
#include "codecs/layout.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

class WorkerMessageReaderTest : public testing::Test {
 protected:
  static v1::ClientMessage Hello() {
    v1::ClientMessage message;
    *message.mutable_hello() = HelloBuilder().Build();
    return message;
  }
  static bool IsHeartbeat(const WorkerMessage& message) {
    const auto* const read_by_engine = absl::get_if<v1::ClientMessage>(&message);
    return read_by_engine != nullptr && read_by_engine->has_heartbeat();
  }

  WorkerMessageReader reader_{FastestHostBackend()};
};

TEST_F(WorkerMessageReaderTest, BeginsWithOneHello) {
  v1::ClientMessage heartbeat;
  heartbeat.mutable_heartbeat();
  EXPECT_THAT(reader_.Read(heartbeat),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be `hello`")));
  ASSERT_THAT(reader_.Read(Hello()), IsOk());
  EXPECT_THAT(reader_.Read(heartbeat), IsOk());
  EXPECT_THAT(reader_.Read(Hello()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must come once, first")));
}

TEST_F(WorkerMessageReaderTest, RefusesWhatIsNoMessage) {
  ASSERT_THAT(reader_.Read(Hello()), IsOk());
  EXPECT_THAT(reader_.Read(v1::ClientMessage()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`kind` must be set")));
  v1::ClientMessage long_winded;
  long_winded.mutable_heartbeat();
  long_winded.set_payload(std::string(kMaxSliceBytes + 1, 'x'));
  EXPECT_THAT(reader_.Read(std::move(long_winded)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`payload` has")));
}

TEST_F(WorkerMessageReaderTest, SlicesAreSignsOfLifeUntilTheContributionIsWhole) {
  const v1::Hello hello = HelloBuilder().Build();
  ASSERT_THAT(reader_.Read(Hello()), IsOk());
  reader_.Accept(std::make_shared<const JobDescription>(JobDescription{
                     .job = hello.job(),
                     .run = hello.run(),
                     .layout = *Layout::Create({{.name = "weights", .num_elements = 512}}, 512),
                     .aggregators = {"agg-0"}}),
                 {hello.member().worker(), hello.member().incarnation()});
  const TestContribution contribution =
      MakeContribution(hello, /*chunk=*/0, /*round=*/0, /*prev_chain=*/0, DenseFloat32(),
                       DensePayload(std::vector<float>(512, 0.5f)));
  const std::vector<v1::ClientMessage> slices = contribution.Slices(1'024);
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_TRUE(IsHeartbeat(*reader_.Read(slices[0])));
  const absl::StatusOr<WorkerMessage> whole = reader_.Read(slices[1]);
  ASSERT_THAT(whole, IsOk());
  EXPECT_TRUE(absl::holds_alternative<StagedContribution>(*whole));
}

// A stream that was refused may have more under way; its end is too.
TEST_F(WorkerMessageReaderTest, OfAStreamThatIsNotAcceptedNobodyWantsPayloads) {
  ASSERT_THAT(reader_.Read(Hello()), IsOk());
  v1::ClientMessage contribution;
  contribution.mutable_contribution();
  EXPECT_TRUE(IsHeartbeat(*reader_.Read(contribution)));
  v1::ClientMessage replay;
  replay.mutable_replay();
  EXPECT_TRUE(IsHeartbeat(*reader_.Read(replay)));
}

}  // namespace
}  // namespace tally
