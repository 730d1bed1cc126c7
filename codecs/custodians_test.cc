#include "codecs/custodians.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

Roster FourWorkers() {
  return *Roster::Create(3, {{"w-0", 10}, {"w-1", 11}, {"w-2", 12}, {"w-3", 13}});
}

TEST(CustodiansTest, AreTheParticipantsWhoStay) {
  const Roster roster = FourWorkers();
  v1::ResultHeader header;
  header.set_participants(roster.ParticipantBitmap({0, 1, 3}));
  EXPECT_THAT(
      CustodiansAfter(roster, header),
      IsOkAndHolds(ElementsAre(MemberId{"w-0", 10}, MemberId{"w-1", 11}, MemberId{"w-3", 13})));
  *header.add_evicted() = EncodeMember({"w-0", 10});
  EXPECT_THAT(CustodiansAfter(roster, header), IsOkAndHolds(SizeIs(2)));
  *header.add_returned() = EncodeMember({"w-1", 11});
  EXPECT_THAT(CustodiansAfter(roster, header), IsOkAndHolds(ElementsAre(MemberId{"w-3", 13})));
  *header.add_left()->mutable_member() = EncodeMember({"w-3", 13});
  EXPECT_THAT(CustodiansAfter(roster, header), IsOkAndHolds(SizeIs(0)));
}

TEST(CustodiansTest, ABitmapOfAnotherRosterIsRefused) {
  v1::ResultHeader header;
  header.set_participants("ab");
  EXPECT_THAT(CustodiansAfter(FourWorkers(), header), StatusIs(absl::StatusCode::kDataLoss));
}

// Workers and aggregators of different builds must agree.
TEST(CustodiansTest, TheFirstOneIsPartOfTheFormat) {
  EXPECT_EQ(FirstCustodian(0x0123456789abcdef, 5), 3u);
  EXPECT_EQ(FirstCustodian(~uint64_t{0}, 7), 0u);
  EXPECT_EQ(FirstCustodian(1, 3), 1u);
}

TEST(CustodiansTest, ChainsSpreadOverAll) {
  std::set<size_t> asked;
  for (uint64_t chain = 0; chain < 64; ++chain) asked.insert(FirstCustodian(chain, 4));
  EXPECT_THAT(asked, ElementsAre(0, 1, 2, 3));
}

}  // namespace
}  // namespace tally
