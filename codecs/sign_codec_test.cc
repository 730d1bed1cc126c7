#include "codecs/sign_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "codecs/distortion.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

Buffer BufferOf(const std::vector<uint8_t>& bytes) {
  Buffer buffer(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer.bytes().begin());
  return buffer;
}

// 12 elements in two segments: + + - + | - - - + + - + -, scales 0.5 and 3. The worked example of
// docs/wire-format.md.
const std::vector<uint8_t>& GoldenPayload() {
  static const auto& golden = *new std::vector<uint8_t>{
      0x00,        0x00, 0x00, 0x3f,  // 0.5
      0x00,        0x00, 0x40, 0x40,  // 3
      0b1000'1011,                    // elements 7 to 0
      0b0000'0101,                    // unused, elements 11 to 8
  };
  return golden;
}
constexpr size_t kGoldenElements = 12;
constexpr uint32_t kGoldenSegmentEnds[] = {4, 12};
constexpr float kGoldenValues[] = {0.5f, 0.5f, -0.5f, 0.5f, -3, -3, -3, 3, 3, -3, 3, -3};

TEST(SignCodecTest, PayloadIsScalesThenBits) {
  EXPECT_EQ(SignPayloadBytes(0, 0), 0u);
  EXPECT_EQ(SignPayloadBytes(1, 1), 5u);
  EXPECT_EQ(SignPayloadBytes(8, 1), 5u);
  EXPECT_EQ(SignPayloadBytes(9, 1), 6u);
  EXPECT_EQ(SignPayloadBytes(kGoldenElements, 2), GoldenPayload().size());
}

TEST(SignCodecTest, DecodesTheGoldenPayload) {
  const Buffer payload = BufferOf(GoldenPayload());
  const absl::StatusOr<SignBlock> block = DecodeSign(payload.bytes(), kGoldenElements, 2);
  ASSERT_THAT(block, IsOk());
  EXPECT_THAT(block->scales, ElementsAre(0.5f, 3.0f));
  EXPECT_THAT(block->bits, ElementsAre(0x8b, 0x05));
  EXPECT_EQ(block->bits.data(), payload.data() + 8) << "must share the payload's memory";
  for (const Backend* backend : HostBackends()) {
    SCOPED_TRACE(std::string(backend->name()));
    std::vector<float> values(kGoldenElements);
    ASSERT_THAT(backend->SumSigns({*block}, kGoldenSegmentEnds, {}, absl::MakeSpan(values)),
                IsOk());
    EXPECT_THAT(values, ElementsAreArray(kGoldenValues));
  }
}

TEST(SignCodecTest, EncodesTheGoldenPayload) {
  for (const Backend* backend : HostBackends()) {
    SCOPED_TRACE(std::string(backend->name()));
    Buffer payload(SignPayloadBytes(kGoldenElements, 2));
    const SignPayloadParts parts = SignPartsOf(payload.bytes(), kGoldenElements, 2);
    parts.scales[0] = 0.5f;
    parts.scales[1] = 3.0f;
    ASSERT_THAT(backend->PackSigns(kGoldenValues, parts.bits), IsOk());
    EXPECT_THAT(payload.bytes(), ElementsAreArray(GoldenPayload()));
  }
}

TEST(SignCodecTest, EverySmallVectorAndSegmentationSurvivesARoundTrip) {
  const Backend& backend = *HostBackends().front();
  for (uint32_t num_elements = 1; num_elements <= 9; ++num_elements) {
    // Bit i of `cuts`: a segment ends after element i. Bit i of `signs`: element i is positive.
    for (uint32_t cuts = 0; cuts < 1u << (num_elements - 1); ++cuts) {
      std::vector<uint32_t> ends;
      for (uint32_t i = 0; i + 1 < num_elements; ++i) {
        if ((cuts >> i) & 1) ends.push_back(i + 1);
      }
      ends.push_back(num_elements);
      for (uint32_t signs = 0; signs < 1u << num_elements; ++signs) {
        std::vector<float> values;
        for (uint32_t i = 0, k = 0; i < num_elements; ++i) {
          if (i == ends[k]) ++k;
          const float scale = std::ldexp(1.0f, static_cast<int>(k));
          values.push_back((signs >> i) & 1 ? scale : -scale);
        }
        Buffer payload(SignPayloadBytes(num_elements, ends.size()));
        const SignPayloadParts parts = SignPartsOf(payload.bytes(), num_elements, ends.size());
        for (size_t k = 0; k < ends.size(); ++k) {
          parts.scales[k] = std::ldexp(1.0f, static_cast<int>(k));
        }
        ASSERT_THAT(backend.PackSigns(values, parts.bits), IsOk());
        const auto block = DecodeSign(payload.bytes(), num_elements, ends.size());
        ASSERT_THAT(block, IsOk());
        std::vector<float> decoded(num_elements);
        ASSERT_THAT(backend.SumSigns({*block}, ends, {}, absl::MakeSpan(decoded)), IsOk());
        ASSERT_EQ(decoded, values) << "cuts " << cuts << ", signs " << signs;
      }
    }
  }
}

TEST(SignCodecTest, RefusesEveryOtherLength) {
  for (size_t size = 0; size <= 20; ++size) {
    if (size == GoldenPayload().size()) continue;
    SCOPED_TRACE(size);
    const Buffer payload = BufferOf(std::vector<uint8_t>(size));
    EXPECT_THAT(DecodeSign(payload.bytes(), kGoldenElements, 2),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("`payload` has ", size,
                                                " bytes, must have 10 (2 scales and 12 bits)"))));
  }
}

