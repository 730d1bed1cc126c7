#include "client/optimizers/create_optimizer.h"

#include <memory>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LoopbackGroup NewGroup() {
  return LoopbackGroup(*Layout::Create({{.name = "t", .num_elements = 5}}), {},
                       SupportedBackends().back());
}

TEST(CreateOptimizerTest, KnowsItsNames) {
  EXPECT_THAT(OptimizerNames(), ElementsAre("dense_adam", "onebit_adam"));
  LoopbackGroup group = NewGroup();
  for (const absl::string_view name : OptimizerNames()) {
    const absl::StatusOr<std::unique_ptr<Optimizer>> optimizer =
        CreateOptimizer(name, group.worker(0), {});
    ASSERT_THAT(optimizer, IsOk());
    EXPECT_EQ((*optimizer)->name(), name);
  }
}

TEST(CreateOptimizerTest, ListsTheNamesToWhoMissesThem) {
  LoopbackGroup group = NewGroup();
  EXPECT_THAT(
      CreateOptimizer("adam", group.worker(0), {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("`name` = \"adam\""), HasSubstr("dense_adam, onebit_adam"))));
}

TEST(CreateOptimizerTest, RefusesAmsgradWhereThereIsNone) {
  LoopbackGroup group = NewGroup();
  EXPECT_THAT(CreateOptimizer("onebit_adam", group.worker(0), {.amsgrad = true}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`amsgrad`")));
  EXPECT_THAT(CreateOptimizer("dense_adam", group.worker(0), {.amsgrad = true}), IsOk());
}

TEST(CreateOptimizerTest, HandsOnTheOptions) {
  LoopbackGroup group = NewGroup();
  OptimizerOptions options;
  options.freeze_threshold = 2.0f;
  EXPECT_THAT(CreateOptimizer("onebit_adam", group.worker(0), options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`freeze_threshold`")));
  options.adam.beta2 = -1.0f;
  EXPECT_THAT(CreateOptimizer("dense_adam", group.worker(0), options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`beta2`")));
}

}  // namespace
}  // namespace tally
