#include "kernels/scalar/dense.h"

#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally::scalar {
namespace {

using testing::ElementsAre;

TEST(EncodeDenseTest, BytesAreLittleEndian) {
  const std::vector<float> x = {1.0f, -2.0f};
  std::vector<uint8_t> bytes(8);
  EncodeDense(DType::kFloat32, x, absl::MakeSpan(bytes));
  EXPECT_THAT(bytes, ElementsAre(0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0xc0));
  bytes.resize(4);
  EncodeDense(DType::kFloat16, x, absl::MakeSpan(bytes));
  EXPECT_THAT(bytes, ElementsAre(0x00, 0x3c, 0x00, 0xc0));
  EncodeDense(DType::kBFloat16, x, absl::MakeSpan(bytes));
  EXPECT_THAT(bytes, ElementsAre(0x80, 0x3f, 0x00, 0xc0));
}

TEST(DecodeDenseTest, IsTheInverse) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    const std::vector<float> x = {1.0f, -2.0f, 0.0f, 0.15625f};
    std::vector<uint8_t> bytes(x.size() * ElementBytes(dtype));
    EncodeDense(dtype, x, absl::MakeSpan(bytes));
    std::vector<float> decoded(x.size());
    DecodeDense(dtype, bytes, absl::MakeSpan(decoded));
    EXPECT_EQ(decoded, x) << DTypeName(dtype);
  }
}

std::vector<float> Mean(DType dtype, const std::vector<std::vector<float>>& payloads,
                        float divisor) {
  std::vector<std::vector<uint8_t>> encoded;
  for (const std::vector<float>& payload : payloads) {
    encoded.emplace_back(payload.size() * ElementBytes(dtype));
    EncodeDense(dtype, payload, absl::MakeSpan(encoded.back()));
  }
  const std::vector<absl::Span<const uint8_t>> inputs(encoded.begin(), encoded.end());
  std::vector<uint8_t> output(encoded[0].size());
  DenseMean(dtype, inputs, divisor, absl::MakeSpan(output));
  std::vector<float> mean(payloads[0].size());
  DecodeDense(dtype, output, absl::MakeSpan(mean));
  return mean;
}

TEST(DenseMeanTest, DividesTheSum) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    EXPECT_THAT(Mean(dtype, {{1.0f, -4.0f}, {2.0f, 0.0f}, {6.0f, 1.0f}}, 3.0f),
                ElementsAre(3.0f, -1.0f))
        << DTypeName(dtype);
  }
}

TEST(DenseMeanTest, AddsInFp32AndRoundsOnce) {
  // In binary16 2048 + 1 would round to 2048 twice; in fp32 the sum is 2050, and its half 1025.
  EXPECT_THAT(Mean(DType::kFloat16, {{2048.0f}, {1.0f}, {1.0f}}, 2.0f), ElementsAre(1025.0f));
  // The sum 131008 is beyond binary16, its half is not.
  EXPECT_THAT(Mean(DType::kFloat16, {{65504.0f}, {65504.0f}}, 2.0f), ElementsAre(65504.0f));
}

TEST(DenseMeanTest, AddsInTheOrderOfTheInputs) {
  EXPECT_THAT(Mean(DType::kFloat32, {{0x1p24f}, {1.0f}, {1.0f}}, 1.0f), ElementsAre(0x1p24f));
  EXPECT_THAT(Mean(DType::kFloat32, {{1.0f}, {1.0f}, {0x1p24f}}, 1.0f),
              ElementsAre(0x1p24f + 2.0f));
}

}  // namespace
}  // namespace tally::scalar
