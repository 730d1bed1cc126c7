#include "examples/training.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/optional.h"
#include "base/buffer.h"
#include "base/simulated_clock.h"
#include "client/inheritance.h"
#include "client/optimizers/take_inheritances.h"
#include "examples/checkpoint.h"
#include "examples/mlp_model.h"
#include "examples/parameters_digest.h"
#include "examples/quality_log.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/counting_client.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Goes down the gradient; sends 100 bytes a round in its first two rounds, then 10. Every step
// takes a second.
class StepDown final : public Optimizer {
 public:
  StepDown(CountingClient* client, SimulatedClock* clock) : client_(*client), clock_(*clock) {}

  absl::string_view name() const override { return "onebit_adam"; }
  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override {
    if (!failure.ok()) return failure;
    for (size_t i = 0; i < parameters.size(); ++i) parameters[i] -= rate * gradients[i];
    const uint64_t num_bytes = statistics().compressing ? 10 : 100;
    client_.traffic.contribution_bytes += num_bytes;
    client_.traffic.result_bytes += 2 * num_bytes;
    clock_.AdvanceBy(absl::Seconds(1));
    ++steps_;
    return absl::OkStatus();
  }
  absl::Status SetLearningRate(float learning_rate) override {
    learning_rates.push_back(learning_rate);
    return absl::OkStatus();
  }
  absl::optional<RoundQuality> quality() const override {
    if (steps_ < 3) return absl::nullopt;
    return RoundQuality{.step = steps_, .cosine = 1.0 / static_cast<double>(steps_ - 2)};
  }
  OptimizerStatistics statistics() const override {
    return {.steps = steps_,
            .compressing = steps_ >= 2,
            .common_parameters = steps_ % common_interval == 0};
  }
  absl::Status Follow(absl::Span<float>) override { return absl::OkStatus(); }
  std::vector<float> Residual() const override { return {1, 2, 3}; }
  absl::Status Inherit(uint64_t offset, absl::Span<const float> x) override {
    for (size_t i = 0; i < x.size(); ++i) inherited[offset + i] += x[i];
    return absl::OkStatus();
  }
  std::string Save(StateScope) const override { return ""; }
  absl::Status LoadState(absl::string_view) override { return absl::OkStatus(); }

  float rate = 0.1f;
  uint64_t common_interval = 1;
  std::vector<float> learning_rates;
  std::map<uint64_t, float> inherited;
  absl::Status failure;

 private:
  CountingClient& client_;
  SimulatedClock& clock_;
  uint64_t steps_ = 0;
};

class TrainingTest : public testing::Test {
 protected:
  TrainingTest() {
    options_.optimizer = "onebit_adam";
    options_.worker = "w-0";
    options_.workers = 2;
    options_.aggregators = {{"agg-0", "host:1"}};
    options_.rounds = 6;
    options_.batch = 8;
    options_.seed = 1;
  }

  absl::StatusOr<TrainingReport> RunTraining() {
    return Train(options_, {.text = &text_,
                            .model = model_.get(),
                            .client = &client_,
                            .optimizer = &optimizer_,
                            .clock = &clock_});
  }

  static std::string Repeat(const std::string& text, int times) {
    std::string repeated;
    for (int i = 0; i < times; ++i) repeated += text;
    return repeated;
  }

  const TextData text_ = *TextData::Create({Repeat("a text that repeats itself. ", 500)}, 2, 4);
  const std::unique_ptr<MlpModel> model_ =
      *MlpModel::Create({.vocabulary_size = text_.vocabulary_size(),
                         .context = 3,
                         .embedding_width = 4,
                         .hidden_width = 8,
                         .chunk_elements = 256});
  SimulatedClock clock_;
  CountingClient client_{&model_->layout()};
  StepDown optimizer_{&client_, &clock_};
  TrainerOptions options_;
};

TEST_F(TrainingTest, ReportsLossesTrafficAndSpeed) {
  options_.validate_every = 2;
  client_.traffic.other_bytes_sent = 7;
  client_.traffic.other_bytes_received = 8;
  client_.traffic.missed_contributions = 3;
  const absl::StatusOr<TrainingReport> report = RunTraining();
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(report->training_loss, SizeIs(6));
  EXPECT_THAT(report->validation_loss,
              ElementsAre(Field(&LossPoint::round, 0), Field(&LossPoint::round, 2),
                          Field(&LossPoint::round, 4), Field(&LossPoint::round, 6)));
  EXPECT_LT(report->validation_loss.back().loss, report->validation_loss.front().loss);
  EXPECT_EQ(report->bytes_up, 2 * 100u + 4 * 10u + 7u);
  EXPECT_EQ(report->bytes_down, 2 * 200u + 4 * 20u + 8u);
  EXPECT_EQ(report->compressed_rounds, 4u);
  EXPECT_EQ(report->compressed_bytes_up, 40u);
  EXPECT_EQ(report->compressed_bytes_down, 80u);
  EXPECT_EQ(report->missed_contributions, 3u);
  EXPECT_EQ(report->seconds, 6);
  EXPECT_EQ(report->parameters, model_->layout().num_elements());
  EXPECT_EQ(report->parameters_digest, ParametersDigest(model_->parameters()));
}

