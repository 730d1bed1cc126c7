#include "client/optimizers/create_optimizer.h"

#include <memory>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LoopbackGroup NewGroup(bool dealt = false) {
  absl::optional<DealingOptions> dealing;
  if (dealt) dealing = DealingOptions();
  return LoopbackGroup(
      *Layout::Create({{.name = "t", .num_elements = 5}}, kDefaultChunkElements, dealing), {},
      FastestHostBackend());
}

TEST(CreateOptimizerTest, KnowsItsNames) {
  EXPECT_THAT(OptimizerNames(),
              ElementsAre("dense_adam", "dense_amsgrad", "dense_lamb", "dense_sgd", "onebit_adam",
                          "onebit_lamb", "zeroone_adam", "birder", "cd_adam", "sketched_amsgrad",
                          "sketched_sgd", "sign_sgd", "topk_sgd"));
  for (const absl::string_view name : OptimizerNames()) {
    SCOPED_TRACE(name);
    LoopbackGroup group = NewGroup(Sketches(name));
    OptimizerOptions options;
    options.sketch = {.num_updated = 1, .columns = 16};
    const absl::StatusOr<std::unique_ptr<Optimizer>> optimizer =
        CreateOptimizer(name, group.worker(0), options);
    ASSERT_THAT(optimizer, IsOk());
    EXPECT_EQ((*optimizer)->name(), name);
  }
}

TEST(CreateOptimizerTest, ListsTheNamesToWhoMissesThem) {
  LoopbackGroup group = NewGroup();
  EXPECT_THAT(CreateOptimizer("adam", group.worker(0), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("`name` = \"adam\""),
                             HasSubstr("dense_adam, dense_amsgrad, dense_lamb"))));
}

TEST(CreateOptimizerTest, KnowsWhoSketches) {
  EXPECT_TRUE(Sketches("sketched_sgd"));
  EXPECT_TRUE(Sketches("sketched_amsgrad"));
  EXPECT_FALSE(Sketches("dense_adam"));
  EXPECT_FALSE(Sketches("unheard_of"));
}

TEST(CreateOptimizerTest, RefusesALayoutThatTheMethodCannotUse) {
  OptimizerOptions options;
  options.sketch = {.num_updated = 1, .columns = 16};
  for (const absl::string_view name : OptimizerNames()) {
    SCOPED_TRACE(name);
    LoopbackGroup group = NewGroup(!Sketches(name));
    EXPECT_THAT(CreateOptimizer(name, group.worker(0), options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`layout.dealing`")));
  }
}

TEST(CreateOptimizerTest, HandsOnTheOptions) {
  LoopbackGroup group = NewGroup();
  OptimizerOptions options;
  options.freeze_threshold = 2.0f;
  EXPECT_THAT(CreateOptimizer("onebit_adam", group.worker(0), options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`freeze_threshold`")));
  options.freeze_threshold = 0.5f;
  options.layer_rates.min_factor = 2.0;
  for (const absl::string_view name : {"dense_lamb", "onebit_lamb"}) {
    EXPECT_THAT(CreateOptimizer(name, group.worker(0), options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`min_factor`")));
  }
  options.schedule.variance_scaler = 0;
  EXPECT_THAT(CreateOptimizer("zeroone_adam", group.worker(0), options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`variance_scaler`")));
  options.warmup_rounds = 0;
  EXPECT_THAT(CreateOptimizer("zeroone_adam", group.worker(0), options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`variance_steps` = 0")));
  options.adam.beta2 = -1.0f;
  EXPECT_THAT(CreateOptimizer("dense_adam", group.worker(0), options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`beta2`")));
}

}  // namespace
}  // namespace tally
