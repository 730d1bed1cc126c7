#include "aggregator/eviction.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr EvictionRule kRule = {.evict_after = absl::Seconds(30),
                                .minority_after = absl::Seconds(120)};

MemberSign Witness() {
  return {.silent_for = absl::Seconds(1), .connected = true, .reaches_all = true};
}
// Hears this aggregator, but not all of them.
MemberSign CutOff() { return {.silent_for = absl::Seconds(1), .connected = true}; }
MemberSign Silent(absl::Duration silent_for) { return {.silent_for = silent_for}; }

TEST(EvictionTest, NobodyIsEvictedBeforeTheTime) {
  EXPECT_THAT(MembersToEvict({Witness(), Witness(), Silent(absl::Seconds(29))}, kRule), IsEmpty());
}

TEST(EvictionTest, ASilentMemberIsEvictedBeforeAMajorityOfWitnesses) {
  EXPECT_THAT(MembersToEvict({Witness(), Silent(absl::Seconds(30)), Witness()}, kRule),
              ElementsAre(1));
}

TEST(EvictionTest, HalfOfTheRosterIsEnoughWithItsFirstMember) {
  const MemberSign silent = Silent(absl::Seconds(60));
  EXPECT_THAT(MembersToEvict({Witness(), silent}, kRule), ElementsAre(1));
  EXPECT_THAT(MembersToEvict({silent, Witness()}, kRule), IsEmpty());
}

TEST(EvictionTest, WhoDoesNotReachEveryAggregatorIsNoWitness) {
  EXPECT_THAT(MembersToEvict({Witness(), CutOff(), CutOff(), Silent(absl::Seconds(60))}, kRule),
              IsEmpty());
}

TEST(EvictionTest, WhoIsHeardButKeepsTheOthersWaitingIsEvictedToo) {
  MemberSign hanging = Witness();
  hanging.awaited_for = absl::Minutes(5) - absl::Seconds(1);
  EXPECT_THAT(MembersToEvict({Witness(), hanging, Witness()}, kRule), IsEmpty());
  hanging.awaited_for = absl::Minutes(5);
  EXPECT_THAT(MembersToEvict({Witness(), hanging, Witness()}, kRule), ElementsAre(1));
  // Who hangs is no witness, and a minority does not judge who is heard.
  EXPECT_THAT(MembersToEvict({hanging, hanging, Witness()}, kRule), IsEmpty());
}

TEST(EvictionTest, AMinorityWaitsLonger) {
  const MemberSign silent = Silent(absl::Seconds(119));
  EXPECT_THAT(MembersToEvict({silent, silent, Witness()}, kRule), IsEmpty());
  EXPECT_THAT(MembersToEvict({silent, Silent(absl::Seconds(120)), Witness()}, kRule),
              ElementsAre(1));
}

TEST(EvictionTest, WithoutAnyWitnessNobodyIsEvictedEver) {
  const MemberSign silent = Silent(absl::Hours(10));
  EXPECT_THAT(MembersToEvict({silent, CutOff()}, kRule), IsEmpty());
}

// Two aggregators, every way in which each of four workers can reach the one, the other, both or
// neither: some worker that reaches all stays, and nobody evicts the whole roster.
TEST(EvictionTest, ALevelObserverIsTheOneThatSomebodyMustBe) {
  EXPECT_THAT(MembersToEvict({Silent(absl::Seconds(119))}, kRule, /*num_level=*/1), IsEmpty());
  EXPECT_THAT(MembersToEvict({Silent(absl::Seconds(120))}, kRule, /*num_level=*/1), ElementsAre(0));
}

TEST(EvictionTest, UnderEveryCutSomebodyStaysAtBothAggregators) {
  constexpr size_t kWorkers = 4;
  for (int cuts = 0; cuts < 1 << (2 * kWorkers); ++cuts) {
    bool evicted[kWorkers] = {};
    for (int aggregator = 0; aggregator < 2; ++aggregator) {
      std::vector<MemberSign> roster;
      for (size_t w = 0; w < kWorkers; ++w) {
        const bool here = ((cuts >> (2 * w + static_cast<size_t>(aggregator))) & 1) != 0;
        const bool there = ((cuts >> (2 * w + static_cast<size_t>(1 - aggregator))) & 1) != 0;
        roster.push_back({.silent_for = here ? absl::ZeroDuration() : absl::Hours(1),
                          .connected = here,
                          .reaches_all = here && there});
      }
      for (const size_t w : MembersToEvict(roster, kRule)) evicted[w] = true;
    }
    bool anybody_evicted = false;
    bool full_member_stays = false;
    for (size_t w = 0; w < kWorkers; ++w) {
      anybody_evicted |= evicted[w];
      full_member_stays |= !evicted[w] && ((cuts >> (2 * w)) & 3) == 3;
    }
    EXPECT_TRUE(!anybody_evicted || full_member_stays) << "cuts " << cuts;
  }
}

}  // namespace
}  // namespace tally
