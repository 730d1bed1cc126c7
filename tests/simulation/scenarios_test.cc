// Sequences of events that break simpler protocols, by name; each at many moments, and with many
// latencies.
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simulation/schedule.h"
#include "tests/simulation/scripted_exchange.h"
#include "tests/simulation/simulation.h"
#include "tests/util/live_bytes.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = ScriptedFault::Kind;

constexpr uint64_t kRunsPerScenario = 16;
constexpr absl::Duration kEvictAfter = absl::Seconds(8);

class ScenarioTest : public testing::Test {
 protected:
  // A job of five workers and two aggregators, long enough for what happens to it.
  static SimulationOptions JobOf(uint64_t seed) {
    return {.seed = seed,
            .workers = 5,
            .aggregators = 2,
            .rounds = 60,
            .snapshot_interval = 4,
            .dealt = seed % 2 == 1,
            .evict_after = kEvictAfter};
  }
  // Some moment of the run's first rounds; another one for each seed.
  static absl::Duration Moment(uint64_t seed) {
    return absl::Milliseconds(150) + absl::Microseconds(9'371) * static_cast<int64_t>(seed);
  }

  // Plays it, and checks what must hold after every schedule.
  static SimulationReport Play(const SimulationOptions& options) {
    EXPECT_THAT(CheckSchedule(options), IsOk()) << "seed " << options.seed;
    return std::move(Simulate(options).jobs.front());
  }

  // Who is named as evicted in some header.
  static std::set<std::string> Evicted(const SimulationReport& report) {
    std::set<std::string> evicted;
    for (const auto& [worker, history] : report.histories()) {
      for (const auto& [chunk, entries] : history) {
        for (const AppliedEntry& entry : entries) {
          for (const v1::Member& member : entry.header.evicted()) evicted.insert(member.worker());
        }
      }
    }
    return evicted;
  }
  static bool LostAResidual(const SimulationReport& report) {
    for (const auto& [worker, history] : report.histories()) {
      for (const auto& [chunk, entries] : history) {
        for (const AppliedEntry& entry : entries) {
          if (entry.header.residual_rebased()) return true;
        }
      }
    }
    return false;
  }
};

// F11: one worker has the candidates and has sent its values, another has not seen them.
TEST_F(ScenarioTest, AnAggregatorDiesBetweenTheHalvesOfARound) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    options.dealt = true;
    options.script = {{Kind::kKillAggregator, Moment(seed), absl::Milliseconds(20), 0}};
    EXPECT_THAT(Evicted(Play(options)), IsEmpty());
  }
}

// F12: the other aggregator has closed its half, and nobody may redo this one.
TEST_F(ScenarioTest, AWorkerDiesBetweenTheHalvesOfARound) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    options.dealt = true;
    options.script = {{.kind = Kind::kKillWorker, .at = Moment(seed), .worker = 2}};
    EXPECT_THAT(Evicted(Play(options)), ElementsAre("w-2"));
  }
}

// F14: one aggregator has evicted a worker, the other has not yet, and is killed: the Hellos of the
// others and that worker's claim different rosters.
TEST_F(ScenarioTest, AnAggregatorDiesWhileRostersDiffer) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    const absl::Duration at = Moment(seed);
    options.script = {
        {.kind = Kind::kPart, .at = at, .lasts = absl::Seconds(12), .aggregator = 0, .worker = 4},
        {Kind::kKillAggregator, at + kEvictAfter + absl::Milliseconds(100 + 7 * seed),
         absl::Milliseconds(300), static_cast<uint32_t>(seed / 2 % 2)}};
    const SimulationReport report = Play(options);
    EXPECT_THAT(Evicted(report), ElementsAre("w-4"));
  }
}

// F15: the custodian of the newest snapshot dies, and some rounds later the aggregator: a departure
// is followed by a snapshot of its own.
TEST_F(ScenarioTest, AnAggregatorDiesSomeRoundsAfterACustodian) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    // No other snapshot is due for a while.
    options.snapshot_interval = 64;
    const absl::Duration at = Moment(seed);
    options.script = {
        {.kind = Kind::kKillWorker, .at = at, .worker = 1 + static_cast<uint32_t>(seed % 4)},
        {Kind::kKillAggregator, at + kEvictAfter + absl::Milliseconds(600), absl::Milliseconds(50),
         0}};
    const SimulationReport report = Play(options);
    EXPECT_THAT(Evicted(report), SizeIs(1));
    EXPECT_FALSE(LostAResidual(report)) << "seed " << seed;
  }
}

