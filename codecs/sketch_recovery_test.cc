// How much of a vector's largest elements a sketch round finds: a table per group, P * k candidates
// in equal quotas per group, their exact values, the k largest of these. The figure is the share of
// the energy (sum of squares) of the true k largest elements.
//
// 5 rows of 20 k columns in all and P = 4: the size that rounds are meant to have.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "codecs/dealing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "kernels/sketch_hash.h"
#include "kernels/sketch_kernels.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr size_t kNumElements = 1000000;
constexpr size_t kWanted = 1000;
constexpr size_t kCandidatesPerWanted = 4;
constexpr uint32_t kRows = 5;
constexpr uint32_t kColumns = 20 * kWanted;
constexpr uint32_t kGroupCounts[] = {1, 20};

// Energy of the kWanted largest of `values`.
double LargestEnergy(std::vector<float> values) {
  const auto by_magnitude = [](float a, float b) { return std::abs(a) > std::abs(b); };
  const auto end = values.begin() + std::min(kWanted, values.size());
  std::partial_sort(values.begin(), end, values.end(), by_magnitude);
  return std::accumulate(values.begin(), end, 0.0,
                         [](double sum, float x) { return sum + double{x} * x; });
}

// Appends the values at the group's candidates.
void AppendCandidates(const Dealing& dealing, uint32_t group, uint64_t seed,
                      const std::vector<float>& x, std::vector<float>& values) {
  const SketchKernels& kernels = FastestHostBackend()->sketches();
  const uint32_t num_groups = dealing.options().num_groups;
  const uint32_t runs = (kColumns / num_groups + kSketchRunElements - 1) / kSketchRunElements;
  const SketchShape shape = {
      .rows = kRows, .columns = runs * kSketchRunElements, .key = SketchKey(seed, group)};
  std::vector<float> elements(dealing.num_elements(group));
  dealing.Gather(group, 0, x, absl::MakeSpan(elements));
  std::vector<float> table(SketchCells(shape));
  ASSERT_THAT(kernels.Sketch(shape, elements, absl::MakeSpan(table)), IsOk());
  std::vector<float> estimates(elements.size());
  ASSERT_THAT(kernels.Estimate(shape, table, absl::MakeSpan(estimates)), IsOk());
  std::vector<uint32_t> candidates((kCandidatesPerWanted * kWanted + num_groups - 1) / num_groups);
  ASSERT_THAT(kernels.SelectLargest(estimates, {}, absl::MakeSpan(candidates)), IsOk());
  for (const uint32_t i : candidates) values.push_back(elements[i]);
}

// Never more than 1: the candidates are elements of x, each in one group.
double RecoveredShare(const std::vector<float>& x, uint32_t num_groups, uint64_t seed) {
  const Dealing dealing(x.size(), {.num_groups = num_groups, .seed = seed});
  std::vector<float> values;
  for (uint32_t group = 0; group < num_groups; ++group) {
    AppendCandidates(dealing, group, seed, x, values);
  }
  const double share = LargestEnergy(std::move(values)) / LargestEnergy(x);
  EXPECT_LE(share, 1.0);
  return share;
}

// Magnitudes with a heavy tail, and random signs.
std::vector<float> HeavyTailed(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::lognormal_distribution<float> magnitude(0.0f, 1.7f);
  std::vector<float> x(kNumElements);
  for (float& value : x) value = random() % 2 == 0 ? magnitude(random) : -magnitude(random);
  return x;
}

TEST(SketchRecoveryTest, FindsWhatMattersInHeavyTailedVectors) {
  for (const uint64_t seed : {1, 2, 3}) {
    const std::vector<float> x = HeavyTailed(seed);
    for (const uint32_t num_groups : kGroupCounts) {
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", ", num_groups, " groups"));
      EXPECT_GE(RecoveredShare(x, num_groups, seed), 0.99);
    }
  }
}

TEST(SketchRecoveryTest, FindsWhatMattersInLayersOfVeryDifferentScale) {
  for (const uint64_t seed : {1, 2, 3}) {
    std::vector<float> x = HeavyTailed(seed);
    // Ten layers, the last one a thousandth of the first one.
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] *= std::pow(10.0f, -static_cast<float>(i * 10 / x.size()) / 3.0f);
    }
    for (const uint32_t num_groups : kGroupCounts) {
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", ", num_groups, " groups"));
      EXPECT_GE(RecoveredShare(x, num_groups, seed), 0.99);
    }
  }
}

TEST(SketchRecoveryTest, FindsTwoRowsOfAnEmbedding) {
  // All that is large stands in two rows of 512 elements: whole runs and blocks of it.
  constexpr size_t kRowElements = 512;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> x(kNumElements);
    for (float& value : x) value = 0.01f * normal(random);
    const size_t num_rows = kNumElements / kRowElements;
    const size_t first = random() % num_rows;
    const size_t second = (first + 1 + random() % (num_rows - 1)) % num_rows;
    for (const size_t row : {first, second}) {
      for (size_t i = 0; i < kRowElements; ++i) x[row * kRowElements + i] = normal(random);
    }
    for (const uint32_t num_groups : kGroupCounts) {
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", ", num_groups, " groups"));
      EXPECT_GE(RecoveredShare(x, num_groups, seed), 0.98);
    }
  }
}

}  // namespace
}  // namespace tally