TEST_F(TrainingTest, TellsTheDigestOfWhatShouldBeTheSame) {
  ASSERT_THAT(RunTraining(), IsOk());
  EXPECT_EQ(client_.replica_digest, ParametersDigest(model_->parameters()));
}

TEST_F(TrainingTest, AWorkerThatHasDriftedAwayStops) {
  client_.drifted = {"w-7"};
  EXPECT_THAT(RunTraining(), IsOk());
  client_.drifted = {"w-0"};
  EXPECT_THAT(RunTraining(), StatusIs(absl::StatusCode::kDataLoss,
                                      HasSubstr("parameters are not those of most workers")));
}

TEST_F(TrainingTest, WritesCheckpointsWhereParametersAreCommon) {
  options_.checkpoint_every = 2;
  optimizer_.common_interval = 3;
  CheckpointFiles checkpoints(testing::TempDir(), "w-0");
  ASSERT_THAT(Train(options_, {.text = &text_,
                               .model = model_.get(),
                               .client = &client_,
                               .optimizer = &optimizer_,
                               .clock = &clock_,
                               .checkpoints = &checkpoints}),
              IsOk());
  // Due after 2, 4 and 6; common after 3 and 6.
  EXPECT_EQ(client_.announced, 2 + 3);
  for (const uint64_t round : {3, 6}) {
    const absl::StatusOr<Checkpoint> checkpoint = checkpoints.Read(round);
    ASSERT_THAT(checkpoint, IsOk());
    EXPECT_EQ(checkpoint->run, "run");
  }
  EXPECT_THAT(checkpoints.Read(2), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(TrainingTest, ARoundThatCannotBeSavedStopsNothing) {
  options_.checkpoint_every = 2;
  client_.saved_run = absl::FailedPreconditionError("everybody abstained");
  CheckpointFiles checkpoints(testing::TempDir(), "w-1");
  EXPECT_THAT(Train(options_, {.text = &text_,
                               .model = model_.get(),
                               .client = &client_,
                               .optimizer = &optimizer_,
                               .clock = &clock_,
                               .checkpoints = &checkpoints}),
              IsOk());
  EXPECT_THAT(checkpoints.Read(2), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(TrainingTest, ReportsTheMeanQualityOfItsRounds) {
  options_.rounds = 4;
  QualityLog quality({});
  const absl::StatusOr<TrainingReport> report = Train(options_, {.text = &text_,
                                                                 .model = model_.get(),
                                                                 .client = &client_,
                                                                 .optimizer = &optimizer_,
                                                                 .clock = &clock_,
                                                                 .quality = &quality});
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->measured_rounds, 2u);
  EXPECT_EQ(report->mean_cosine, 0.75);
  ASSERT_TRUE(quality.last().has_value());
  EXPECT_EQ(quality.last()->step, 4u);
}

TEST_F(TrainingTest, HandsOnTheMetricsFilesError) {
  QualityLog quality({.metrics_file = "/proc/none/quality.prom", .metrics_every = 3});
  EXPECT_THAT(Train(options_, {.text = &text_,
                               .model = model_.get(),
                               .client = &client_,
                               .optimizer = &optimizer_,
                               .clock = &clock_,
                               .quality = &quality}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/proc/none/quality.prom")));
}

TEST_F(TrainingTest, BitsAreThoseOfAllRoundsIfNoneIsCompressed) {
  options_.rounds = 2;
  const absl::StatusOr<TrainingReport> report = RunTraining();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->compressed_rounds, 2u);
  EXPECT_EQ(report->compressed_bytes_up, 200u);
  EXPECT_EQ(report->compressed_bytes_down, 400u);
}

TEST_F(TrainingTest, ValidatesAtStartAndEndUnlessAskedForMore) {
  const absl::StatusOr<TrainingReport> report = RunTraining();
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(report->validation_loss,
              ElementsAre(Field(&LossPoint::round, 0), Field(&LossPoint::round, 6)));
}

TEST_F(TrainingTest, ValidatesAndEndsWhereParametersAreCommon) {
  optimizer_.common_interval = 4;
  options_.validate_every = 3;
  options_.learning_rate = 0.5;
  options_.final_learning_rate_share = 0.5;
  const absl::StatusOr<TrainingReport> report = RunTraining();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->rounds, 8u);
  EXPECT_THAT(report->training_loss, SizeIs(8));
  EXPECT_THAT(report->validation_loss,
              ElementsAre(Field(&LossPoint::round, 0), Field(&LossPoint::round, 4),
                          Field(&LossPoint::round, 8)));
  EXPECT_THAT(optimizer_.learning_rates,
              ElementsAre(0.5f, 0.45f, 0.4f, 0.35f, 0.3f, 0.25f, 0.25f, 0.25f));
}

TEST_F(TrainingTest, LowersTheLearningRateInAStraightLine) {
  options_.rounds = 5;
  options_.learning_rate = 0.5;
  options_.final_learning_rate_share = 0.5;
  ASSERT_THAT(RunTraining(), IsOk());
  EXPECT_THAT(optimizer_.learning_rates, ElementsAre(0.5f, 0.4375f, 0.375f, 0.3125f, 0.25f));
}

TEST_F(TrainingTest, OnlyWorkerZeroValidates) {
  options_.rank = 1;
  const absl::StatusOr<TrainingReport> report = RunTraining();
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(report->validation_loss, IsEmpty());
}

TEST_F(TrainingTest, WhoLeavesBeforeTheOthersHandsItsResidualOver) {
  options_.leave_after = 4;
  client_.traffic.handed_over_norm = 2.5;
  client_.traffic.discarded_norm = 0.5;
  const absl::StatusOr<TrainingReport> report = RunTraining();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->rounds, 4u);
  EXPECT_THAT(client_.handed_over, ElementsAre(1, 2, 3));
  EXPECT_EQ(report->handed_over_norm, 2.5);
  EXPECT_EQ(report->discarded_norm, 0.5);
}

TEST_F(TrainingTest, WhereEverybodyEndsNothingIsHandedOver) {
  options_.leave_after = 6;
  ASSERT_THAT(RunTraining(), IsOk());
  EXPECT_TRUE(client_.left);
  EXPECT_THAT(client_.handed_over, IsEmpty());
}

// Elements of a chunk go where they lie in the flat vector, dealt out or not.
TEST(TakeInheritancesTest, JoinTheResidualElementByElement) {
  for (const bool dealt : {false, true}) {
    absl::optional<DealingOptions> dealing;
    if (dealt) dealing = DealingOptions{.num_groups = 3, .seed = 1};
    const Layout layout = *Layout::Create({{.name = "w", .num_elements = 700}}, 256, dealing);
    CountingClient client(&layout);
    SimulatedClock clock;
    StepDown optimizer(&client, &clock);
    for (uint32_t chunk = 0; chunk < layout.chunks().size(); ++chunk) {
      const uint32_t size = layout.chunks()[chunk].num_elements;
      std::vector<float> values(size);
      for (uint32_t i = 0; i < size; ++i) {
        values[i] = static_cast<float>(dealt ? layout.dealing()->ElementOf(chunk, i)
                                             : layout.chunks()[chunk].offset + i);
      }
      Buffer payload(size * sizeof(float));
      std::memcpy(payload.data(), values.data(), payload.size());
      client.inheritances.push_back(
          {"w-1", chunk, std::make_shared<const Buffer>(std::move(payload))});
    }
    ASSERT_THAT(TakeInheritances(&client, &optimizer), IsOk());
    ASSERT_THAT(optimizer.inherited, SizeIs(700));
    for (const auto& [index, value] : optimizer.inherited) EXPECT_EQ(value, index);
    ASSERT_THAT(TakeInheritances(&client, &optimizer), IsOk());
    EXPECT_EQ(optimizer.inherited[7], 7) << "once";
  }
}

TEST_F(TrainingTest, TakesLeaveAfterTheLastRound) {
  ASSERT_THAT(RunTraining(), IsOk());
  EXPECT_TRUE(client_.left);
}

TEST_F(TrainingTest, StopsAtALossThatIsNotFinite) {
  model_->parameters()[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(RunTraining(),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("round 0: the validation loss")));
  options_.rank = 1;
  for (float& parameter : model_->parameters()) parameter = std::numeric_limits<float>::infinity();
  EXPECT_THAT(RunTraining(),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("round 1: the training loss")));
}

TEST_F(TrainingTest, HandsOnTheOptimizersError) {
  optimizer_.failure = absl::DeadlineExceededError("round 3: waiting for `w-1`");
  EXPECT_THAT(RunTraining(),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("waiting for `w-1`")));
  EXPECT_FALSE(client_.left);
}

TEST_F(TrainingTest, ArrivalJitterChangesNoParameter) {
  options_.arrival_jitter_ms = 1;
  const absl::StatusOr<TrainingReport> report = RunTraining();
  ASSERT_THAT(report, IsOk());
  MlpOptions again;
  again.vocabulary_size = text_.vocabulary_size();
  again.context = 3;
  again.embedding_width = 4;
  again.hidden_width = 8;
  again.chunk_elements = 256;
  const std::unique_ptr<MlpModel> fresh = *MlpModel::Create(again);
  options_.arrival_jitter_ms = 0;
  StepDown optimizer(&client_, &clock_);
  const absl::StatusOr<TrainingReport> undisturbed = Train(options_, {.text = &text_,
                                                                      .model = fresh.get(),
                                                                      .client = &client_,
                                                                      .optimizer = &optimizer,
                                                                      .clock = &clock_});
  ASSERT_THAT(undisturbed, IsOk());
  EXPECT_EQ(report->parameters_digest, undisturbed->parameters_digest);
}

}  // namespace
}  // namespace tally
