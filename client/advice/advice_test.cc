#include "client/advice/advice.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

AdviceOptions Example() {
  return {.parameters = 25'600'000,
          .workers = 16,
          .uplink_bits_per_second = 1e9,
          .step = absl::Milliseconds(120)};
}

Advice AdviceOn(const AdviceOptions& options) {
  absl::StatusOr<Advice> advice = Advise(options);
  EXPECT_THAT(advice, IsOk());
  return *std::move(advice);
}

// The first row of the method: the one with the options that were given.
const AdviceRow& RowOf(const Advice& advice, absl::string_view method) {
  return *std::find_if(advice.rows.begin(), advice.rows.end(),
                       [method](const AdviceRow& row) { return row.method == method; });
}

TEST(AdviseTest, HasARowForEveryMethodInTheirOrder) {
  std::vector<std::string> methods;
  for (const AdviceRow& row : AdviceOn(Example()).rows) {
    if (methods.empty() || methods.back() != row.method) methods.push_back(row.method);
  }
  const std::vector<absl::string_view> names = OptimizerNames();
  EXPECT_EQ(methods, std::vector<std::string>(names.begin(), names.end()));
}

TEST(AdviseTest, ShowsBothSettingsWhereTheyDecide) {
  std::vector<std::string> settings;
  for (const AdviceRow& row : AdviceOn(Example()).rows) settings.push_back(row.settings);
  EXPECT_THAT(settings, testing::IsSupersetOf({"float32", "bfloat16", "votes", "votes, counts down",
                                               "blocks of 1024", "top-k, share 0.01"}));
}

TEST(AdviseTest, CompressesWhereManyWorkersShareSlowLinks) {
  AdviceOptions options = Example();
  options.aggregators = 8;
  const Advice advice = AdviceOn(options);
  EXPECT_EQ(advice.recommendation, Recommendation::kCompress);
  EXPECT_EQ(RowOf(advice, "birder").verdict, AdviceVerdict::kFaster);
  EXPECT_GT(RowOf(advice, "birder").gain, 2);
  EXPECT_GT(RowOf(advice, "birder").ring_gain, 2);
}

TEST(AdviseTest, DoesNotCompressOnFastLinks) {
  AdviceOptions options = Example();
  options.uplink_bits_per_second = 100e9;
  options.workers = 8;
  options.aggregators = 8;
  options.step = absl::Seconds(1);
  EXPECT_EQ(AdviceOn(options).recommendation, Recommendation::kDoNotCompress);
}

TEST(AdviseTest, DoesNotCompressWhereTheStepHidesEverything) {
  AdviceOptions options = Example();
  options.step = absl::Hours(1);
  options.overlap = 1;
  const Advice advice = AdviceOn(options);
  EXPECT_EQ(advice.recommendation, Recommendation::kDoNotCompress);
  for (const AdviceRow& row : advice.rows) {
    EXPECT_NEAR(absl::FDivDuration(row.mean_round, options.step), 1, 1e-9) << row.method;
  }
}

// One aggregator takes in what all send, which no ring has to.
TEST(AdviseTest, SaysWhereOnlyARingIsBetterThanCompression) {
  AdviceOptions options = Example();
  options.uplink_bits_per_second = 100e9;
  const Advice advice = AdviceOn(options);
  EXPECT_EQ(advice.recommendation, Recommendation::kCompressUnlessRing);
  EXPECT_GE(advice.rows[advice.fastest].gain, kWorthwhileGain);
  EXPECT_LT(advice.rows[advice.fastest].ring_gain, kWorthwhileGain);
}

