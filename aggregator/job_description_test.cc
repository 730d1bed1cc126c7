#include "aggregator/job_description.h"

#include <functional>
#include <string>

#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kName[] = "agg-0";

JobDescription DescriptionOf(const v1::Hello& hello) {
  absl::StatusOr<ValidHello> valid =
      ValidateHello(hello, hello.aggregators(static_cast<int>(hello.aggregator_index())));
  EXPECT_THAT(valid, IsOk());
  return std::move(valid)->description;
}

TEST(ValidateHelloTest, ReadsEveryField) {
  const v1::Hello hello = HelloBuilder()
                              .Worker("w-3", 55)
                              .ExpectedWorkers(4)
                              .RosterLimit(6)
                              .FirstRound(10)
                              .StartTimeout(absl::Milliseconds(1500))
                              .Aggregators({"agg-1", "agg-0"}, 1)
                              .Build();
  const absl::StatusOr<ValidHello> valid = ValidateHello(hello, kName);
  ASSERT_THAT(valid, IsOk());
  EXPECT_EQ(valid->member, (MemberId{"w-3", 55}));
  EXPECT_EQ(valid->intent, v1::INTENT_START);
  const JobDescription& description = valid->description;
  EXPECT_EQ(description.job, "job");
  EXPECT_EQ(description.run, 7u);
  EXPECT_EQ(description.seed, 42u);
  EXPECT_EQ(description.initial_state_digest, 0xabcu);
  EXPECT_EQ(description.layout.num_elements(), 1024u);
  EXPECT_THAT(description.aggregators, ElementsAre("agg-1", "agg-0"));
  EXPECT_EQ(description.aggregator_index, 1u);
  EXPECT_EQ(description.expected_workers, 4u);
  EXPECT_EQ(description.roster_limit, 6u);
  EXPECT_EQ(description.first_round, 10u);
  EXPECT_EQ(description.start_timeout, absl::Milliseconds(1500));
}

TEST(ValidateHelloTest, UnsetRosterLimitIsTheNumberOfExpectedWorkers) {
  EXPECT_EQ(DescriptionOf(HelloBuilder().ExpectedWorkers(3).Build()).roster_limit, 3u);
}

TEST(ValidateHelloTest, UnsetStartTimeoutWaitsForAll) {
  EXPECT_EQ(DescriptionOf(HelloBuilder().Build()).start_timeout, absl::nullopt);
}

TEST(ValidateHelloTest, ServesStartResumeAndMember) {
  for (const v1::Intent intent : {v1::INTENT_START, v1::INTENT_RESUME, v1::INTENT_MEMBER}) {
    EXPECT_THAT(ValidateHello(HelloBuilder().Intent(intent).Build(), kName), IsOk());
  }
}

struct Refusal {
  const char* name;
  std::function<void(v1::Hello&)> break_it;
  absl::StatusCode code;
  // Field, value and rule.
  std::string message;
};

class ValidateHelloRefusesTest : public testing::TestWithParam<Refusal> {};

TEST_P(ValidateHelloRefusesTest, NamesFieldValueAndRule) {
  v1::Hello hello = HelloBuilder().ExpectedWorkers(4).Build();
  GetParam().break_it(hello);
  EXPECT_THAT(ValidateHello(hello, kName),
              StatusIs(GetParam().code, HasSubstr(GetParam().message)));
}

