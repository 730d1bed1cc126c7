#include "aggregator/saved_residuals.h"

#include <cstring>
#include <limits>
#include <utility>

#include "base/buffer.h"
#include "base/digest.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kChain = 0xabc;

MemberId Member(int i) { return {"w-" + std::to_string(i), 100u + static_cast<uint64_t>(i)}; }

Roster RosterOf(int size) {
  std::vector<MemberId> members;
  for (int i = 0; i < size; ++i) members.push_back(Member(i));
  return *Roster::Create(0, std::move(members));
}

// Two chunks of 256 elements at one aggregator; saved by w-0 and w-1 after round 799.
class SavedResidualsTest : public testing::Test {
 protected:
  SavedResidualsTest() : description_(Describe()), saved_(description_) {}

  static std::shared_ptr<const JobDescription> Describe() {
    return std::make_shared<const JobDescription>(
        JobDescription{.layout = *Layout::Create({{.name = "weights", .num_elements = 512}}, 256),
                       .aggregators = {"agg-0"}});
  }

  // That chunk 1 had a residual of norm 2, which the worker holds or not, and chunk 0 none.
  static v1::Hello Hello(bool holds) {
    v1::Hello hello;
    hello.set_intent(v1::INTENT_RESUME);
    for (const uint32_t index : {0u, 1u}) {
      v1::ChunkProgress& progress = *hello.add_chunks();
      progress.set_chunk(index);
      v1::ChunkProgress::Saved& saved = *progress.mutable_saved();
      saved.mutable_head()->set_round(799);
      saved.mutable_head()->set_chain(kChain + index);
      saved.set_workers_digest(RosterOf(2).WorkersDigest());
      if (index == 0) continue;
      saved.set_residual_norm(2);
      saved.set_holds_residual(holds);
    }
    return hello;
  }

  static ResidualSnapshot Snapshot(uint32_t chunk, float value, uint64_t chain) {
    return *TakeResidualSnapshot(chunk, {799, 0}, chain, std::vector<float>(256, value));
  }

  std::shared_ptr<const JobDescription> description_;
  SavedResiduals saved_;
};

TEST_F(SavedResidualsTest, AResidualComesFromWhoHoldsIt) {
  saved_.Enter(Member(0), Hello(false));
  EXPECT_TRUE(saved_.complete()) << "nobody here holds one";
  saved_.Enter(Member(1), Hello(true));
  EXPECT_FALSE(saved_.complete());
  const std::vector<SavedResiduals::Ask> asks = saved_.TakeAsks();
  ASSERT_THAT(asks, SizeIs(1));
  EXPECT_EQ(asks[0].member, Member(1));
  EXPECT_EQ(asks[0].need.kind(), v1::Need::KIND_SNAPSHOT);
  EXPECT_EQ(asks[0].need.chunk(), 1u);
  EXPECT_EQ(asks[0].need.rounds().first(), 799u);
  EXPECT_THAT(saved_.TakeAsks(), IsEmpty());
  ASSERT_THAT(saved_.Take(Member(0), Snapshot(1, 3, kChain + 1)), IsOk());
  ASSERT_THAT(saved_.Take(Member(1), Snapshot(1, 4, kChain)), IsOk());
  EXPECT_EQ(saved_.num_missing(), 1u) << "one was of another worker, one of another history";
  ASSERT_THAT(saved_.Take(Member(1), Snapshot(1, 5, kChain + 1)), IsOk());
  EXPECT_TRUE(saved_.complete());
  EXPECT_THAT(*saved_.Find(1, RosterOf(2)).residual->OnHost(), AllOf(SizeIs(256), Each(5)));
  EXPECT_FALSE(saved_.Find(1, RosterOf(2)).lost);
  EXPECT_EQ(saved_.Find(0, RosterOf(2)).residual, nullptr);
  EXPECT_FALSE(saved_.Find(0, RosterOf(2)).lost) << "it was zero";
}