TEST(AdviseTest, AddsUpTheTermsOfItsFormula) {
  AdviceOptions options = Example();
  options.latency = absl::Milliseconds(3);
  options.overlap = 0.5;
  for (const AdviceRow& row : AdviceOn(options).rows) {
    SCOPED_TRACE(row.method);
    const RoundCost& cost = row.cost;
    const absl::Duration slowest = std::max({cost.worker, cost.up, cost.aggregator, cost.down});
    const absl::Duration sum = cost.worker + cost.up + cost.aggregator + cost.down;
    EXPECT_EQ(cost.exchange, std::max(slowest, cost.window) +
                                 (sum - slowest) / static_cast<double>(cost.chunks) + cost.latency);
    EXPECT_NEAR(absl::ToDoubleSeconds(cost.round),
                0.120 + std::max(0.0, absl::ToDoubleSeconds(cost.exchange) - 0.060), 1e-8);
  }
}

TEST(AdviseTest, ReckonsADenseRoundAsByHand) {
  AdviceOptions options = Example();
  options.parameters = 1'000'000;  // one chunk
  options.workers = 4;
  options.latency = absl::Milliseconds(2);
  const RoundCost cost = RowOf(AdviceOn(options), "dense_adam").cost;
  // 4,000,000 bytes in 8 slices of 512 KiB.
  EXPECT_EQ(cost.up_bytes, 4'000'000 + 110 + 7 * 40);
  EXPECT_EQ(cost.down_bytes, 4'000'000 + 110 + 0.5 + 7 * 40);
  // The aggregator's link carries the contributions of four workers.
  const double seconds = 4 * cost.up_bytes * 8 / (1e9 * 1448 / 1538);
  EXPECT_NEAR(absl::ToDoubleSeconds(cost.up), seconds, 1e-6);
  EXPECT_EQ(cost.chunks, 1u);
  EXPECT_EQ(cost.latency, absl::Milliseconds(2));
  EXPECT_EQ(cost.window, absl::Milliseconds(2) / 16);
}

TEST(AdviseTest, LargerChunksWaitForFewerLatencies) {
  AdviceOptions options = Example();
  options.latency = absl::Milliseconds(100);
  options.chunk_elements = 65'536;
  const RoundCost small = RowOf(AdviceOn(options), "birder").cost;
  EXPECT_EQ(small.chunks, 391u);
  options.chunk_elements = kMaxChunkElements;
  const RoundCost large = RowOf(AdviceOn(options), "birder").cost;
  EXPECT_EQ(large.chunks, 2u);
  EXPECT_GT(small.window, 10 * large.window);
}

// Rates are finer than Durations.
TEST(AdviseTest, RoundsNoRateOfAWorker) {
  AdviceOptions options = Example();
  const RoundCost dense = RowOf(AdviceOn(options), "dense_adam").cost;
  EXPECT_NEAR(absl::ToDoubleSeconds(dense.worker), 25.6e6 * 2.3e-9, 1e-6);
  EXPECT_NEAR(absl::ToDoubleSeconds(RowOf(AdviceOn(options), "onebit_adam").cost.worker),
              25.6e6 * 3.4e-9, 1e-6);
}

TEST(AdviseTest, TakesTheSlowerEndOfALink) {
  AdviceOptions options = Example();
  options.aggregators = 16;
  options.aggregator_link_bits_per_second = 100e9;
  options.downlink_bits_per_second = 0.5e9;
  const RoundCost cost = RowOf(AdviceOn(options), "birder").cost;
  EXPECT_NEAR(absl::ToDoubleSeconds(cost.up), cost.up_bytes * 8 / (1e9 * 1448 / 1538), 1e-6);
  EXPECT_NEAR(absl::ToDoubleSeconds(cost.down), cost.down_bytes * 8 / (0.5e9 * 1448 / 1538), 1e-6);
}

TEST(AdviseTest, PaysALatencyForEachHalfOfASketchRound) {
  AdviceOptions options = Example();
  options.latency = absl::Milliseconds(5);
  const Advice advice = AdviceOn(options);
  EXPECT_EQ(RowOf(advice, "sketched_sgd").cost.latency, absl::Milliseconds(10));
  EXPECT_EQ(RowOf(advice, "birder").cost.latency, absl::Milliseconds(5));
}

