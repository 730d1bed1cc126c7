#include "client/optimizers/quality_meter.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"

namespace tally {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;

QualityMeter NewMeter(uint64_t interval = 1) {
  return QualityMeter(interval, /*num_chunks=*/3, FastestHostBackend());
}

double ResidualOfSeven() { return 7.0; }

// One step of one chunk.
absl::optional<RoundQuality> Measure(const std::vector<float>& input,
                                     const std::vector<float>& update,
                                     UpdateScale scale = UpdateScale::kGiven) {
  QualityMeter meter = NewMeter();
  meter.BeginStep(1);
  meter.Add(0, input, update);
  meter.EndStep();
  return meter.Report(ResidualOfSeven, scale);
}

TEST(QualityMeterTest, ComparesTheUpdateWithTheInput) {
  const absl::optional<RoundQuality> quality = Measure({3, 4}, {4, 3});
  ASSERT_TRUE(quality.has_value());
  EXPECT_EQ(quality->step, 1u);
  EXPECT_EQ(quality->num_elements, 2u);
  EXPECT_EQ(quality->input_norm, 5.0);
  EXPECT_EQ(quality->update_norm, 5.0);
  EXPECT_THAT(quality->cosine, DoubleEq(24.0 / 25.0));
  EXPECT_THAT(quality->relative_error, DoubleEq(std::sqrt(2.0) / 5.0));
  EXPECT_EQ(quality->residual_norm, 7.0);
  EXPECT_FALSE(quality->sketch.has_value());
}

TEST(QualityMeterTest, AnUpdateThatIsTheInputHasNoError) {
  const absl::optional<RoundQuality> quality =
      Measure({0.1f, -0.7f, 3e-20f}, {0.1f, -0.7f, 3e-20f});
  ASSERT_TRUE(quality.has_value());
  EXPECT_EQ(quality->cosine, 1.0);
  EXPECT_EQ(quality->relative_error, 0.0);
}

TEST(QualityMeterTest, SaysWhatZerosAreWorth) {
  const struct {
    std::vector<float> input;
    std::vector<float> update;
    double cosine;
    double relative_error;
  } rows[] = {{{0, 0}, {0, 0}, 1, 0},
              {{1, 2}, {0, 0}, 0, 1},
              {{0, 0}, {1, 2}, 0, std::numeric_limits<double>::infinity()},
              {{1, 0}, {0, 1}, 0, std::sqrt(2.0)},
              {{1, 0}, {-1, 0}, -1, 2}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.relative_error);
    const absl::optional<RoundQuality> quality = Measure(row.input, row.update);
    ASSERT_TRUE(quality.has_value());
    EXPECT_EQ(quality->cosine, row.cosine);
    EXPECT_THAT(quality->relative_error, DoubleEq(row.relative_error));
  }
}

TEST(QualityMeterTest, NumbersThatAreNoneStayVisible) {
  const absl::optional<RoundQuality> quality =
      Measure({std::numeric_limits<float>::infinity(), 1}, {1, 1});
  ASSERT_TRUE(quality.has_value());
  EXPECT_TRUE(std::isnan(quality->cosine));
  EXPECT_TRUE(std::isnan(quality->relative_error));
}

TEST(QualityMeterTest, AFreeScaleIsTheOneThatComesClosest) {
  // x.y / y.y = 7 / 2.
  const absl::optional<RoundQuality> quality = Measure({3, -4}, {1, -1}, UpdateScale::kFree);
  ASSERT_TRUE(quality.has_value());
  EXPECT_THAT(quality->cosine, DoubleEq(7.0 / (5.0 * std::sqrt(2.0))));
  EXPECT_THAT(quality->update_norm, DoubleEq(3.5 * std::sqrt(2.0)));
  EXPECT_THAT(quality->relative_error, DoubleEq(std::sqrt(0.5) / 5.0));
  // No scale turns an update around.
  const absl::optional<RoundQuality> opposite = Measure({3, -4}, {-1, 1}, UpdateScale::kFree);
  ASSERT_TRUE(opposite.has_value());
  EXPECT_LT(opposite->cosine, -0.9);
  EXPECT_EQ(opposite->relative_error, 1.0);
}

TEST(QualityMeterTest, TheOrderOfChunksChangesNoBit) {
  const std::vector<float> parts[] = {{0x1p30f, 1.0f}, {0.3f, 0.1f}, {1e-5f, 7.0f}};
  const auto measure = [&](const std::vector<uint32_t>& order) {
    QualityMeter meter = NewMeter();
    meter.BeginStep(1);
    for (const uint32_t chunk : order) meter.Add(chunk, parts[chunk], parts[(chunk + 1) % 3]);
    meter.EndStep();
    return *meter.Report(ResidualOfSeven);
  };
  const RoundQuality forward = measure({0, 1, 2});
  const RoundQuality shuffled = measure({2, 0, 1});
  EXPECT_EQ(forward.num_elements, 6u);
  EXPECT_EQ(forward.input_norm, shuffled.input_norm);
  EXPECT_EQ(forward.cosine, shuffled.cosine);
  EXPECT_EQ(forward.relative_error, shuffled.relative_error);
}

