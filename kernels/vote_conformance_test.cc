#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/conformance.h"
#include "kernels/vote_kernels.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr size_t kVoters[] = {1, 2, 3, 4, 7, 8, 9, 31, 32, 33, 64, 254, 255, 256, 257};
// Around the widths of vectors, tiles and blocks.
constexpr size_t kSizes[] = {0,   1,   7,   8,   31,   32,   33,   127,  128,
                             129, 511, 512, 513, 4099, 8191, 8192, 8193, 65'537};

class VoteConformanceTest : public ConformanceTest {
 protected:
  // Bitmaps over `size` elements, each as misaligned as its number says.
  struct Electorate {
    std::vector<GuardedArray<uint8_t>> bitmaps;
    std::vector<absl::Span<const uint8_t>> ballots;
  };
  Electorate DrawElectorate(size_t num_voters, size_t size) {
    Electorate electorate;
    for (size_t n = 0; n < num_voters; ++n) {
      std::vector<uint8_t> bits = Bytes(BitmapBytes(size));
      // Ones and zeros in all shares, so that counts reach both ends.
      if (n % 3 != 0 && num_voters > 2) {
        const std::vector<uint8_t> others = Bytes(bits.size());
        for (size_t i = 0; i < bits.size(); ++i) bits[i] |= others[i];
      }
      if (size % 8 != 0) bits.back() &= static_cast<uint8_t>((1u << (size % 8)) - 1);
      electorate.bitmaps.emplace_back(absl::MakeConstSpan(bits), n % 5);
    }
    for (const auto& bitmap : electorate.bitmaps) electorate.ballots.push_back(bitmap.span());
    return electorate;
  }

  DrawStream RandomDraws() {
    return {.key = uint64_t{random()()} << 32 | random()(),
            .round = random()(),
            .first_element = uint64_t{random()()} * 8};
  }
};

TEST_P(VoteConformanceTest, CountsLikeTheScalarOne) {
  for (const size_t num_voters : kVoters) {
    for (const size_t size : kSizes) {
      SCOPED_TRACE(testing::Message() << num_voters << " voters, " << size << " elements");
      const Electorate electorate = DrawElectorate(num_voters, size);
      const size_t bytes = CountPlanes(static_cast<uint32_t>(num_voters)) * BitmapBytes(size);
      GuardedArray<uint8_t> actual(bytes, 1);
      std::vector<uint8_t> expected(bytes);
      ASSERT_THAT(backend().votes().CountVotes(electorate.ballots, size, actual.span()), IsOk());
      ASSERT_THAT(scalar().votes().CountVotes(electorate.ballots, size, absl::MakeSpan(expected)),
                  IsOk());
      ASSERT_TRUE(SameBits(absl::Span<const uint8_t>(actual.span()), expected));
      ASSERT_TRUE(actual.IsIntact());

      GuardedArray<float> mean(size, 1);
      std::vector<float> expected_mean(size);
      ASSERT_THAT(
          backend().votes().MeanOfCounts(expected, static_cast<uint32_t>(num_voters), mean.span()),
          IsOk());
      ASSERT_THAT(scalar().votes().MeanOfCounts(expected, static_cast<uint32_t>(num_voters),
                                                absl::MakeSpan(expected_mean)),
                  IsOk());
      ASSERT_TRUE(SameBits(absl::Span<const float>(mean.span()), expected_mean));
      ASSERT_TRUE(mean.IsIntact());
    }
  }
}

TEST_P(VoteConformanceTest, ElectsLikeTheScalarOne) {
  for (const size_t num_voters : kVoters) {
    for (const size_t size : kSizes) {
      SCOPED_TRACE(testing::Message() << num_voters << " voters, " << size << " elements");
      const Electorate electorate = DrawElectorate(num_voters, size);
      const DrawStream draws = RandomDraws();
      GuardedArray<uint8_t> actual(BitmapBytes(size), 3);
      std::vector<uint8_t> expected(BitmapBytes(size));
      ASSERT_THAT(backend().votes().DrawVotes(electorate.ballots, size, draws, actual.span()),
                  IsOk());
      ASSERT_THAT(
          scalar().votes().DrawVotes(electorate.ballots, size, draws, absl::MakeSpan(expected)),
          IsOk());
      ASSERT_TRUE(SameBits(absl::Span<const uint8_t>(actual.span()), expected));
      ASSERT_THAT(backend().votes().MajorityVotes(electorate.ballots, size, draws, actual.span()),
                  IsOk());
      ASSERT_THAT(
          scalar().votes().MajorityVotes(electorate.ballots, size, draws, absl::MakeSpan(expected)),
          IsOk());
      ASSERT_TRUE(SameBits(absl::Span<const uint8_t>(actual.span()), expected));
      ASSERT_TRUE(actual.IsIntact());
    }
  }
}

TEST_P(VoteConformanceTest, BinarisesLikeTheScalarOne) {
  for (const size_t size : kSizes) {
    for (const bool after_nothing : {true, false}) {
      SCOPED_TRACE(testing::Message() << size << " elements");
      std::vector<float> gradient = ModerateFloats(size);
      for (size_t i = 0; i < size; i += 5) gradient[i] = i % 2 == 0 ? 0.0f : -0.0f;
      std::vector<float> moment(size);
      std::vector<float> magnitude(size);
      if (!after_nothing) {
        moment = ModerateFloats(size);
        for (size_t i = 0; i < size; ++i) magnitude[i] = std::fabs(moment[i]) * 1.5f;
      }
      const DrawStream draws = RandomDraws();
      GuardedArray<float> actual_moment(absl::MakeConstSpan(moment), 1);
      GuardedArray<float> actual_magnitude(absl::MakeConstSpan(magnitude), 2);
      GuardedArray<uint8_t> actual_bits(BitmapBytes(size), 1);
      std::vector<uint8_t> bits(BitmapBytes(size));
      BinariseArgs args = {.moment = actual_moment.span(),
                           .magnitude = actual_magnitude.span(),
                           .gradient = gradient,
                           .beta = 0.9f,
                           .one_minus_beta = 1.0f - 0.9f,
                           .magnitude_beta = 0.96f,
                           .one_minus_magnitude_beta = 1.0f - 0.96f,
                           .draws = draws,
                           .bits = actual_bits.span()};
      ASSERT_THAT(backend().votes().Binarise(args), IsOk());
      args.moment = absl::MakeSpan(moment);
      args.magnitude = absl::MakeSpan(magnitude);
      args.bits = absl::MakeSpan(bits);
      ASSERT_THAT(scalar().votes().Binarise(args), IsOk());
      ASSERT_TRUE(SameBits(absl::Span<const float>(actual_moment.span()), moment));
      ASSERT_TRUE(SameBits(absl::Span<const float>(actual_magnitude.span()), magnitude));
      ASSERT_TRUE(SameBits(absl::Span<const uint8_t>(actual_bits.span()), bits));
      ASSERT_TRUE(actual_moment.IsIntact() && actual_magnitude.IsIntact() &&
                  actual_bits.IsIntact());
    }
  }
}

// The vectors' counters carry into the upper half of the element's index there.
TEST_P(VoteConformanceTest, DrawsAcrossTheEndOfACounterLikeTheScalarOne) {
  const size_t size = 1000;
  const Electorate electorate = DrawElectorate(5, size);
  const DrawStream draws = {.key = 3, .round = 4, .first_element = (uint64_t{1} << 34) - 504};
  std::vector<uint8_t> actual(BitmapBytes(size));
  std::vector<uint8_t> expected(BitmapBytes(size));
  ASSERT_THAT(backend().votes().DrawVotes(electorate.ballots, size, draws, absl::MakeSpan(actual)),
              IsOk());
  ASSERT_THAT(scalar().votes().DrawVotes(electorate.ballots, size, draws, absl::MakeSpan(expected)),
              IsOk());
  EXPECT_TRUE(SameBits(absl::MakeConstSpan(actual), expected));
}

INSTANTIATE_TEST_SUITE_P(EveryBackend, VoteConformanceTest, testing::ValuesIn(ConformanceParams()),
                         ConformanceName);

}  // namespace
}  // namespace tally
