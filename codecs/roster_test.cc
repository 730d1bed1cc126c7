#include "codecs/roster.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Roster Valid(uint64_t epoch, std::vector<MemberId> members) {
  absl::StatusOr<Roster> roster = Roster::Create(epoch, std::move(members));
  EXPECT_THAT(roster, IsOk());
  return *std::move(roster);
}

// Epoch 5: a/1, b/2, c/3.
Roster Abc() { return Valid(5, {{"a", 1}, {"b", 2}, {"c", 3}}); }

v1::ResultHeader ParseHeader(const std::string& text) {
  v1::ResultHeader header;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &header));
  return header;
}

TEST(MemberTest, SurvivesARoundTrip) {
  const MemberId member = {"w-5", 12};
  EXPECT_EQ(EncodeMember(member).ShortDebugString(), "worker: \"w-5\" incarnation: 12");
  EXPECT_THAT(DecodeMember(EncodeMember(member)), IsOkAndHolds(member));
  const MemberId longest = {std::string(kMaxNameBytes, 'w'), ~uint64_t{0}};
  EXPECT_THAT(DecodeMember(EncodeMember(longest)), IsOkAndHolds(longest));
}

TEST(MemberTest, RefusesFieldsThatBreakARule) {
  EXPECT_THAT(DecodeMember(EncodeMember({"", 1})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`member.worker` has 0 bytes, must have 1 to 255")));
  EXPECT_THAT(DecodeMember(EncodeMember({std::string(256, 'w'), 1})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`member.worker` has 256 bytes, must have 1 to 255")));
  EXPECT_THAT(DecodeMember(EncodeMember({"w", 0})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`member.incarnation` = 0, must be at least 1")));
}

TEST(RosterTest, SortsBytewiseByWorkerId) {
  const Roster roster = Valid(7, {{"w-2", 1}, {"w-10", 2}, {"\xc3\xa4", 3}, {"W", 4}});
  EXPECT_EQ(roster.epoch(), 7u);
  EXPECT_THAT(roster.members(), ElementsAre(MemberId{"W", 4}, MemberId{"w-10", 2},
                                            MemberId{"w-2", 1}, MemberId{"\xc3\xa4", 3}));
}

TEST(RosterTest, RefusesAWorkerIdTwice) {
  EXPECT_THAT(
      Roster::Create(0, {{"b", 1}, {"a", 1}, {"b", 2}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`members` has worker \"b\" twice")));
}

TEST(RosterTest, RefusesMoreMembersThanSumsAreSafeFor) {
  std::vector<MemberId> members;
  for (uint32_t i = 0; i < kMaxRoster; ++i) members.push_back({absl::StrCat(i), 1});
  EXPECT_THAT(Roster::Create(0, members), IsOk());
  members.push_back({"one more", 1});
  EXPECT_THAT(Roster::Create(0, members),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`members` has 65537 entries, must have at most 65536")));
}

TEST(RosterTest, FindsMembersByWorkerId) {
  const Roster roster = Abc();
  EXPECT_EQ(roster.IndexOf("a"), 0u);
  EXPECT_EQ(roster.IndexOf("c"), 2u);
  for (const char* worker : {"", "0", "aa", "bb", "d"}) {
    EXPECT_EQ(roster.IndexOf(worker), absl::nullopt) << worker;
  }
  EXPECT_EQ(Roster().IndexOf("a"), absl::nullopt);
}

TEST(RosterTest, StaysAfterAnEntryThatChangesNothing) {
  const auto next = Abc().After(ParseHeader(R"(epoch: 5 participants: "\007" round: 3)"));
  ASSERT_THAT(next, IsOk());
  EXPECT_EQ(next->epoch(), 5u);
  EXPECT_EQ(next->members(), Abc().members());
}

TEST(RosterTest, SharesItsMembersWhileNothingChanges) {
  const Roster roster = Abc();
  const auto next = roster.After(ParseHeader("epoch: 5"));
  ASSERT_THAT(next, IsOk());
  EXPECT_EQ(next->members().data(), roster.members().data());
}

TEST(RosterTest, FollowsTheEventsOfAnEntry) {
  const struct {
    const char* header;
    std::vector<MemberId> members;
  } kCases[] = {
      {R"(activated { worker: "aa" incarnation: 9 }
          roster { worker: "a" incarnation: 1 }
          roster { worker: "aa" incarnation: 9 }
          roster { worker: "b" incarnation: 2 }
          roster { worker: "c" incarnation: 3 })",
       {{"a", 1}, {"aa", 9}, {"b", 2}, {"c", 3}}},
      {R"(returned { worker: "a" incarnation: 1 }
          roster { worker: "b" incarnation: 2 }
          roster { worker: "c" incarnation: 3 })",
       {{"b", 2}, {"c", 3}}},
      {R"(left { member { worker: "b" incarnation: 2 } heir: "c" }
          roster { worker: "a" incarnation: 1 }
          roster { worker: "c" incarnation: 3 })",
       {{"a", 1}, {"c", 3}}},
      {R"(evicted { worker: "c" incarnation: 3 }
          roster { worker: "a" incarnation: 1 }
          roster { worker: "b" incarnation: 2 })",
       {{"a", 1}, {"b", 2}}},
      // A worker whose newer incarnation takes its place in one step.
      {R"(evicted { worker: "b" incarnation: 2 }
          activated { worker: "b" incarnation: 8 }
          roster { worker: "a" incarnation: 1 }
          roster { worker: "b" incarnation: 8 }
          roster { worker: "c" incarnation: 3 })",
       {{"a", 1}, {"b", 8}, {"c", 3}}},
      {R"(evicted { worker: "a" incarnation: 1 }
          left { member { worker: "b" incarnation: 2 } }
          returned { worker: "c" incarnation: 3 }
          activated { worker: "z" incarnation: 1 }
          activated { worker: "y" incarnation: 1 }
          roster { worker: "y" incarnation: 1 }
          roster { worker: "z" incarnation: 1 })",
       {{"y", 1}, {"z", 1}}},
      // Everybody leaves.
      {R"(left { member { worker: "a" incarnation: 1 } }
          left { member { worker: "b" incarnation: 2 } }
          left { member { worker: "c" incarnation: 3 } })",
       {}},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.header);
    v1::ResultHeader header = ParseHeader(test_case.header);
    header.set_epoch(6);
    const auto next = Abc().After(header);
    ASSERT_THAT(next, IsOk());
    EXPECT_EQ(next->epoch(), 6u);
    EXPECT_EQ(next->members(), absl::MakeConstSpan(test_case.members));
  }
}

