// Conformance of the dense kernels.
#include <bit>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/conformance.h"
#include "kernels/dtype.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
constexpr DType kHalfDTypes[] = {DType::kFloat16, DType::kBFloat16};

class DenseConformanceTest : public ConformanceTest {
 protected:
  // All 65,536 numbers of a 16-bit format.
  static std::vector<uint8_t> AllHalves() {
    std::vector<uint8_t> bytes;
    for (int word = 0; word < 65536; ++word) {
      bytes.push_back(static_cast<uint8_t>(word));
      bytes.push_back(static_cast<uint8_t>(word >> 8));
    }
    return bytes;
  }

  // Payload of finite numbers, both zeros and subnormals.
  std::vector<uint8_t> Payload(DType dtype, size_t size) {
    std::vector<uint8_t> bytes(size * ElementBytes(dtype));
    EXPECT_THAT(scalar().EncodeDense(dtype, ModerateFloats(size), absl::MakeSpan(bytes)), IsOk());
    return bytes;
  }

  void ExpectSameEncoding(DType dtype, const std::vector<float>& x, size_t offset) {
    const size_t num_bytes = x.size() * ElementBytes(dtype);
    GuardedArray<uint8_t> expected(num_bytes);
    GuardedArray<uint8_t> actual(num_bytes, offset);
    ASSERT_THAT(scalar().EncodeDense(dtype, x, expected.span()), IsOk());
    ASSERT_THAT(backend().EncodeDense(dtype, x, actual.span()), IsOk());
    EXPECT_TRUE(SameBits(actual.span(), expected.span()));
    EXPECT_TRUE(actual.IsIntact());
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, DenseConformanceTest, testing::ValuesIn(ConformanceParams()),
                         ConformanceName);

TEST_P(DenseConformanceTest, DecodesEveryHalfToTheBitsOfScalar) {
  for (const DType dtype : kHalfDTypes) {
    SCOPED_TRACE(std::string(DTypeName(dtype)));
    const std::vector<uint8_t> bytes = AllHalves();
    std::vector<float> expected(bytes.size() / 2);
    std::vector<float> actual(bytes.size() / 2);
    ASSERT_THAT(scalar().DecodeDense(dtype, bytes, absl::MakeSpan(expected)), IsOk());
    ASSERT_THAT(backend().DecodeDense(dtype, bytes, absl::MakeSpan(actual)), IsOk());
    // As words: the payloads of NaNs are kept too.
    const auto word = [](float x) { return std::bit_cast<uint32_t>(x); };
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(word(actual[i]), word(expected[i])) << "word " << i;
    }
  }
}

TEST_P(DenseConformanceTest, EncodesWhatItDecodedToTheSameBytes) {
  for (const DType dtype : kHalfDTypes) {
    SCOPED_TRACE(std::string(DTypeName(dtype)));
    const std::vector<uint8_t> bytes = AllHalves();
    std::vector<float> decoded(bytes.size() / 2);
    ASSERT_THAT(backend().DecodeDense(dtype, bytes, absl::MakeSpan(decoded)), IsOk());
    std::vector<uint8_t> encoded(bytes.size());
    ASSERT_THAT(backend().EncodeDense(dtype, decoded, absl::MakeSpan(encoded)), IsOk());
    // A signalling NaN becomes quiet; all else returns as it was.
    for (size_t i = 0; i < decoded.size(); ++i) {
      if (std::isnan(decoded[i])) continue;
      ASSERT_EQ(encoded[2 * i] | encoded[2 * i + 1] << 8, static_cast<int>(i));
    }
  }
}

TEST_P(DenseConformanceTest, RoundsAroundEveryHalfAndEveryMidpointLikeScalar) {
  for (const DType dtype : kHalfDTypes) {
    SCOPED_TRACE(std::string(DTypeName(dtype)));
    const std::vector<uint8_t> bytes = AllHalves();
    std::vector<float> decoded(bytes.size() / 2);
    ASSERT_THAT(scalar().DecodeDense(dtype, bytes, absl::MakeSpan(decoded)), IsOk());
    std::vector<float> x;
    for (size_t i = 0; i + 1 < decoded.size(); ++i) {
      const uint32_t low = std::bit_cast<uint32_t>(decoded[i]);
      const uint32_t high = std::bit_cast<uint32_t>(decoded[i + 1]);
      for (const uint32_t center : {low, low + (high - low) / 2}) {
        for (const uint32_t bits : {center - 1, center, center + 1}) {
          x.push_back(std::bit_cast<float>(bits));
        }
      }
    }
    ExpectSameEncoding(dtype, x, 1);
  }
}

TEST_P(DenseConformanceTest, EncodesAndDecodesLikeScalarAtEverySizeAndAlignment) {
  for (const DType dtype : kDTypes) {
    for (const size_t size : Sizes()) {
      const size_t offset = random()() % 4;
      SCOPED_TRACE(
          absl::StrCat(std::string(DTypeName(dtype)), ", size ", size, ", offset ", offset));
      ExpectSameEncoding(dtype, SpecialFloats(size), offset);
      const GuardedArray<uint8_t> bytes(Bytes(size * ElementBytes(dtype)), offset);
      GuardedArray<float> expected(size);
      GuardedArray<float> actual(size, (offset + 1) % 4);
      ASSERT_THAT(scalar().DecodeDense(dtype, bytes.span(), expected.span()), IsOk());
      ASSERT_THAT(backend().DecodeDense(dtype, bytes.span(), actual.span()), IsOk());
      EXPECT_TRUE(SameBits(actual.span(), expected.span()));
      EXPECT_TRUE(actual.IsIntact());
    }
  }
}

TEST_P(DenseConformanceTest, DenseMeanHasTheBitsOfScalar) {
  for (const DType dtype : kDTypes) {
    for (const size_t size : Sizes()) {
      std::vector<GuardedArray<uint8_t>> payloads;
      for (size_t n = 0; n < (size > (1 << 20) ? 3 : 33); ++n) {
        payloads.emplace_back(Payload(dtype, size), n % 4);
      }
      for (const size_t participants : {1, 2, 3, 8, 32, 33}) {
        if (participants > payloads.size()) continue;
        SCOPED_TRACE(absl::StrCat(std::string(DTypeName(dtype)), ", size ", size, ", ",
                                  participants, " participants"));
        std::vector<absl::Span<const uint8_t>> inputs;
        for (size_t n = 0; n < participants; ++n) inputs.push_back(payloads[n].span());
        const float divisor = static_cast<float>(participants);
        GuardedArray<uint8_t> expected(size * ElementBytes(dtype));
        GuardedArray<uint8_t> actual(size * ElementBytes(dtype), participants % 4);
        ASSERT_THAT(scalar().DenseMean(dtype, inputs, divisor, expected.span()), IsOk());
        ASSERT_THAT(backend().DenseMean(dtype, inputs, divisor, actual.span()), IsOk());
        ASSERT_TRUE(SameBits(actual.span(), expected.span()));
        ASSERT_TRUE(actual.IsIntact());
      }
    }
  }
}

}  // namespace
}  // namespace tally
