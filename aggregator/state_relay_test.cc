#include "aggregator/state_relay.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Eq;
using ::testing::IsEmpty;

const MemberId kNewcomer = {"w-9", 9};

v1::StateRequest RequestOf(uint64_t id, uint64_t received_bytes = 0) {
  v1::StateRequest request;
  request.set_id(id);
  request.set_received_bytes(received_bytes);
  return request;
}

v1::StatePart PartOf(uint64_t id, uint64_t offset) {
  v1::StatePart part;
  part.set_id(id);
  part.mutable_slice()->set_offset_bytes(offset);
  return part;
}

std::vector<StateRelay::Donor> Donors() {
  return {{{"w-0", 1}, 10}, {{"w-1", 2}, 20}, {{"w-2", 3}, 30}};
}

TEST(StateRelayTest, ARequestKeepsItsDonorAndAnotherIdDrawsAnew) {
  StateRelay relay;
  const absl::optional<StateRelay::Donor> donor = relay.Request(kNewcomer, RequestOf(1), Donors());
  ASSERT_TRUE(donor.has_value());
  EXPECT_EQ(relay.Request(kNewcomer, RequestOf(1, 100), {}), donor);
  std::set<std::string> drawn;
  for (uint64_t id = 2; id < 40; ++id) {
    drawn.insert(relay.Request(kNewcomer, RequestOf(id), Donors())->member.worker);
  }
  EXPECT_EQ(drawn.size(), Donors().size());
}

TEST(StateRelayTest, WithoutMembersThereIsNoDonor) {
  StateRelay relay;
  EXPECT_EQ(relay.Request(kNewcomer, RequestOf(1), {}), absl::nullopt);
  EXPECT_THAT(relay.Relay({"w-0", 1}, PartOf(1, 0), 10), IsOkAndHolds(Eq(absl::nullopt)));
}

TEST(StateRelayTest, PartsOfTheDonorGoToTheNewcomerAndOthersNowhere) {
  StateRelay relay;
  const MemberId donor = relay.Request(kNewcomer, RequestOf(1), Donors())->member;
  EXPECT_THAT(relay.Relay(donor, PartOf(1, 0), 10), IsOkAndHolds(Eq(kNewcomer)));
  EXPECT_THAT(relay.Relay(donor, PartOf(2, 0), 10), IsOkAndHolds(Eq(absl::nullopt)));
  EXPECT_THAT(relay.Relay({"w-8", 8}, PartOf(1, 0), 10), IsOkAndHolds(Eq(absl::nullopt)));
}

TEST(StateRelayTest, ADonorRunsNoFurtherAheadThanTheWindow) {
  StateRelay relay;
  const MemberId donor = relay.Request(kNewcomer, RequestOf(1), Donors())->member;
  EXPECT_THAT(relay.Relay(donor, PartOf(1, kStateWindowBytes - 10), 10), IsOk());
  EXPECT_THAT(relay.Relay(donor, PartOf(1, kStateWindowBytes - 10), 11),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("state_part.slice.offset_bytes")));
  relay.Request(kNewcomer, RequestOf(1, 1), {});
  EXPECT_THAT(relay.Relay(donor, PartOf(1, kStateWindowBytes - 10), 11), IsOk());
}

TEST(StateRelayTest, ADonorThatGivesNothingIsForgotten) {
  StateRelay relay;
  const MemberId donor = relay.Request(kNewcomer, RequestOf(1), Donors())->member;
  v1::StatePart nothing;
  nothing.set_id(1);
  EXPECT_THAT(relay.Relay(donor, nothing, 0), IsOkAndHolds(Eq(kNewcomer)));
  EXPECT_THAT(relay.Relay(donor, PartOf(1, 0), 1), IsOkAndHolds(Eq(absl::nullopt)));
}

TEST(StateRelayTest, WhenTheDonorGoesOrChangesItsStreamItsNewcomerIsNamed) {
  StateRelay relay;
  const StateRelay::Donor donor = *relay.Request(kNewcomer, RequestOf(7), Donors());
  const auto waits = [](const MemberId&) { return true; };
  EXPECT_THAT(relay.Sweep([&](const StateRelay::Donor& asked) { return asked == donor; }, waits),
              IsEmpty());
  const StateRelay::Donor again = {donor.member, donor.stream + 1};
  const std::vector<StateRelay::Orphan> orphans =
      relay.Sweep([&](const StateRelay::Donor& asked) { return asked == again; }, waits);
  ASSERT_EQ(orphans.size(), 1u);
  EXPECT_EQ(orphans[0].newcomer, kNewcomer);
  EXPECT_EQ(orphans[0].id, 7u);
}

TEST(StateRelayTest, ANewcomerThatGoesIsForgotten) {
  StateRelay relay;
  const StateRelay::Donor donor = *relay.Request(kNewcomer, RequestOf(7), Donors());
  EXPECT_THAT(relay.Sweep([](const StateRelay::Donor&) { return true; },
                          [](const MemberId&) { return false; }),
              IsEmpty());
  EXPECT_THAT(relay.Relay(donor.member, PartOf(7, 0), 1), IsOkAndHolds(Eq(absl::nullopt)));
}

}  // namespace
}  // namespace tally