// F18: a result may have reached one worker alone, which the restarted aggregator cannot hear,
// though the other one does.
TEST_F(ScenarioTest, AWorkerIsCutFromARestartedAggregator) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    const absl::Duration at = Moment(seed);
    options.script = {
        {Kind::kKillAggregator, at, absl::Milliseconds(10), 0},
        {.kind = Kind::kPart, .at = at, .lasts = absl::Seconds(40), .aggregator = 0, .worker = 1}};
    EXPECT_THAT(Evicted(Play(options)), ElementsAre("w-1"));
  }
}

// F18, F28: such a worker comes again, and has back what the others' history does not count.
TEST_F(ScenarioTest, WhatAWorkerAloneHasReadIsUndone) {
  uint64_t num_undone = 0;
  for (uint64_t seed = 0; seed < 4 * kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    options.workers = 2;
    options.rounds = 200;
    const absl::Duration at = Moment(seed % kRunsPerScenario) + absl::Microseconds(13 * seed);
    options.script = {{Kind::kKillAggregator, at, absl::Milliseconds(10), 0},
                      {.kind = Kind::kPart,
                       .at = at,
                       .lasts = kEvictAfter + absl::Seconds(1),
                       .aggregator = 0,
                       .worker = 1}};
    const SimulationReport report = Play(options);
    EXPECT_THAT(report.newcomers, ElementsAre("w-1"));
    num_undone += report.undone_contributions;
  }
  EXPECT_GT(num_undone, 0u);
}

// F20: workers try again soon enough after a long outage that nobody is held for dead.
TEST_F(ScenarioTest, AnAggregatorIsDownForLong) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    options.script = {{Kind::kKillAggregator, Moment(seed), absl::Seconds(90), 0}};
    const SimulationReport report = Play(options);
    EXPECT_THAT(Evicted(report), IsEmpty());
    EXPECT_THAT(report.evicted_workers, IsEmpty());
  }
}

// F21: an aggregator that stands still makes nobody silent.
TEST_F(ScenarioTest, AnAggregatorStandsStillForLong) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    options.script = {{Kind::kPauseAggregator, Moment(seed), absl::Seconds(60), 0}};
    EXPECT_THAT(Evicted(Play(options)), IsEmpty());
  }
}

// F22: whoever alone had the newest result is dead before it could give it.
TEST_F(ScenarioTest, AWorkerDiesWithTheAggregator) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    const absl::Duration at = Moment(seed);
    options.script = {
        {Kind::kKillAggregator, at, absl::Milliseconds(200), 0},
        {.kind = Kind::kKillWorker, .at = at + absl::Milliseconds(seed % 300), .worker = 3}};
    EXPECT_THAT(Evicted(Play(options)), ElementsAre("w-3"));
  }
}

// F23: a worker is rounds behind when the aggregator loses its memory.
TEST_F(ScenarioTest, AnAggregatorDiesWhileAWorkerIsRoundsBehind) {
  uint64_t late = 0;
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    options.max_late = 1;
    // The others close some eight rounds without it.
    const absl::Duration at = absl::Milliseconds(300) + Moment(seed);
    options.script = {
        {.kind = Kind::kPauseWorker, .at = at, .lasts = absl::Milliseconds(500), .worker = 3},
        {Kind::kKillAggregator, at + absl::Milliseconds(250), absl::Milliseconds(20),
         static_cast<uint32_t>(seed / 2 % 2)}};
    const SimulationReport report = Play(options);
    EXPECT_FALSE(LostAResidual(report)) << "seed " << seed;
    EXPECT_THAT(report.evicted_workers, IsEmpty()) << "it gets the results that it lacks";
    late += report.late_contributions;
  }
  EXPECT_GT(late, 0u);
}