TEST(QualityMeterTest, PutsSketchedGroupsTogether) {
  QualityMeter meter = NewMeter();
  meter.BeginStep(1);
  meter.AddSketched(
      0, {.sums = {.num_elements = 10, .input_squares = 64, .product = 30, .update_squares = 25},
          .columns = 16,
          .chosen_squares = 36,
          .num_candidates = 8,
          .num_chosen = 2,
          .smallest_chosen = 3});
  // A group that has candidates, of which none was chosen.
  meter.AddSketched(
      1, {.sums = {.num_elements = 10, .input_squares = 36}, .columns = 4, .num_candidates = 8});
  meter.AddSketched(2, {.sums = {.num_elements = 5},
                        .columns = 4,
                        .num_candidates = 3,
                        .num_chosen = 1,
                        .smallest_chosen = 0.5});
  meter.EndStep();
  const absl::optional<RoundQuality> quality = meter.Report(ResidualOfSeven);
  ASSERT_TRUE(quality.has_value());
  EXPECT_EQ(quality->num_elements, 25u);
  EXPECT_EQ(quality->input_norm, 10.0);
  EXPECT_EQ(quality->update_norm, 5.0);
  EXPECT_THAT(quality->cosine, DoubleEq(0.6));
  EXPECT_THAT(quality->relative_error, DoubleEq(std::sqrt(0.65)));
  ASSERT_TRUE(quality->sketch.has_value());
  EXPECT_THAT(quality->sketch->energy_share, DoubleEq(0.36));
  EXPECT_EQ(quality->sketch->num_candidates, 19u);
  EXPECT_EQ(quality->sketch->num_chosen, 3u);
  EXPECT_EQ(quality->sketch->error_bound, 3.0);
  EXPECT_EQ(quality->sketch->smallest_chosen, 0.5);
}

TEST(QualityMeterTest, NothingOfZeroIsRecovered) {
  QualityMeter meter = NewMeter();
  meter.BeginStep(1);
  meter.AddSketched(0, {.sums = {.num_elements = 4}, .columns = 16, .num_candidates = 2});
  meter.EndStep();
  const absl::optional<RoundQuality> quality = meter.Report(ResidualOfSeven);
  ASSERT_TRUE(quality.has_value());
  EXPECT_EQ(quality->sketch->energy_share, 0.0);
  EXPECT_EQ(quality->sketch->smallest_chosen, 0.0);
}

// The steps with a report among those from 1 on; `fed` of them exchange something lossily.
std::vector<uint64_t> StepsMeasured(uint64_t interval, const std::vector<bool>& fed) {
  QualityMeter meter = NewMeter(interval);
  std::vector<uint64_t> measured;
  for (uint64_t step = 1; step <= fed.size(); ++step) {
    meter.BeginStep(step);
    if (fed[step - 1]) meter.Add(0, {1}, {1});
    meter.EndStep();
    const absl::optional<RoundQuality> quality = meter.Report(ResidualOfSeven);
    if (quality.has_value()) measured.push_back(quality->step);
  }
  return measured;
}

TEST(QualityMeterTest, MeasuresEveryNthStep) {
  EXPECT_THAT(StepsMeasured(3, std::vector<bool>(8, true)), ElementsAre(1, 4, 7));
  EXPECT_THAT(StepsMeasured(1, std::vector<bool>(3, true)), ElementsAre(1, 2, 3));
  EXPECT_THAT(StepsMeasured(0, std::vector<bool>(3, true)), ElementsAre());
}

TEST(QualityMeterTest, StepsThatLoseNothingAreNotWaitedFor) {
  // A warm-up, then an exchange in every fourth step.
  EXPECT_THAT(StepsMeasured(3, {false, false, true, false, false, false, true, true}),
              ElementsAre(3, 7));
}

TEST(QualityMeterTest, AnotherStateHasOtherSteps) {
  QualityMeter meter = NewMeter(5);
  meter.BeginStep(100);
  meter.Add(0, {1}, {1});
  meter.EndStep();
  meter.BeginStep(101);
  EXPECT_FALSE(meter.measures());
  meter.Forget();
  meter.BeginStep(3);
  EXPECT_TRUE(meter.measures());
}

TEST(QualityMeterTest, HasNoReportOfWhatDidNotHappen) {
  const auto never_asked = [] {
    ADD_FAILURE() << "the residual costs a pass";
    return 0.0;
  };
  QualityMeter meter = NewMeter();
  EXPECT_FALSE(meter.Report(never_asked).has_value()) << "no step";
  meter.BeginStep(1);
  meter.Add(0, {1}, {1});
  EXPECT_FALSE(meter.Report(never_asked).has_value()) << "the step has not succeeded";
  meter.EndStep();
  EXPECT_TRUE(meter.Report(ResidualOfSeven).has_value());
  meter.Forget();
  EXPECT_FALSE(meter.Report(never_asked).has_value()) << "of another state";
  meter.BeginStep(2);
  meter.EndStep();
  EXPECT_FALSE(meter.Report(never_asked).has_value()) << "no lossy exchange";
}

}  // namespace
}  // namespace tally
