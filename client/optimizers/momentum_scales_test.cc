#include "client/optimizers/momentum_scales.h"

#include <vector>

#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"

namespace tally {
namespace {

using ::testing::ElementsAre;

std::vector<float> ScalesOf(std::vector<Tensor> tensors, const std::vector<float>& momentum) {
  const LayerMap map(*Layout::Create(std::move(tensors), 256));
  return MomentumScales(map.layers(), momentum, *FastestHostBackend());
}

TEST(MomentumScalesTest, BringsAllTensorsToTheMeanOfTheirRootMeanSquares) {
  EXPECT_THAT(ScalesOf({{.name = "a", .num_elements = 2}, {.name = "b", .num_elements = 1}},
                       {3.0f, -3.0f, 1.0f}),
              ElementsAre(2.0f / 3.0f, 2.0f));
}

TEST(MomentumScalesTest, DenseTensorsStandApart) {
  EXPECT_THAT(ScalesOf({{.name = "a", .num_elements = 1},
                        {.name = "d", .num_elements = 1, .treatment = Treatment::kDense},
                        {.name = "b", .num_elements = 1}},
                       {4.0f, 12.0f, 1000.0f}),
              ElementsAre(2.0f, 8.0f / 12.0f, 1.0f));
}

TEST(MomentumScalesTest, MaskedElementsDoNotThinTheMean) {
  EXPECT_THAT(ScalesOf({{.name = "a", .num_elements = 4, .masked = {{1, 4}}},
                        {.name = "b", .num_elements = 1}},
                       {2.0f, 0.0f, 0.0f, 0.0f, 2.0f}),
              ElementsAre(1.0f, 1.0f));
}

TEST(MomentumScalesTest, ATensorWithoutMomentumHasScaleOneAndCountsInNoMean) {
  EXPECT_THAT(ScalesOf({{.name = "a", .num_elements = 2},
                        {.name = "b", .num_elements = 1},
                        {.name = "m", .num_elements = 1, .masked = {{0, 1}}}},
                       {0.0f, 0.0f, 3.0f, 5.0f}),
              ElementsAre(1.0f, 1.0f, 1.0f));
  EXPECT_THAT(ScalesOf({{.name = "a", .num_elements = 2}}, {0.0f, 0.0f}), ElementsAre(1.0f));
}

TEST(MomentumScalesTest, IsBoundedForTensorsOfAllSizes) {
  EXPECT_THAT(ScalesOf({{.name = "a", .num_elements = 1}, {.name = "b", .num_elements = 1}},
                       {1e-20f, 1e18f}),
              ElementsAre(4294967296.0f, 0.5f));
}

}  // namespace
}  // namespace tally
