#include "examples/trainer_options.h"

#include <functional>
#include <limits>
#include <memory>

#include "absl/time/time.h"
#include "examples/mlp_model.h"
#include "examples/parameters_digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

TrainerOptions ValidOptions() {
  return {.job = "job",
          .worker = "w-1",
          .rank = 1,
          .workers = 4,
          .aggregators = {{"agg-0", "host:1"}},
          .run = 12,
          .optimizer = "onebit_adam",
          .rounds = 100,
          .sketch_share = 0.01,
          .sketch_columns_share = 0.1,
          .learning_rate = 1e-3,
          .epsilon = 1e-8,
          .batch = 4,
          .seed = 3,
          .text = "/text",
          .chunk_elements = 256,
          .start_timeout = absl::Seconds(5),
          .aggregator_timeout = absl::Seconds(6)};
}

TEST(ValidateTrainerOptionsTest, AcceptsEveryOptimizer) {
  TrainerOptions options = ValidOptions();
  EXPECT_THAT(ValidateTrainerOptions(options), IsOk());
  options.optimizer = "dense_adam";
  EXPECT_THAT(ValidateTrainerOptions(options), IsOk());
}

TEST(ValidateTrainerOptionsTest, RefusesByFlagValueAndRule) {
  const struct {
    const char* message;
    std::function<void(TrainerOptions&)> spoil;
  } cases[] = {
      {"`--job` = \"\"", [](TrainerOptions& o) { o.job.clear(); }},
      {"`--worker` = \"\"", [](TrainerOptions& o) { o.worker.clear(); }},
      {"`--text` = \"\"", [](TrainerOptions& o) { o.text.clear(); }},
      {"`--workers` = 0", [](TrainerOptions& o) { o.workers = 0; }},
      {"`--max_workers` = 3, must be 0 or at least --workers = 4",
       [](TrainerOptions& o) { o.max_workers = 3; }},
      {"`--late_ceiling` = 0", [](TrainerOptions& o) { o.late_ceiling = absl::ZeroDuration(); }},
      {"`--rounds` = 0", [](TrainerOptions& o) { o.rounds = 0; }},
      {"`--metrics_every` = 0", [](TrainerOptions& o) { o.metrics_every = 0; }},
      {"`--rank` = 4, must be less than --workers (4)", [](TrainerOptions& o) { o.rank = 4; }},
      {"must be one of dense_adam, dense_amsgrad",
       [](TrainerOptions& o) { o.optimizer = "two_bit"; }},
      {"`--learning_rate` = 0", [](TrainerOptions& o) { o.learning_rate = 0; }},
      {"`--final_learning_rate_share` = 0",
       [](TrainerOptions& o) { o.final_learning_rate_share = 0; }},
      {"`--final_learning_rate_share` = 1.5, must be at most 1",
       [](TrainerOptions& o) { o.final_learning_rate_share = 1.5; }},
      {"`--sketch_share` = 0", [](TrainerOptions& o) { o.sketch_share = 0; }},
      {"`--sketch_columns_share` = -1", [](TrainerOptions& o) { o.sketch_columns_share = -1; }},
      {"`--learning_rate` = -1", [](TrainerOptions& o) { o.learning_rate = -1; }},
      {"`--learning_rate` = nan",
       [](TrainerOptions& o) { o.learning_rate = std::numeric_limits<double>::quiet_NaN(); }},
      {"`--epsilon` = inf",
       [](TrainerOptions& o) { o.epsilon = std::numeric_limits<double>::infinity(); }},
      {"`--batch` = 0", [](TrainerOptions& o) { o.batch = 0; }},
      {"`--batch` = 65537", [](TrainerOptions& o) { o.batch = 65'537; }},
      {"`--checkpoints` = \"\", must be a directory",
       [](TrainerOptions& o) { o.checkpoint_every = 5; }},
      {"`--checkpoints` = \"\", must be a directory",
       [](TrainerOptions& o) { o.resume_after = 5; }},
      {"`--resume_after` = 100, must be less than --rounds = 100",
       [](TrainerOptions& o) {
         o.checkpoints = "/tmp";
         o.resume_after = 100;
       }},
      {"`--arrival_jitter_ms` = 60001", [](TrainerOptions& o) { o.arrival_jitter_ms = 60'001; }},
      {"`--start_timeout` = 0", [](TrainerOptions& o) { o.start_timeout = absl::ZeroDuration(); }},
      {"`--aggregator_timeout` = -1s",
       [](TrainerOptions& o) { o.aggregator_timeout = absl::Seconds(-1); }},
  };
  for (const auto& row : cases) {
    SCOPED_TRACE(row.message);
    TrainerOptions options = ValidOptions();
    row.spoil(options);
    EXPECT_THAT(ValidateTrainerOptions(options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.message)));
  }
}

TEST(ParseAggregatorsTest, ReadsNamesAndAddressesInOrder) {
  const auto is = [](const char* name, const char* address) {
    return AllOf(Field(&AggregatorAddress::name, name),
                 Field(&AggregatorAddress::address, address));
  };
  EXPECT_THAT(ParseAggregators("agg-1=host:7070,agg-0=unix:/a=b"),
              IsOkAndHolds(ElementsAre(is("agg-1", "host:7070"), is("agg-0", "unix:/a=b"))));
}

TEST(ParseAggregatorsTest, RefusesWhatHasNoNameOrAddress) {
  for (const char* text : {"", "agg-0", "agg-0=", "=host:1", "agg-0=host:1,", "host:7070"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseAggregators(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("`--aggregators`"), HasSubstr("name=host:port"))));
  }
}

TEST(MakeClientOptionsTest, CarriesWhatAllWorkersMustAgreeOn) {
  const TrainerOptions options = ValidOptions();
  const std::unique_ptr<MlpModel> model = *MlpModel::Create({.vocabulary_size = 5});
  const absl::StatusOr<ClientOptions> made = MakeClientOptions(options, *model);
  ASSERT_THAT(made, IsOk());
  const ClientOptions& client = *made;
  EXPECT_THAT(ValidateClientOptions(client), IsOk());
  EXPECT_EQ(client.job, "job");
  EXPECT_EQ(client.worker, "w-1");
  EXPECT_EQ(client.expected_workers, 4u);
  EXPECT_EQ(client.run, 12u);
  EXPECT_EQ(client.seed, 3u);
  EXPECT_EQ(client.layout->num_elements(), model->layout().num_elements());
  EXPECT_EQ(client.initial_state_digest, ParametersDigest(model->parameters()));
  EXPECT_EQ(client.start_timeout, absl::Seconds(5));
  EXPECT_EQ(client.aggregator_timeout, absl::Seconds(6));
}

}  // namespace
}  // namespace tally