TEST_F(SavedResidualsTest, WhoComesBackIsAskedAgain) {
  saved_.Enter(Member(0), Hello(true));
  ASSERT_THAT(saved_.TakeAsks(), SizeIs(1));
  saved_.Withdraw(Member(0));
  EXPECT_TRUE(saved_.complete());
  saved_.Enter(Member(0), Hello(true));
  EXPECT_THAT(saved_.TakeAsks(), SizeIs(1));
}

TEST_F(SavedResidualsTest, WhatNobodyHoldsIsLost) {
  saved_.Enter(Member(0), Hello(false));
  const SavedResidual found = saved_.Find(1, RosterOf(2));
  EXPECT_EQ(found.residual, nullptr);
  EXPECT_TRUE(found.lost);
  EXPECT_EQ(found.norm, 2);
}

TEST_F(SavedResidualsTest, OtherWorkersThanThoseWhoSavedAreSeen) {
  saved_.Enter(Member(0), Hello(false));
  EXPECT_FALSE(saved_.Find(0, RosterOf(2)).other_workers);
  EXPECT_TRUE(saved_.Find(0, RosterOf(3)).other_workers);
}

TEST_F(SavedResidualsTest, WhatIsNotFiniteIsRefused) {
  saved_.Enter(Member(0), Hello(true));
  ASSERT_THAT(saved_.TakeAsks(), SizeIs(1));
  EXPECT_THAT(
      saved_.Take(Member(0), Snapshot(1, std::numeric_limits<float>::infinity(), kChain + 1)),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("chunk 1: element 0 = inf"), HasSubstr("must be finite"))));
  EXPECT_FALSE(saved_.complete());
}

struct Case {
  const char* name;
  void (*change)(v1::ChunkProgress& progress);
  const char* message;
};

class SavedResidualsRefusalTest : public SavedResidualsTest,
                                  public testing::WithParamInterface<Case> {};

TEST_P(SavedResidualsRefusalTest, NamesTheField) {
  saved_.Enter(Member(0), Hello(false));
  v1::Hello hello = Hello(true);
  GetParam().change(*hello.mutable_chunks(1));
  EXPECT_THAT(saved_.Check(hello),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().message)));
}

TEST_F(SavedResidualsTest, WhatSomebodySaidWhoHasGoneBindsNobody) {
  saved_.Enter(Member(0), Hello(false));
  v1::Hello other = Hello(true);
  other.mutable_chunks(1)->mutable_saved()->mutable_head()->set_chain(1);
  EXPECT_THAT(saved_.Check(other), StatusIs(absl::StatusCode::kInvalidArgument));
  saved_.Withdraw(Member(0));
  EXPECT_THAT(saved_.Check(other), IsOk());
}

INSTANTIATE_TEST_SUITE_P(
    Fields, SavedResidualsRefusalTest,
    testing::ValuesIn<Case>({
        {"AnotherRound",
         [](v1::ChunkProgress& progress) {
           progress.mutable_saved()->mutable_head()->set_round(800);
         },
         "`chunks[1].saved.head` = round 800, chain abd, must be round 799, chain abd"},
        {"AnotherHistory",
         [](v1::ChunkProgress& progress) {
           progress.mutable_saved()->mutable_head()->set_chain(1);
         },
         "`chunks[1].saved.head` = round 799, chain 1, must be round 799, chain abd"},
        {"AnotherNorm",
         [](v1::ChunkProgress& progress) { progress.mutable_saved()->set_residual_norm(3); },
         "`chunks[1].saved.residual_norm` = 3, must be 2"},
        {"NegativeNorm",
         [](v1::ChunkProgress& progress) { progress.mutable_saved()->set_residual_norm(-1); },
         "`chunks[1].saved.residual_norm` = -1, must be finite and not negative"},
        {"OtherWorkers",
         [](v1::ChunkProgress& progress) { progress.mutable_saved()->set_workers_digest(5); },
         "`chunks[1].saved.workers_digest` = 5, must be"},
        {"UnknownChunk", [](v1::ChunkProgress& progress) { progress.set_chunk(2); },
         "`chunks.chunk` = 2, must be one of this aggregator's"},
    }),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace tally