TEST(AdviseTest, ReckonsARing) {
  AdviceOptions options = Example();
  options.latency = absl::Milliseconds(1);
  const Advice advice = AdviceOn(options);
  EXPECT_EQ(advice.rings[0].bytes, 2.0 * 15 / 16 * 25'600'000 * 4);
  EXPECT_EQ(advice.rings[1].bytes, advice.rings[0].bytes / 2);
  EXPECT_NEAR(absl::ToDoubleSeconds(advice.rings[0].round),
              0.120 + advice.rings[0].bytes * 8 / (1e9 * 1448 / 1538) + 15 * 0.001 +
                  absl::ToDoubleSeconds(RowOf(advice, "dense_adam").cost.worker),
              1e-6);
  options.workers = 1;
  EXPECT_EQ(AdviceOn(options).rings[0].bytes, 0);
}

TEST(AdviseTest, CountsTheWarmUpIntoTheMean) {
  AdviceOptions options = Example();
  options.rounds = 100;
  const absl::Duration dense = RowOf(AdviceOn(options), "dense_adam").mean_round;
  for (const char* method : {"onebit_adam", "sketched_amsgrad"}) {
    SCOPED_TRACE(method);
    options.optimizer.warmup_rounds = 0;
    const AdviceRow never = RowOf(AdviceOn(options), method);
    EXPECT_NEAR(absl::FDivDuration(never.mean_round, never.cost.round), 1, 1e-9);
    options.optimizer.warmup_rounds = 25;
    const AdviceRow quarter = RowOf(AdviceOn(options), method);
    EXPECT_EQ(quarter.cost.round, never.cost.round);
    EXPECT_GT(quarter.mean_up_bytes, never.mean_up_bytes);
    options.optimizer.warmup_rounds = 1000;  // more than the run has
    const AdviceRow always = RowOf(AdviceOn(options), method);
    EXPECT_NEAR(absl::ToDoubleSeconds(quarter.mean_round),
                0.25 * absl::ToDoubleSeconds(always.mean_round) +
                    0.75 * absl::ToDoubleSeconds(never.mean_round),
                1e-6);
    EXPECT_NEAR(absl::FDivDuration(always.mean_round, dense), 1, 0.05);
  }
}

TEST(AdviseTest, StepsAloneBetweenExchanges) {
  AdviceOptions options = Example();
  options.rounds = 1000;
  options.optimizer.warmup_rounds = 10;
  options.optimizer.schedule.local_step_scaler = 1;  // soon one exchange in 16 steps
  const Advice advice = AdviceOn(options);
  const RoundCost alone = RowOf(advice, "zeroone_adam").cost;
  const RoundCost together = RowOf(advice, "onebit_adam").cost;
  EXPECT_LT(alone.up_bytes, together.up_bytes / 12);
  EXPECT_GT(alone.up_bytes, together.up_bytes / 16);
  EXPECT_GT(alone.round, options.step + alone.worker);
  EXPECT_LT(alone.round - options.step - alone.worker,
            (together.round - options.step - together.worker) / 12);
}

TEST(AdviseTest, WarnsOfSketchesThatFindNothing) {
  AdviceOptions options = Example();
  options.sketch_columns_share = 0.006;
  const Advice advice = AdviceOn(options);
  for (const char* method : {"sketched_sgd", "sketched_amsgrad"}) {
    SCOPED_TRACE(method);
    EXPECT_EQ(RowOf(advice, method).verdict, AdviceVerdict::kUnsuitable);
    EXPECT_THAT(RowOf(advice, method).warning, HasSubstr("less than twice `num_updated`"));
  }
  EXPECT_FALSE(Sketches(advice.rows[advice.fastest].method));
}