TEST(SignCodecTest, AcceptsScalesWithinTheRule) {
  for (const float scale : {0.0f, std::numeric_limits<float>::denorm_min(), 1.0f, kMaxMagnitude}) {
    SCOPED_TRACE(scale);
    Buffer payload = BufferOf(GoldenPayload());
    SignPartsOf(payload.bytes(), kGoldenElements, 2).scales[1] = scale;
    EXPECT_THAT(DecodeSign(payload.bytes(), kGoldenElements, 2), IsOk());
  }
}

TEST(SignCodecTest, RefusesScalesThatBreakTheRule) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const struct {
    float scale;
    const char* value;
  } kCases[] = {
      {-0.0f, "-0"},
      {-1.5f, "-1.5"},
      {kInfinity, "inf"},
      {-kInfinity, "-inf"},
      {std::nextafter(kMaxMagnitude, kInfinity), "1.84467e+19"},
      {std::numeric_limits<float>::max(), "3.40282e+38"},
      {std::numeric_limits<float>::quiet_NaN(), "nan"},
      {std::bit_cast<float>(0x7f80'0001u), "nan"},
      {std::bit_cast<float>(0xffff'ffffu), "nan"},
  };
  for (const auto& test_case : kCases) {
    for (const size_t k : {0, 1}) {
      SCOPED_TRACE(absl::StrCat(test_case.value, " at ", k));
      Buffer payload = BufferOf(GoldenPayload());
      SignPartsOf(payload.bytes(), kGoldenElements, 2).scales[k] = test_case.scale;
      EXPECT_THAT(DecodeSign(payload.bytes(), kGoldenElements, 2),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           HasSubstr(absl::StrCat("`payload.scales[", k, "]` = ", test_case.value,
                                                  ", must be from +0 to 2^64"))));
    }
  }
}

TEST(SignCodecTest, RefusesEachUnusedBit) {
  for (int bit = 4; bit < 8; ++bit) {
    SCOPED_TRACE(bit);
    Buffer payload = BufferOf(GoldenPayload());
    payload.bytes().back() = static_cast<uint8_t>(1 << bit);
    EXPECT_THAT(DecodeSign(payload.bytes(), kGoldenElements, 2),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("`payload.bits[1]` = 0x", 1 << (bit - 4),
                                                "0, must have only its lower 4 bits set"))));
  }
}

TEST(SignCodecTest, HasNoUnusedBitsInAFullByte) {
  const Buffer payload = BufferOf({0, 0, 0, 0, 0xff});
  EXPECT_THAT(DecodeSign(payload.bytes(), 8, 1), IsOk());
}

// E|x| of a standard Gaussian is sqrt(2/pi) = m. With the root mean square, 1, as its scale the
// expected squared error is 2 - 2m = .404, with the mean magnitude m it is 1 - m^2 = .363.
TEST(SignCodecTest, DistortsAGaussianVectorAsTheoryHasIt) {
  constexpr size_t kNumElements = 1 << 20;
  constexpr uint32_t kSegmentEnds[] = {kNumElements};
  constexpr uint32_t kSeed = 20240917;
  SCOPED_TRACE(absl::StrCat("seed ", kSeed));
  std::mt19937 random(kSeed);
  std::normal_distribution<float> gaussian;
  std::vector<float> x(kNumElements);
  std::generate(x.begin(), x.end(), [&] { return gaussian(random); });
  const struct {
    ScaleRule rule;
    double relative_error;
  } kCases[] = {
      {ScaleRule::kRootMeanSquare, 2 - 2 * std::sqrt(2 / M_PI)},
      {ScaleRule::kMeanMagnitude, 1 - 2 / M_PI},
  };
  for (const Backend* backend : HostBackends()) {
    for (const auto& test_case : kCases) {
      SCOPED_TRACE(absl::StrCat(backend->name(), ", rule ", static_cast<int>(test_case.rule)));
      Buffer payload(SignPayloadBytes(kNumElements, 1));
      const SignPayloadParts parts = SignPartsOf(payload.bytes(), kNumElements, 1);
      parts.scales[0] =
          ScaleFromNorm(test_case.rule,
                        test_case.rule == ScaleRule::kRootMeanSquare ? backend->SumOfSquares(x)
                                                                     : backend->SumOfMagnitudes(x),
                        kNumElements);
      ASSERT_THAT(backend->PackSigns(x, parts.bits), IsOk());
      std::vector<float> decoded(kNumElements);
      ASSERT_THAT(backend->SumSigns({SignBlockOf(payload.bytes(), kNumElements, 1)}, kSegmentEnds,
                                    {}, absl::MakeSpan(decoded)),
                  IsOk());
      const Distortion distortion = MeasureDistortion(x, decoded);
      // The standard deviation of these means over 2^20 elements is below .001: three of them.
      EXPECT_NEAR(distortion.relative_error, test_case.relative_error, 0.003);
      EXPECT_NEAR(distortion.cosine, std::sqrt(2 / M_PI), 0.003);
      EXPECT_EQ(distortion.sign_flips, 0u);
      // The largest of a million Gaussian magnitudes lies near 4.9.
      EXPECT_GT(distortion.max_error, 3.0);
      EXPECT_LT(distortion.max_error, 6.0);
    }
  }
}

}  // namespace
}  // namespace tally