TEST(RosterTest, KeepsItsEpochWhenAMemberGoesAndComesInOneEntry) {
  const auto next = Abc().After(ParseHeader(R"(
    epoch: 5
    returned { worker: "a" incarnation: 1 }
    activated { worker: "a" incarnation: 1 })"));
  ASSERT_THAT(next, IsOk());
  EXPECT_EQ(next->epoch(), 5u);
  EXPECT_EQ(next->members(), Abc().members());
}

TEST(RosterTest, RefusesAHeaderThatContradictsItself) {
  const struct {
    const char* header;
    const char* message;
  } kCases[] = {
      {"epoch: 6", "`header.epoch` = 6, must be 5 (this entry does not change the roster)"},
      {"epoch: 4", "`header.epoch` = 4, must be 5"},
      {R"(epoch: 5 roster { worker: "a" incarnation: 1 })",
       "`header.roster` has 1 members, must have 0 (this entry does not change the roster)"},
      {R"(epoch: 5 evicted { worker: "a" incarnation: 1 }
          roster { worker: "b" incarnation: 2 } roster { worker: "c" incarnation: 3 })",
       "`header.epoch` = 5, must be 6 (this entry changes the roster)"},
      {R"(epoch: 7 evicted { worker: "a" incarnation: 1 }
          roster { worker: "b" incarnation: 2 } roster { worker: "c" incarnation: 3 })",
       "`header.epoch` = 7, must be 6"},
      {R"(epoch: 6 evicted { worker: "a" incarnation: 1 })",
       "`header.roster` has 0 members, must have 2 (this entry changes the roster)"},
      {R"(epoch: 6 evicted { worker: "a" incarnation: 1 }
          roster { worker: "a" incarnation: 1 } roster { worker: "b" incarnation: 2 }
          roster { worker: "c" incarnation: 3 })",
       "`header.roster` has 3 members, must have 2"},
      {R"(epoch: 6 evicted { worker: "a" incarnation: 1 }
          roster { worker: "b" incarnation: 2 } roster { worker: "c" incarnation: 4 })",
       "`header.roster[1]` = c/4, must be c/3"},
      {R"(epoch: 6 evicted { worker: "a" incarnation: 1 }
          roster { worker: "c" incarnation: 3 } roster { worker: "b" incarnation: 2 })",
       "`header.roster[0]` = c/3, must be b/2"},
      {R"(epoch: 6 evicted { worker: "d" incarnation: 1 })",
       "`header.evicted[0]` = d/1, must be a member of the roster before this entry, once"},
      {R"(epoch: 6 evicted { worker: "a" incarnation: 2 })", "`header.evicted[0]` = a/2"},
      {R"(epoch: 6 evicted { worker: "a" incarnation: 1 } evicted { worker: "a" incarnation: 1 })",
       "`header.evicted[1]` = a/1, must be a member of the roster before this entry, once"},
      {R"(epoch: 6 returned { worker: "b" incarnation: 2 } returned { worker: "" })",
       "`header.returned[1]` = /0"},
      {R"(epoch: 6 left { heir: "a" })", "`header.left[0].member` = /0"},
      {R"(epoch: 6 returned { worker: "a" incarnation: 1 }
          left { member { worker: "a" incarnation: 1 } })",
       "`header.left[0].member` = a/1"},
      {R"(epoch: 6 activated { worker: "a" incarnation: 9 })",
       "`header.activated` does not fit: `members` has worker \"a\" twice"},
      {R"(epoch: 6 activated { worker: "d" incarnation: 1 }
          activated { worker: "d" incarnation: 2 })",
       "`header.activated` does not fit: `members` has worker \"d\" twice"},
      {R"(epoch: 6 activated { worker: "d" })",
       "`header.activated[0]` is no member: `member.incarnation` = 0"},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.header);
    EXPECT_THAT(Abc().After(ParseHeader(test_case.header)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(test_case.message)));
  }
}