std::vector<Refusal> Refusals() {
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  return {
      {"UnsetVersion", [](v1::Hello& hello) { hello.clear_version(); }, kInvalid,
       "`version` = 0, must be 1"},
      {"OtherVersion", [](v1::Hello& hello) { hello.set_version(2); }, kInvalid,
       "`version` = 2, must be 1, the protocol spoken here"},
      {"NoJob", [](v1::Hello& hello) { hello.clear_job(); }, kInvalid,
       "`job` has 0 bytes, must have 1 to 255"},
      {"LongJob", [](v1::Hello& hello) { hello.set_job(std::string(256, 'j')); }, kInvalid,
       "`job` has 256 bytes, must have 1 to 255"},
      {"NoMember", [](v1::Hello& hello) { hello.clear_member(); }, kInvalid,
       "`member.worker` has 0 bytes, must have 1 to 255"},
      {"NoIncarnation", [](v1::Hello& hello) { hello.mutable_member()->clear_incarnation(); },
       kInvalid, "`member.incarnation` = 0, must be at least 1"},
      {"NoIntent", [](v1::Hello& hello) { hello.clear_intent(); }, kInvalid,
       "`intent` = 0, must be a specified Intent"},
      {"UnknownIntent", [](v1::Hello& hello) { hello.set_intent(static_cast<v1::Intent>(77)); },
       kInvalid, "`intent` = 77, must be a specified Intent"},
      {"NoLayout", [](v1::Hello& hello) { hello.clear_layout(); }, kInvalid,
       "`tensors` has 0 entries, must have 1 to 65536"},
      {"EmptyTensor",
       [](v1::Hello& hello) { hello.mutable_layout()->mutable_tensors(0)->set_num_elements(0); },
       kInvalid, "`tensors[0].num_elements` = 0, must be from 1 to"},
      {"OddChunk", [](v1::Hello& hello) { hello.mutable_layout()->set_chunk_elements(100); },
       kInvalid, "`chunk_elements` = 100, must be a multiple of 256"},
      {"NoAggregators", [](v1::Hello& hello) { hello.clear_aggregators(); }, kInvalid,
       "`aggregators.size` = 0, must be from 1 to 1024"},
      {"ManyAggregators",
       [](v1::Hello& hello) {
         for (int i = 1; i <= 1024; ++i) hello.add_aggregators("more-" + std::to_string(i));
       },
       kInvalid, "`aggregators.size` = 1025, must be from 1 to 1024"},
      {"NamelessAggregator", [](v1::Hello& hello) { hello.add_aggregators(""); }, kInvalid,
       "`aggregators[1]` has 0 bytes, must have 1 to 255"},
      {"AggregatorTwice", [](v1::Hello& hello) { hello.add_aggregators("agg-0"); }, kInvalid,
       "`aggregators[1]` = \"agg-0\", must be unique in the list"},
      {"IndexPastTheList", [](v1::Hello& hello) { hello.set_aggregator_index(1); }, kInvalid,
       "`aggregator_index` = 1, must be from 0 to 0"},
      {"OtherAggregator",
       [](v1::Hello& hello) {
         hello.add_aggregators("agg-1");
         hello.set_aggregator_index(1);
       },
       kInvalid,
       "`aggregators[1]` = \"agg-1\", must be the name of the aggregator addressed, \"agg-0\""},
      {"NobodyExpected",
       [](v1::Hello& hello) { hello.mutable_settings()->clear_expected_workers(); }, kInvalid,
       "`settings.expected_workers` = 0, must be from 1 to 65536"},
      {"TooManyExpected",
       [](v1::Hello& hello) { hello.mutable_settings()->set_expected_workers(65'537); }, kInvalid,
       "`settings.expected_workers` = 65537, must be from 1 to 65536"},
      {"RosterBelowExpected",
       [](v1::Hello& hello) { hello.mutable_settings()->set_roster_limit(3); }, kInvalid,
       "`settings.roster_limit` = 3, must be from 4 to 65536"},
      {"RosterTooLarge",
       [](v1::Hello& hello) { hello.mutable_settings()->set_roster_limit(65'537); }, kInvalid,
       "`settings.roster_limit` = 65537, must be from 4 to 65536"},
      {"FirstRoundTooLate",
       [](v1::Hello& hello) { hello.mutable_settings()->set_first_round(kMaxRound + 1); }, kInvalid,
       "`settings.first_round` = 9007199254740993, must be from 0 to 9007199254740992"},
      {"SnapshotsTooRare",
       [](v1::Hello& hello) { hello.mutable_settings()->set_snapshot_interval(4097); }, kInvalid,
       "`settings.snapshot_interval` = 4097, must be from 0 to 4096"},
      {"ZeroTimeout", [](v1::Hello& hello) { hello.mutable_settings()->mutable_start_timeout(); },
       kInvalid, "`settings.start_timeout` = 0, must be positive"},
      {"NegativeTimeout",
       [](v1::Hello& hello) { hello.mutable_settings()->mutable_start_timeout()->set_seconds(-2); },
       kInvalid, "`settings.start_timeout` = -2s, must be positive"},
  };
}

INSTANTIATE_TEST_SUITE_P(EveryRule, ValidateHelloRefusesTest, testing::ValuesIn(Refusals()),
                         [](const auto& row) { return row.param.name; });

struct Difference {
  const char* name;
  std::function<void(v1::Hello&)> change;
  std::string field;
  std::string theirs;
  std::string ours;
};

class CheckSameRunTest : public testing::TestWithParam<Difference> {};

TEST_P(CheckSameRunTest, NamesTheFieldAndBothValues) {
  const v1::Hello running = HelloBuilder().ExpectedWorkers(4).RosterLimit(8).Build();
  v1::Hello newcomer = running;
  GetParam().change(newcomer);
  EXPECT_THAT(CheckSameRun(DescriptionOf(running), DescriptionOf(newcomer)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("`" + GetParam().field + "` = " + GetParam().theirs),
                             HasSubstr("must be " + GetParam().ours))));
}

std::vector<Difference> Differences() {
  return {
      {"Aggregators", [](v1::Hello& hello) { hello.add_aggregators("agg-1"); }, "aggregators",
       "[agg-0, agg-1]", "[agg-0]"},
      {"Seed", [](v1::Hello& hello) { hello.set_seed(43); }, "seed", "43", "42"},
      {"NumberOfElements",
       [](v1::Hello& hello) { hello.mutable_layout()->mutable_tensors(0)->set_num_elements(1000); },
       "layout", "1000 elements in 1 tensors and chunks of 512 (digest ",
       "1024 elements in 1 tensors and chunks of 512 (digest "},
      {"NameOfATensor",
       [](v1::Hello& hello) { hello.mutable_layout()->mutable_tensors(0)->set_name("other"); },
       "layout", "1024 elements", "1024 elements"},
      {"ExpectedWorkers",
       [](v1::Hello& hello) { hello.mutable_settings()->set_expected_workers(5); },
       "settings.expected_workers", "5", "4"},
      {"RosterLimit", [](v1::Hello& hello) { hello.mutable_settings()->set_roster_limit(9); },
       "settings.roster_limit", "9", "8"},
      {"StartTimeout",
       [](v1::Hello& hello) { hello.mutable_settings()->mutable_start_timeout()->set_seconds(60); },
       "settings.start_timeout", "1m", "unset"},
      {"FirstRound", [](v1::Hello& hello) { hello.mutable_settings()->set_first_round(100); },
       "settings.first_round", "100", "0"},
      {"SnapshotInterval",
       [](v1::Hello& hello) { hello.mutable_settings()->set_snapshot_interval(16); },
       "settings.snapshot_interval", "16", "32"},
      // The same value, written out on one side only.
      {"AnyOtherSetting",
       [](v1::Hello& hello) { hello.mutable_settings()->set_snapshot_interval(32); }, "settings",
       "digest ", "digest "},
  };
}

INSTANTIATE_TEST_SUITE_P(EveryField, CheckSameRunTest, testing::ValuesIn(Differences()),
                         [](const auto& row) { return row.param.name; });

TEST(SameRunTest, TakesAnotherWorkerOfTheSameRun) {
  EXPECT_THAT(CheckSameRun(DescriptionOf(HelloBuilder().Build()),
                           DescriptionOf(HelloBuilder().Worker("w-1", 3).Build())),
              IsOk());
}

TEST(SameRunTest, OnlyThoseWhoBeginTogetherNeedTheSameInitialState) {
  v1::Hello other = HelloBuilder().Worker("w-1", 3).Build();
  other.set_initial_state_digest(0xdef);
  const JobDescription running = DescriptionOf(HelloBuilder().Build());
  EXPECT_THAT(CheckSameRun(running, DescriptionOf(other)), IsOk());
  EXPECT_THAT(CheckSameStart(running, DescriptionOf(other)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("`initial_state_digest` = def"), HasSubstr("abc"))));
}

TEST(JobDescriptionTest, OwnChunksAreEverySoManyth) {
  HelloBuilder builder;
  const absl::StatusOr<Layout> layout = Layout::Create({{"weights", 256 * 7}}, 256);
  ASSERT_THAT(layout, IsOk());
  builder.WithLayout(*layout);
  const std::vector<std::string> names = {"agg-0", "agg-1", "agg-2"};
  EXPECT_THAT(DescriptionOf(builder.Aggregators(names, 0).Build()).OwnChunks(),
              ElementsAre(0, 3, 6));
  const JobDescription last = DescriptionOf(builder.Aggregators(names, 2).Build());
  EXPECT_THAT(last.OwnChunks(), ElementsAre(2, 5));
  EXPECT_TRUE(last.Places(5));
  EXPECT_FALSE(last.Places(6));
}

TEST(JobDescriptionTest, AnAggregatorBeyondTheLastChunkOwnsNone) {
  const JobDescription description =
      DescriptionOf(HelloBuilder().Aggregators({"agg-0", "agg-1", "agg-2"}, 2).Build());
  EXPECT_THAT(description.OwnChunks(), IsEmpty());
}

}  // namespace
}  // namespace tally
