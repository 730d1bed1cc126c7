#include "client/optimizers/step_arguments.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A compressed and a dense chunk.
Layout TwoChunks() {
  return *Layout::Create({{.name = "a", .num_elements = 2},
                          {.name = "b", .num_elements = 1, .treatment = Treatment::kDense}},
                         256);
}

TEST(CheckStepArgumentsTest, WantsTheLayoutsSize) {
  const std::vector<float> right(3);
  const std::vector<float> wrong(4);
  EXPECT_THAT(CheckStepArguments(TwoChunks(), right, right), IsOk());
  EXPECT_THAT(CheckStepArguments(TwoChunks(), wrong, right),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`parameters` has 4")));
  EXPECT_THAT(CheckStepArguments(TwoChunks(), right, wrong),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`gradients` has 4")));
}

TEST(CheckExchangeTest, RefusesWhatTheAggregatorWould) {
  EXPECT_THAT(CheckExchange({DenseExchange{}, Divisor::kParticipants}, TwoChunks()), IsOk());
  const SignExchange sign = {.granularity = {.block_elements = 100}};
  EXPECT_THAT(CheckExchange({sign, Divisor::kParticipants}, TwoChunks()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("block_elements")));
}

TEST(CheckSignExchangeTest, RefusesABadRuleAndAsksTheRestOfCompressedChunksAlone) {
  const auto check = [](const SignExchange& sign, Treatment treatment) {
    return CheckSignExchange(
        {sign}, *Layout::Create({{.name = "a", .num_elements = 2, .treatment = treatment}}));
  };
  EXPECT_THAT(check({}, Treatment::kCompressed), IsOk());
  EXPECT_THAT(check({}, Treatment::kDense), IsOk());
  EXPECT_THAT(check({.granularity = {.block_elements = 100}}, Treatment::kCompressed),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("block_elements")));
  EXPECT_THAT(check({.scale_rule = static_cast<ScaleRule>(9)}, Treatment::kCompressed),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`scale_rule` = 9")));
}

TEST(ChunkOfTest, IsTheChunksRange) {
  const std::vector<float> flat = {1.0f, 2.0f, 3.0f};
  EXPECT_THAT(ChunkOf(absl::MakeConstSpan(flat), TwoChunks(), 0), ElementsAre(1.0f, 2.0f));
  EXPECT_THAT(ChunkOf(absl::MakeConstSpan(flat), TwoChunks(), 1), ElementsAre(3.0f));
}

}  // namespace
}  // namespace tally