constexpr char kGenesis[] = R"(
  genesis { seed: 1 }
  epoch: 41
  roster { worker: "x" incarnation: 1 }
  roster { worker: "y" incarnation: 2 }
)";

TEST(RosterTest, AGenesisGivesTheRosterThatItLists) {
  for (const Roster& before : {Roster(), Abc()}) {
    const auto next = before.After(ParseHeader(kGenesis));
    ASSERT_THAT(next, IsOk());
    EXPECT_EQ(next->epoch(), 41u);
    EXPECT_THAT(next->members(), ElementsAre(MemberId{"x", 1}, MemberId{"y", 2}));
  }
}

TEST(RosterTest, RefusesAGenesisWithoutAValidRoster) {
  using Change = void (*)(v1::ResultHeader&);
  const struct {
    Change change;
    const char* message;
  } kCases[] = {
      {[](v1::ResultHeader& h) { h.clear_roster(); },
       "`header.roster` has 0 members, must have at least 1 in a genesis"},
      {[](v1::ResultHeader& h) { h.mutable_roster(1)->clear_incarnation(); },
       "`header.roster[1]` is no member: `member.incarnation` = 0"},
      {[](v1::ResultHeader& h) { h.mutable_roster(0)->clear_worker(); },
       "`header.roster[0]` is no member: `member.worker` has 0 bytes"},
      {[](v1::ResultHeader& h) { h.mutable_roster(1)->set_worker("x"); },
       "`header.roster[1]` = x/2, must come after x/1, bytewise by worker id"},
      {[](v1::ResultHeader& h) { h.mutable_roster(1)->set_worker("a"); },
       "`header.roster[1]` = a/2, must come after x/1"},
      {[](v1::ResultHeader& h) {
         h.clear_roster();
         for (uint32_t i = 0; i <= kMaxRoster; ++i) {
           *h.add_roster() = EncodeMember({absl::StrCat(1'000'000 + i), 1});
         }
       },
       "`header.roster` is none: `members` has 65537 entries"},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.message);
    v1::ResultHeader header = ParseHeader(kGenesis);
    test_case.change(header);
    EXPECT_THAT(Roster().After(header),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(test_case.message)));
  }
}

