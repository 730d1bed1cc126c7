#include "client/optimizers/dense_lamb.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

// Parameters of a single worker after steps with these gradients.
std::vector<float> Train(LoopbackGroup& group, const DenseLambOptions& options,
                         std::vector<float> x, const std::vector<std::vector<float>>& gradients) {
  const auto optimizer = CreateDenseLamb(group.worker(0), options);
  EXPECT_THAT(optimizer, IsOk());
  for (const std::vector<float>& gradient : gradients) {
    EXPECT_THAT((*optimizer)->Step(absl::MakeSpan(x), gradient), IsOk());
  }
  return x;
}

std::vector<float> Train(std::vector<Tensor> tensors, const DenseLambOptions& options,
                         std::vector<float> x, const std::vector<std::vector<float>>& gradients) {
  LoopbackGroup group(*Layout::Create(std::move(tensors), 256), {}, FastestHostBackend());
  return Train(group, options, std::move(x), gradients);
}

TEST(DenseLambTest, StepsEachTensorByTheNormOfItsWeights) {
  // The first step of Adam is the gradient's sign: an update of norm sqrt(2), and of norm 1.
  const std::vector<float> x =
      Train({{.name = "a", .num_elements = 2}, {.name = "b", .num_elements = 1}},
            {.adam = {.learning_rate = 0.01f}}, {3.0f, 4.0f, 0.5f}, {{10.0f, -0.1f, 2.0f}});
  const float step = 0.01f * 5.0f / std::sqrt(2.0f);
  EXPECT_THAT(x, Pointwise(FloatNear(1e-6f), {3.0f - step, 4.0f + step, 0.5f - 0.005f}));
}

TEST(DenseLambTest, DecayIsPartOfTheUpdateThatIsMeasured) {
  // u = sign(g) + x / 2 = (2, 2.5) for x = (2, 3).
  const std::vector<float> x =
      Train({{.name = "a", .num_elements = 2}},
            {.adam = {.learning_rate = 0.1f, .weight_decay = 0.5f}}, {2.0f, 3.0f}, {{1.0f, 1.0f}});
  const float rate = 0.1f * std::sqrt(13.0f) / std::sqrt(4.0f + 6.25f);
  EXPECT_THAT(x, Pointwise(FloatNear(1e-6f), {2.0f - 2.0f * rate, 3.0f - 2.5f * rate}));
}

TEST(DenseLambTest, ATensorThatIsZeroStepsAtTheLearningRate) {
  EXPECT_THAT(Train({{.name = "a", .num_elements = 2}}, {.adam = {.learning_rate = 0.01f}},
                    {0.0f, 0.0f}, {{1.0f, 7.0f}}),
              Each(FloatNear(-0.01f, 1e-7f)));
}

TEST(DenseLambTest, MaskedElementsCountInNoNormAndStay) {
  const std::vector<float> x = Train({{.name = "a", .num_elements = 3, .masked = {{1, 2}}}},
                                     {.adam = {.learning_rate = 0.01f, .weight_decay = 0.25f}},
                                     {2.0f, 1000.0f, 2.0f}, {{1.0f, 0.0f, 1.0f}});
  // u = 1.5 each: a coefficient of 2 / 1.5.
  EXPECT_THAT(x, Pointwise(FloatNear(1e-6f), {1.98f, 1000.0f, 1.98f}));
}

std::vector<float> Gradient(size_t num_elements, size_t worker, uint64_t round) {
  std::vector<float> gradient(num_elements);
  for (size_t i = 0; i < num_elements; ++i) {
    gradient[i] = static_cast<float>((i * 37 + worker * 11 + round * round * 5) % 128) / 64.0f -
                  static_cast<float>(i % 7) / 4.0f;
  }
  return gradient;
}

TEST(DenseLambTest, TheCutIntoChunksChangesNoBit) {
  const std::vector<Tensor> tensors = {
      {.name = "a", .num_elements = 700, .masked = {{100, 130}}},
      {.name = "b", .num_elements = 50, .treatment = Treatment::kDense},
      {.name = "c", .num_elements = 9'000}};
  std::vector<std::vector<float>> gradients;
  for (uint64_t round = 0; round < 5; ++round) gradients.push_back(Gradient(9'750, 0, round));
  const std::vector<float> start = Gradient(9'750, 3, 9);
  const DenseLambOptions options = {.adam = {.learning_rate = 0.01f, .weight_decay = 0.01f}};
  std::vector<std::vector<float>> ends;
  for (const uint32_t chunk_elements : {256u, 768u, 65'536u}) {
    LoopbackGroup group(*Layout::Create(tensors, chunk_elements), {}, FastestHostBackend());
    ends.push_back(Train(group, options, start, gradients));
  }
  EXPECT_EQ(ends[1], ends[0]);
  EXPECT_EQ(ends[2], ends[0]);
}

TEST(DenseLambTest, ATensorWaitsIfNobodyExchangedOneOfItsChunks) {
  // a: chunks 0 and 1; b: chunk 1 too; c: chunk 2.
  const Layout layout = *Layout::Create({{.name = "a", .num_elements = 300},
                                         {.name = "b", .num_elements = 212},
                                         {.name = "c", .num_elements = 10}},
                                        256);
  LoopbackGroup group(layout,
                      {.misses = [](size_t, uint64_t, uint32_t chunk) { return chunk == 0; }},
                      FastestHostBackend());
  const std::vector<float> x =
      Train(group, {}, std::vector<float>(522, 1.0f), {std::vector<float>(522, 1.0f)});
  for (size_t i = 0; i < 522; ++i) EXPECT_EQ(x[i] == 1.0f, i < 300) << i;
}

TEST(DenseLambTest, RefusesBadOptions) {
  LoopbackGroup group(*Layout::Create({{.name = "a", .num_elements = 3}}), {},
                      FastestHostBackend());
  const std::pair<std::string, DenseLambOptions> rows[] = {
      {"`beta1`", {.adam = {.beta1 = 1.0f}}},
      {"`max_factor`", {.rates = {.max_factor = 0.5}}},
      {"data_type", {.dtype = static_cast<DType>(9)}},
  };
  for (const auto& [field, options] : rows) {
    SCOPED_TRACE(field);
    EXPECT_THAT(CreateDenseLamb(group.worker(0), options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field)));
  }
}

}  // namespace
}  // namespace tally
