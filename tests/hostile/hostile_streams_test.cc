// Streams that break off, and contributions that come again: what was sent whole counts once, and
// the rest costs nothing.
#include <string>

#include "absl/types/optional.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/raw_worker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST_F(HostileTest, AStreamThatIsCutInsideAPayloadCostsNothing) {
  ContributeWithoutThird();
  third_->stream().Send(third_->Contribution(0, 99).Slices(kSliceBytes).front());
  third_->stream().Cancel();
  EXPECT_THAT(third_->stream().Finish(), StatusIs(absl::StatusCode::kCancelled));
  third_->Connect();
  EXPECT_TRUE(third_->AwaitWelcome().has_value());
  ExpectRoundsGoOn();
}

TEST_F(HostileTest, AStreamThatEndsInsideAPayloadCostsNothing) {
  ContributeWithoutThird();
  third_->stream().Send(third_->Contribution(0, 99).Slices(kSliceBytes).front());
  third_->stream().CloseSending();
  EXPECT_THAT(third_->stream().Finish(), IsOk());
  third_->Connect();
  EXPECT_TRUE(third_->AwaitWelcome().has_value());
  ExpectRoundsGoOn();
}

TEST_F(HostileTest, ARepeatIsSummedOnce) {
  const TestContribution contribution = first_->Contribution(0, 1);
  for (int i = 0; i < 3; ++i) first_->Send(contribution);
  second_->Contribute(0, 2);
  third_->Contribute(0, 30);
  ExpectResult(0, 11);
  const absl::StatusOr<v1::JobStatus> status = GetStatus();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->contributions_offered(), 6u);
  EXPECT_EQ(status->contributions_counted(), 6u);
}

TEST_F(HostileTest, ARepeatAfterTheRoundIsAnsweredAgain) {
  const TestContribution contribution = first_->Contribution(0, 1);
  first_->Send(contribution);
  second_->Contribute(0, 2);
  third_->Contribute(0, 30);
  ExpectResult(0, 11);
  first_->Send(contribution);
  absl::optional<v1::ServerMessage> answer = first_->stream().Receive();
  while (answer.has_value() && answer->has_notice()) answer = first_->stream().Receive();
  ASSERT_TRUE(answer.has_value() && answer->has_result());
  EXPECT_EQ(answer->result().chunk(), 0u);
  EXPECT_EQ(answer->result().round(), 1u);
}

TEST_F(HostileTest, OtherBytesForTheSameRoundAreRefusedAndTheFirstOnesCount) {
  ContributeWithoutThird();
  third_->Contribute(0, 30);
  third_->Contribute(1, 1);
  third_->Contribute(1, 2);
  EXPECT_THAT(third_->AwaitRefusal(),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       AllOf(HasSubstr("chunk 1, round 0: `payload_digest` = "),
                             HasSubstr("as in this worker's first contribution"))));
  third_->Connect();
  first_->Contribute(1, 3);
  second_->Contribute(1, 5);
  ExpectResult(1, 3);
}

}  // namespace
}  // namespace tally
