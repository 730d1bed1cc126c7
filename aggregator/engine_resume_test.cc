// Runs that resume where their workers saved them: who is asked for residuals, and what they wait
// for.
#include <limits>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "aggregator/residual_custody.h"
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/engine_driver.h"
#include "tests/util/engine_fixture.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

constexpr uint64_t kSavedChain = 0xabc;

// Two workers that saved one chunk of 200 elements after round 799; w-1 holds its residual.
class EngineResumeTest : public EngineTest {
 protected:
  HelloBuilder Starter(int index, uint64_t first_round) const {
    return Hello(index, 2).WithLayout(LayoutOf(200, 256)).FirstRound(first_round);
  }

  v1::Hello Resumer(int index) const {
    v1::Hello hello = Starter(index, 800).Intent(v1::INTENT_RESUME).Build();
    v1::ChunkProgress& progress = *hello.add_chunks();
    progress.set_chunk(0);
    v1::ChunkProgress::Saved& saved = *progress.mutable_saved();
    saved.mutable_head()->set_round(799);
    saved.mutable_head()->set_chain(kSavedChain);
    saved.set_residual_norm(3);
    saved.set_workers_digest(Roster::Create(0, {{"w-0", 1}, {"w-1", 1}})->WorkersDigest());
    saved.set_holds_residual(index == 1);
    return hello;
  }

  StreamId Resume(int index) { return driver_->Open(Resumer(index)); }

  v1::ResultHeader GenesisAt(StreamId stream) const {
    v1::ResultHeader header;
    const auto& results = driver_->inbox(stream).results;
    EXPECT_FALSE(results.empty());
    if (!results.empty()) header.ParseFromString(results[0]->message.header());
    return header;
  }
};

TEST_F(EngineResumeTest, ARunBeginsWhenItsResidualsAreBack) {
  const StreamId first = Resume(0);
  const StreamId holder = Resume(1);
  EXPECT_THAT(driver_->inbox(first).needs, IsEmpty());
  ASSERT_THAT(driver_->inbox(holder).needs, SizeIs(1));
  EXPECT_EQ(driver_->inbox(holder).needs[0].kind(), v1::Need::KIND_SNAPSHOT);
  EXPECT_THAT(driver_->inbox(first).results, IsEmpty());
  driver_->AdvanceBy(absl::Seconds(2));
  EXPECT_THAT(Status().reason(), HasSubstr("1 saved residuals have not come from w-1 after"));
  driver_->Replay(holder,
                  *TakeResidualSnapshot(0, {799, 0}, kSavedChain, std::vector<float>(200, 0.5f)));
  const v1::ResultHeader genesis = GenesisAt(first);
  EXPECT_EQ(genesis.round(), 799u);
  EXPECT_EQ(genesis.residual_norm(), 3);
  EXPECT_FALSE(genesis.residual_rebased());
  EXPECT_FALSE(genesis.tracking_rebase());
  EXPECT_FALSE(driver_->inbox(first).results[0]->message.advice().floor_is_zero())
      << "whoever kept it keeps it";
}

// The aggregator died when w-0 alone had read the genesis; the holder is the first to be back.
TEST_F(EngineResumeTest, AHolderMayComeBeforeAnybodyWhoHasReadTheGenesis) {
  const StreamId holder = Resume(1);
  v1::Hello reader = Starter(0, 800).Intent(v1::INTENT_MEMBER).Build();
  v1::Hello::EpochRoster& group = *reader.add_rosters();
  *group.add_roster() = EncodeMember({"w-0", 100});
  *group.add_roster() = EncodeMember({"w-1", 101});
  v1::ChunkProgress& progress = *reader.add_chunks();
  progress.mutable_head()->set_round(799);
  progress.mutable_head()->set_chain(0xdef);
  for (v1::RoundRange* const range : {progress.mutable_results(), progress.mutable_headers()}) {
    range->set_first(799);
    range->set_last(799);
  }
  const StreamId first = driver_->Open(reader);
  const auto kinds = [&](StreamId stream) {
    std::vector<v1::Need::Kind> found;
    for (const v1::Need& need : driver_->inbox(stream).needs) found.push_back(need.kind());
    return found;
  };
  EXPECT_THAT(kinds(first), ElementsAre(v1::Need::KIND_RESULT, v1::Need::KIND_HEADER))
      << "nothing would follow the header of a residual that is given up";
  EXPECT_THAT(kinds(holder), Contains(v1::Need::KIND_SNAPSHOT));
}

TEST_F(EngineResumeTest, AHolderWhoGoesAndComesBackIsAskedAgain) {
  Resume(0);
  const StreamId gone = Resume(1);
  driver_->Disconnect(gone);
  const StreamId back = Resume(1);
  EXPECT_THAT(driver_->inbox(back).needs, SizeIs(1));
}

TEST_F(EngineResumeTest, ABadResidualIsTheOffendersAlone) {
  const StreamId first = Resume(0);
  const StreamId holder = Resume(1);
  driver_->Replay(holder, *TakeResidualSnapshot(
                              0, {799, 0}, kSavedChain,
                              std::vector<float>(200, std::numeric_limits<float>::infinity())));
  EXPECT_THAT(driver_->inbox(holder).closed,
              Optional(StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be finite"))));
  EXPECT_FALSE(driver_->inbox(first).closed.has_value());
}

TEST_F(EngineResumeTest, WhatNobodyHoldsIsLostAloud) {
  v1::Hello empty_handed = Resumer(1);
  empty_handed.mutable_chunks(0)->mutable_saved()->set_holds_residual(false);
  const StreamId first = Resume(0);
  driver_->Open(empty_handed);
  EXPECT_TRUE(GenesisAt(first).residual_rebased());
  EXPECT_TRUE(GenesisAt(first).tracking_rebase());
  EXPECT_EQ(GenesisAt(first).residual_norm(), 3);
  EXPECT_THAT(driver_->announcements(),
              Contains(HasSubstr("chunk 0 begins without its saved residual, of norm 3")));
}

TEST_F(EngineResumeTest, OneWhoSavedAnotherHistoryIsRefused) {
  Resume(1);
  v1::Hello other = Resumer(0);
  other.mutable_chunks(0)->mutable_saved()->mutable_head()->set_chain(1);
  const StreamId stream = driver_->Open(other);
  EXPECT_THAT(driver_->inbox(stream).closed,
              Optional(StatusIs(absl::StatusCode::kInvalidArgument,
                                AllOf(HasSubstr("`chunks[0].saved.head`"),
                                      HasSubstr("from which the others resume")))));
}

TEST_F(EngineResumeTest, TheRunBeforeIsForgottenFirst) {
  EngineWorker& before = Join(Starter(0, 0));
  EngineWorker& other = Join(Starter(1, 0));
  ASSERT_NE(before.Newest(0), nullptr);
  const StreamId too_early = Resume(0);
  EXPECT_THAT(driver_->inbox(too_early).closed,
              Optional(StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("first_round"))))
      << "its workers live";
  driver_->Disconnect(before.stream());
  driver_->Disconnect(other.stream());
  const StreamId early = Resume(0);
  EXPECT_THAT(driver_->inbox(early).closed,
              Optional(StatusIs(absl::StatusCode::kUnavailable,
                                AllOf(HasSubstr("`settings.first_round` = 800, must wait"),
                                      HasSubstr("which began with round 0")))));
  driver_->AdvanceBy(absl::Seconds(31));
  EXPECT_FALSE(driver_->inbox(Resume(0)).closed.has_value());
}

}  // namespace
}  // namespace tally
