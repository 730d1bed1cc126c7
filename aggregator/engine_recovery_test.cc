// Who is dead elsewhere while an aggregator reads its past back.
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/engine_driver.h"
#include "tests/util/engine_fixture.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Optional;

// A restarted aggregator, to which the first of two members has come.
class EngineRecoveryTest : public EngineTest {
 protected:
  EngineRecoveryTest() { here_ = driver_->Open(Member(0)); }

  // Has read the result of round 0, of the only chunk.
  v1::Hello Member(int index) const {
    v1::Hello hello = Hello(index, 2)
                          .WithLayout(LayoutOf(200, 256))
                          .Intent(v1::INTENT_MEMBER)
                          .Head(0, 0, /*chain=*/0xabc)
                          .Build();
    v1::ChunkProgress& progress = *hello.mutable_chunks(0);
    progress.mutable_results()->set_first(0);
    progress.mutable_results()->set_last(0);
    v1::Hello::EpochRoster& roster = *hello.add_rosters();
    *roster.add_roster() = EncodeMember({"w-0", 100});
    *roster.add_roster() = EncodeMember({"w-1", 101});
    return hello;
  }
  // Another aggregator has evicted w-1, and w-0 knows.
  void TellThatTheOtherIsDead() {
    v1::Heartbeat heartbeat;
    *heartbeat.add_fences() = EncodeMember({"w-1", 101});
    driver_->Heartbeat(here_, heartbeat);
  }

  StreamId here_ = 0;
};

TEST_F(EngineRecoveryTest, TheDeadAreNotWaitedFor) {
  const auto evicted = HasSubstr("`w-1` was evicted: another aggregator has evicted it");
  EXPECT_THAT(driver_->announcements(), Not(Contains(evicted)));
  EXPECT_THAT(driver_->inbox(here_).needs, IsEmpty()) << "the other one is waited for";
  TellThatTheOtherIsDead();
  EXPECT_THAT(driver_->announcements(), Contains(evicted));
  EXPECT_THAT(driver_->inbox(here_).needs, Not(IsEmpty()));
}

TEST_F(EngineRecoveryTest, TheDeadAreToldWhatCountsWhenThatIsKnown) {
  TellThatTheOtherIsDead();
  const StreamId dead = driver_->Open(Member(1));
  EXPECT_THAT(
      driver_->inbox(dead).closed,
      Optional(StatusIs(absl::StatusCode::kUnavailable,
                        HasSubstr("what counts of it is known when the run has been read"))));
  EXPECT_FALSE(driver_->inbox(dead).welcome.has_value()) << "it comes again";
}

}  // namespace
}  // namespace tally