// Ten members: two bytes of bitmap, six bits of the second unused.
Roster Ten() {
  std::vector<MemberId> members;
  for (uint64_t i = 0; i < 10; ++i) members.push_back({absl::StrCat(i), i + 1});
  return Valid(0, std::move(members));
}

TEST(RosterTest, NamesTheParticipantsOfABitmap) {
  EXPECT_THAT(Ten().Participants(std::string("\x81\x02", 2)),
              IsOkAndHolds(ElementsAre(MemberId{"0", 1}, MemberId{"7", 8}, MemberId{"9", 10})));
  EXPECT_THAT(Ten().Participants(std::string(2, '\0')), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(Ten().Participants("\xff\x03"), IsOkAndHolds(SizeIs(10)));
  EXPECT_THAT(Roster().Participants(""), IsOkAndHolds(IsEmpty()));
}

TEST(RosterTest, RefusesABitmapOfAnotherSize) {
  for (const size_t size : {0, 1, 3}) {
    EXPECT_THAT(Ten().Participants(std::string(size, '\0')),
                StatusIs(absl::StatusCode::kDataLoss,
                         HasSubstr(absl::StrCat("`header.participants` has ", size,
                                                " bytes, must have 2 (10 members)"))));
  }
}

TEST(RosterTest, RefusesEachUnusedBitOfABitmap) {
  for (int bit = 10; bit < 16; ++bit) {
    std::string bitmap(2, '\0');
    bitmap[1] = static_cast<char>(1 << (bit - 8));
    EXPECT_THAT(Ten().Participants(bitmap),
                StatusIs(absl::StatusCode::kDataLoss,
                         HasSubstr(absl::StrCat("`header.participants` has bit ", bit,
                                                " set, must have none past 10 members"))));
  }
}

TEST(RosterTest, MakesTheBitmapThatParticipantsReads) {
  EXPECT_EQ(Ten().ParticipantBitmap({0, 7, 9}), std::string("\x81\x02", 2));
  EXPECT_EQ(Ten().ParticipantBitmap({}), std::string(2, '\0'));
  EXPECT_EQ(Roster().ParticipantBitmap({}), "");
}

TEST(RosterTest, TheDigestOfItsWorkersIsPartOfTheFormat) {
  const absl::StatusOr<Roster> roster = Roster::Create(3, {{"w-0", 10}, {"w-1", 11}});
  ASSERT_THAT(roster, IsOk());
  EXPECT_EQ(roster->WorkersDigest(), 0x948cd613f3c5ac72u) << "XXH3-64 of lengths and ids";
  EXPECT_EQ(Roster::Create(9, {{"w-0", 1}, {"w-1", 2}})->WorkersDigest(), roster->WorkersDigest());
}

TEST(ChainTest, IsTheDigestOfTheHeaderBytes) {
  EXPECT_EQ(ChainOf("header"), Digest64(absl::string_view("header")));
  EXPECT_NE(ChainOf("header"), ChainOf("headers"));
}

}  // namespace
}  // namespace tally