TEST(AdviseTest, ReckonsWithLayoutsOfAnySize) {
  AdviceOptions options = Example();
  for (const uint64_t parameters : {uint64_t{1}, uint64_t{10'000'000'000}}) {
    options.parameters = parameters;
    for (const AdviceRow& row : AdviceOn(options).rows) {
      SCOPED_TRACE(row.method);
      EXPECT_GT(row.cost.up_bytes, 0);
      EXPECT_GT(row.mean_round, options.step);
      if (parameters > 1) {
        EXPECT_THAT(row.warning, IsEmpty());
      }
    }
  }
}

TEST(AdviseTest, SaysWhichMethodsCannotHaveSuchALayout) {
  AdviceOptions options = Example();
  options.parameters = kMaxElements;
  for (const AdviceRow& row : AdviceOn(options).rows) {
    SCOPED_TRACE(row.method);
    if (!Sketches(row.method)) {
      EXPECT_THAT(row.warning, IsEmpty());
      continue;
    }
    EXPECT_EQ(row.verdict, AdviceVerdict::kUnsuitable);
    EXPECT_THAT(row.warning, HasSubstr("`sketch.num_updated` = 5.4"));
  }
}

TEST(AdviseTest, RefusesWhatNoMethodCanHave) {
  AdviceOptions options = Example();
  options.parameters = uint64_t{1} << 40;
  options.chunk_elements = 65'536;
  EXPECT_THAT(Advise(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("chunk")));
  options = Example();
  options.optimizer.schedule.max_local_steps = 0;
  EXPECT_THAT(Advise(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`max_local_steps`")));
}

TEST(AdviseTest, DenseSharesTravelDense) {
  AdviceOptions options = Example();
  options.dense_share = 0.5;
  const Advice advice = AdviceOn(options);
  EXPECT_NEAR(RowOf(advice, "birder").cost.up_bytes, 12.8e6 * 4 + 12.8e6 / 8, 1e4);
  EXPECT_NEAR(RowOf(advice, "dense_sgd").cost.up_bytes, 25.6e6 * 4, 2e4);
}

// Whatever gets better makes no row slower, whatever gets worse none faster.
TEST(AdviseTest, IsMonotonous) {
  const struct {
    const char* label;
    std::function<void(AdviceOptions&)> worsen;
  } cases[] = {
      {"parameters", [](AdviceOptions& o) { o.parameters *= 3; }},
      {"workers", [](AdviceOptions& o) { o.workers *= 2; }},
      {"uplink", [](AdviceOptions& o) { o.uplink_bits_per_second /= 4; }},
      {"downlink", [](AdviceOptions& o) { o.downlink_bits_per_second = 1e6; }},
      {"aggregators", [](AdviceOptions& o) { o.aggregators = 1; }},
      {"aggregator_link", [](AdviceOptions& o) { o.aggregator_link_bits_per_second = 1e6; }},
      {"aggregator_cores", [](AdviceOptions& o) { o.aggregator_cores = 1; }},
      {"latency", [](AdviceOptions& o) { o.latency = absl::Milliseconds(100); }},
      {"step", [](AdviceOptions& o) { o.step *= 2; }},
      {"overlap", [](AdviceOptions& o) { o.overlap = 0; }},
  };
  AdviceOptions options = Example();
  options.aggregators = 4;
  options.overlap = 0.3;
  const Advice before = AdviceOn(options);
  for (const auto& row : cases) {
    SCOPED_TRACE(row.label);
    AdviceOptions worse = options;
    row.worsen(worse);
    const Advice after = AdviceOn(worse);
    bool slower = false;
    for (size_t i = 0; i < before.rows.size(); ++i) {
      EXPECT_GE(after.rows[i].mean_round, before.rows[i].mean_round) << before.rows[i].method;
      slower |= after.rows[i].mean_round > before.rows[i].mean_round;
    }
    EXPECT_TRUE(slower);
  }
}

}  // namespace
}  // namespace tally