// F15: a worker leaves, and the aggregator dies before or after the snapshot that follows.
TEST_F(ScenarioTest, AnAggregatorDiesWhileAWorkerLeaves) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    options.snapshot_interval = 64;
    const absl::Duration at = Moment(seed);
    options.script = {
        {.kind = Kind::kLeaveWorker, .at = at, .worker = 1 + static_cast<uint32_t>(seed % 4)},
        {Kind::kKillAggregator, at + absl::Milliseconds(5 * seed), absl::Milliseconds(50), 0}};
    const SimulationReport report = Play(options);
    EXPECT_THAT(Evicted(report), IsEmpty());
    EXPECT_FALSE(LostAResidual(report)) << "seed " << seed;
    ASSERT_THAT(report.bequests, SizeIs(1));
    const SimulationReport::Bequeathed& bequest = report.bequests.begin()->second;
    EXPECT_GT(bequest.inherited, 0);
    EXPECT_EQ(bequest.discarded, 0) << "seed " << seed;
  }
}

// F26: two leave at a time: neither is the other's heir. And those who are left leave as well.
TEST_F(ScenarioTest, WorkersLeaveTogether) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    const absl::Duration at = Moment(seed);
    options.cuts = absl::Milliseconds(100);
    for (const uint32_t w : {1u, 3u}) {
      options.script.push_back({.kind = Kind::kLeaveWorker, .at = at, .worker = w});
    }
    const SimulationReport report = Play(options);
    EXPECT_THAT(report.bequests, SizeIs(2));
    for (const auto& [worker, bequest] : report.bequests) {
      EXPECT_EQ(bequest.discarded, 0) << worker << ", seed " << seed;
    }
  }
}

// F27: a process stands still, another one takes its place, and the first comes to itself.
TEST_F(ScenarioTest, AProcessIsReplacedWhileItStandsStill) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    const absl::Duration at = Moment(seed);
    options.script = {
        {.kind = Kind::kPauseWorker, .at = at, .lasts = absl::Seconds(3), .worker = 2},
        {.kind = Kind::kReplaceWorker, .at = at + absl::Seconds(1), .worker = 2}};
    const SimulationReport report = Play(options);
    EXPECT_THAT(Evicted(report), ElementsAre("w-2")) << "its first process";
    EXPECT_GT(report.joined_contributions, 0u) << "seed " << seed;
  }
}

// F30: each of two workers has lost another aggregator. Evictions without witnesses would fence
// both, and with more such cuts everybody.
TEST_F(ScenarioTest, WorkersAreCutFromDifferentAggregators) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    options.workers = 4;
    const absl::Duration at = Moment(seed);
    for (uint32_t w = 0; w < 4; ++w) {
      options.script.push_back({.kind = Kind::kPart,
                                .at = at,
                                .lasts = 3 * kEvictAfter,
                                .aggregator = w % 2,
                                .worker = w});
    }
    const SimulationReport report = Play(options);
    EXPECT_THAT(Evicted(report), IsEmpty()) << "nobody reaches all aggregators";
    EXPECT_THAT(report.evicted_workers, IsEmpty());
  }
}

// F30: two of five are cut; those who reach everything go on without them.
TEST_F(ScenarioTest, AMinorityIsCutOff) {
  for (uint64_t seed = 0; seed < kRunsPerScenario; ++seed) {
    SimulationOptions options = JobOf(seed);
    const absl::Duration at = Moment(seed);
    for (const uint32_t w : {1u, 3u}) {
      options.script.push_back({.kind = Kind::kPart,
                                .at = at,
                                .lasts = absl::Minutes(5),
                                .aggregator = w / 2,
                                .worker = w});
    }
    EXPECT_THAT(Evicted(Play(options)), ElementsAre("w-1", "w-3"));
  }
}

// What an aggregator is admitted with is far above what such small chunks take: so that nothing
// grows with the rounds but the chains that it keeps, 4,096 of 16 bytes per chunk.
TEST(SimulationTest, AnAggregatorHoldsNoMoreAfterManyRounds) {
  if (!KnowsOwners()) GTEST_SKIP() << "a sanitizer counts what is allocated";
  SimulationOptions options;
  options.aggregators = 1;
  options.rounds = 200;
  const int64_t after_few = Simulate(options).aggregators.front().peak_bytes;
  options.rounds = 2'000;
  const int64_t after_many = Simulate(options).aggregators.front().peak_bytes;
  const auto num_chunks = static_cast<int64_t>(SimulatedLayout(options.dealt).chunks().size());
  EXPECT_LE(after_many - after_few, num_chunks * 2'000 * 32);
}

}  // namespace
}  // namespace tally
