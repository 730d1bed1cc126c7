// Whether the vote kernels' randomness is what the method needs. Seeds are fixed, so these tests
// give the same answer every time; their bounds are those that a right generator passes for all but
// one seed in a million.
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr size_t kDraws = size_t{1} << 20;
// Standard deviations that a sum of independent bits strays with probability below 1e-6.
constexpr double kDeviations = 5.0;
// What comparing 24 bits of the word with a threshold rounded down can add.
constexpr double kQuantisation = 0x1p-23;

const VoteKernels& Kernels() { return FastestHostBackend()->votes(); }

size_t Ones(absl::Span<const uint8_t> bits) {
  size_t ones = 0;
  for (const uint8_t byte : bits) ones += static_cast<size_t>(std::popcount(byte));
  return ones;
}

double ToleranceOf(double probability) {
  return kDeviations * std::sqrt(probability * (1 - probability) / kDraws) + kQuantisation;
}

// Bits for a gradient whose moments are m = u and b = 1.
std::vector<uint8_t> BinariseOf(float u, const DrawStream& draws) {
  std::vector<float> moment(kDraws, u);
  std::vector<float> magnitude(kDraws, 1.0f);
  const std::vector<float> gradient(kDraws, 0.0f);
  std::vector<uint8_t> bits(kDraws / 8);
  EXPECT_THAT(Kernels().Binarise({.moment = absl::MakeSpan(moment),
                                  .magnitude = absl::MakeSpan(magnitude),
                                  .gradient = gradient,
                                  .beta = 1.0f,
                                  .one_minus_beta = 0.0f,
                                  .magnitude_beta = 1.0f,
                                  .one_minus_magnitude_beta = 0.0f,
                                  .draws = draws,
                                  .bits = absl::MakeSpan(bits)}),
              IsOk());
  return bits;
}

TEST(VoteStatisticsTest, BinarisationIsUnbiased) {
  for (const float u : {-1.0f, -0.999f, -0.5f, -0.01f, -1e-6f, 0.0f, 1e-6f, 0.3f, 0.75f, 1.0f}) {
    const double expected = (1.0 + u) / 2;
    const double share = static_cast<double>(Ones(BinariseOf(u, {.key = 11, .round = 3}))) / kDraws;
    EXPECT_NEAR(share, expected, ToleranceOf(expected)) << "u = " << u;
  }
}

TEST(VoteStatisticsTest, WithoutAnyGradientTheVoteIsAFairCoin) {
  std::vector<float> zeros(kDraws, 0.0f);
  std::vector<float> more_zeros = zeros;
  const std::vector<float> gradient = zeros;
  std::vector<uint8_t> bits(kDraws / 8);
  ASSERT_THAT(Kernels().Binarise({.moment = absl::MakeSpan(zeros),
                                  .magnitude = absl::MakeSpan(more_zeros),
                                  .gradient = gradient,
                                  .beta = 0.9f,
                                  .one_minus_beta = 0.1f,
                                  .magnitude_beta = 0.9f,
                                  .one_minus_magnitude_beta = 0.1f,
                                  .draws = {.key = 5},
                                  .bits = absl::MakeSpan(bits)}),
              IsOk());
  EXPECT_NEAR(static_cast<double>(Ones(bits)) / kDraws, 0.5, ToleranceOf(0.5));
}

TEST(VoteStatisticsTest, TheDrawnBitIsUnbiased) {
  const std::vector<uint8_t> all(kDraws / 8, 0xff);
  const std::vector<uint8_t> none(kDraws / 8, 0);
  for (const size_t num_voters : {1, 3, 4, 7, 32}) {
    for (size_t ones = 0; ones <= num_voters; ++ones) {
      std::vector<absl::Span<const uint8_t>> ballots;
      for (size_t n = 0; n < num_voters; ++n) ballots.push_back(n < ones ? all : none);
      std::vector<uint8_t> bits(kDraws / 8);
      ASSERT_THAT(
          Kernels().DrawVotes(ballots, kDraws, {.key = 2, .round = ones}, absl::MakeSpan(bits)),
          IsOk());
      const double expected = static_cast<double>(ones) / static_cast<double>(num_voters);
      EXPECT_NEAR(static_cast<double>(Ones(bits)) / kDraws, expected, ToleranceOf(expected))
          << ones << " of " << num_voters;
    }
  }
}

TEST(VoteStatisticsTest, TiedMajoritiesAreAFairCoin) {
  const std::vector<uint8_t> all(kDraws / 8, 0xff);
  const std::vector<uint8_t> none(kDraws / 8, 0);
  const std::vector<absl::Span<const uint8_t>> ballots = {all, none};
  std::vector<uint8_t> bits(kDraws / 8);
  ASSERT_THAT(Kernels().MajorityVotes(ballots, kDraws, {.key = 8}, absl::MakeSpan(bits)), IsOk());
  EXPECT_NEAR(static_cast<double>(Ones(bits)) / kDraws, 0.5, ToleranceOf(0.5));
}

// Correlation of two bit streams whose ones have probability 1/2.
double CorrelationOf(absl::Span<const uint8_t> a, absl::Span<const uint8_t> b) {
  size_t equal = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    equal += 8 - static_cast<size_t>(std::popcount(static_cast<uint8_t>(a[i] ^ b[i])));
  }
  return 2 * static_cast<double>(equal) / kDraws - 1;
}

TEST(VoteStatisticsTest, StreamsOfWorkersAndRoundsAreIndependent) {
  const double bound = kDeviations / std::sqrt(static_cast<double>(kDraws));
  const std::vector<uint8_t> one = BinariseOf(0.0f, {.key = 1, .round = 7});
  EXPECT_LT(std::fabs(CorrelationOf(one, BinariseOf(0.0f, {.key = 2, .round = 7}))), bound);
  EXPECT_LT(std::fabs(CorrelationOf(one, BinariseOf(0.0f, {.key = 1, .round = 8}))), bound);
  const uint64_t beyond = uint64_t{kDraws};
  EXPECT_LT(std::fabs(CorrelationOf(
                one, BinariseOf(0.0f, {.key = 1, .round = 7, .first_element = beyond}))),
            bound);
  // What the bound would show if workers shared a key.
  EXPECT_EQ(CorrelationOf(one, BinariseOf(0.0f, {.key = 1, .round = 7})), 1.0);
}

TEST(VoteStatisticsTest, ReplayDrawsTheSameHoweverTheVectorIsCut) {
  const std::vector<uint8_t> whole = BinariseOf(0.25f, {.key = 4, .round = 9});
  std::vector<float> moment(512, 0.25f);
  std::vector<float> magnitude(512, 1.0f);
  const std::vector<float> gradient(512, 0.0f);
  for (const uint64_t first : {0, 256, 1024, 4096 + 8}) {
    std::vector<uint8_t> part(64);
    ASSERT_THAT(Kernels().Binarise({.moment = absl::MakeSpan(moment),
                                    .magnitude = absl::MakeSpan(magnitude),
                                    .gradient = gradient,
                                    .beta = 1.0f,
                                    .one_minus_beta = 0.0f,
                                    .magnitude_beta = 1.0f,
                                    .one_minus_magnitude_beta = 0.0f,
                                    .draws = {.key = 4, .round = 9, .first_element = first},
                                    .bits = absl::MakeSpan(part)}),
                IsOk());
    EXPECT_TRUE(absl::MakeConstSpan(whole).subspan(first / 8, 64) == absl::MakeConstSpan(part))
        << "from element " << first;
  }
}

}  // namespace
}  // namespace tally
