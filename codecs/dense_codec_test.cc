#include "codecs/dense_codec.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

// A payload of ones.
Buffer Ones(DType dtype, size_t num_elements) {
  Buffer payload(DensePayloadBytes(dtype, num_elements));
  const std::vector<float> values(num_elements, 1.0f);
  EXPECT_THAT(HostBackends().front()->EncodeDense(dtype, values, payload.bytes()), IsOk());
  return payload;
}

// Overwrites element `index` with the lower bytes of `word`.
void SetWord(DType dtype, absl::Span<uint8_t> payload, size_t index, uint32_t word) {
  std::memcpy(payload.data() + index * ElementBytes(dtype), &word, ElementBytes(dtype));
}

TEST(DenseCodecTest, PayloadIsItsValues) {
  EXPECT_EQ(DensePayloadBytes(DType::kFloat32, 3), 12u);
  EXPECT_EQ(DensePayloadBytes(DType::kFloat16, 3), 6u);
  EXPECT_EQ(DensePayloadBytes(DType::kBFloat16, 3), 6u);
}

// 1, -2.5, 0.15625: the worked example of docs/wire-format.md.
TEST(DenseCodecTest, GoldenBytesDecodeToTheirValues) {
  const struct {
    DType dtype;
    std::vector<uint8_t> bytes;
  } kCases[] = {
      {DType::kFloat32, {0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x20, 0xc0, 0x00, 0x00, 0x20, 0x3e}},
      {DType::kFloat16, {0x00, 0x3c, 0x00, 0xc1, 0x00, 0x31}},
      {DType::kBFloat16, {0x80, 0x3f, 0x20, 0xc0, 0x20, 0x3e}},
  };
  for (const Backend* backend : HostBackends()) {
    for (const auto& test_case : kCases) {
      SCOPED_TRACE(absl::StrCat(backend->name(), " ", DTypeName(test_case.dtype)));
      ASSERT_THAT(ValidateDense(test_case.dtype, test_case.bytes, 3, *backend), IsOk());
      std::vector<float> values(3);
      ASSERT_THAT(backend->DecodeDense(test_case.dtype, test_case.bytes, absl::MakeSpan(values)),
                  IsOk());
      EXPECT_THAT(values, testing::ElementsAre(1.0f, -2.5f, 0.15625f));
    }
  }
}

TEST(DenseCodecTest, AcceptsValuesWithinTheRuleAtAnyAlignment) {
  for (const Backend* backend : HostBackends()) {
    for (const DType dtype : kDTypes) {
      for (const size_t num_elements : {0, 1, 4095, 4096, 4097, 16387}) {
        SCOPED_TRACE(absl::StrCat(backend->name(), " ", DTypeName(dtype), " ", num_elements));
        const Buffer payload = Ones(dtype, num_elements);
        EXPECT_THAT(ValidateDense(dtype, payload.bytes(), num_elements, *backend), IsOk());
        std::vector<uint8_t> shifted = {0};
        shifted.insert(shifted.end(), payload.bytes().begin(), payload.bytes().end());
        EXPECT_THAT(
            ValidateDense(dtype, absl::MakeConstSpan(shifted).subspan(1), num_elements, *backend),
            IsOk());
      }
    }
  }
}

TEST(DenseCodecTest, AcceptsTheLargestAndSmallestMagnitudes) {
  const struct {
    DType dtype;
    uint32_t word;
  } kCases[] = {
      {DType::kFloat32, 0x5f80'0000},  // 2^64
      {DType::kFloat32, 0xdf80'0000},  // -2^64
      {DType::kFloat32, 0x8000'0000},  // -0
      {DType::kFloat32, 0x0000'0001},  // the smallest subnormal
      {DType::kFloat16, 0x7bff},       // 65,504
      {DType::kFloat16, 0x8001},       // the smallest negative subnormal
      {DType::kBFloat16, 0x5f80},      // 2^64
      {DType::kBFloat16, 0xdf80},      // -2^64
  };
  for (const Backend* backend : HostBackends()) {
    for (const auto& test_case : kCases) {
      SCOPED_TRACE(absl::StrCat(backend->name(), " ", DTypeName(test_case.dtype), " ",
                                absl::Hex(test_case.word)));
      Buffer payload = Ones(test_case.dtype, 5);
      SetWord(test_case.dtype, payload.bytes(), 3, test_case.word);
      EXPECT_THAT(ValidateDense(test_case.dtype, payload.bytes(), 5, *backend), IsOk());
    }
  }
}

TEST(DenseCodecTest, RefusesValuesThatBreakTheRuleWhereverTheyStand) {
  const struct {
    DType dtype;
    uint32_t word;
    const char* value;
  } kCases[] = {
      {DType::kFloat32, 0x5f80'0001, "1.84467e+19"},
      {DType::kFloat32, 0xdf80'0001, "-1.84467e+19"},
      {DType::kFloat32, 0x7f80'0000, "inf"},
      {DType::kFloat32, 0xff80'0000, "-inf"},
      {DType::kFloat32, 0x7fc0'0000, "nan"},
      {DType::kFloat32, 0x7f80'0001, "nan"},
      {DType::kFloat16, 0x7c00, "inf"},
      {DType::kFloat16, 0xfc00, "-inf"},
      {DType::kFloat16, 0x7c01, "nan"},
      {DType::kBFloat16, 0x5f81, "1.85909e+19"},
      {DType::kBFloat16, 0x7f80, "inf"},
      {DType::kBFloat16, 0x7f81, "nan"},
  };
  constexpr size_t kNumElements = 8195;
  for (const Backend* backend : HostBackends()) {
    for (const auto& test_case : kCases) {
      for (const size_t index : {0, 7, 4095, 4096, 8191, 8192, 8194}) {
        SCOPED_TRACE(absl::StrCat(backend->name(), " ", DTypeName(test_case.dtype), " ",
                                  absl::Hex(test_case.word), " at ", index));
        Buffer payload = Ones(test_case.dtype, kNumElements);
        SetWord(test_case.dtype, payload.bytes(), kNumElements - 1, test_case.word);
        SetWord(test_case.dtype, payload.bytes(), index, test_case.word);
        EXPECT_THAT(
            ValidateDense(test_case.dtype, payload.bytes(), kNumElements, *backend),
            StatusIs(absl::StatusCode::kInvalidArgument,
                     HasSubstr(absl::StrCat("`payload[", index, "]` = ", test_case.value,
                                            ", must be finite and at most 2^64 in magnitude"))));
      }
    }
  }
}

TEST(DenseCodecTest, RefusesEveryOtherLength) {
  const Backend& backend = *HostBackends().front();
  for (const DType dtype : kDTypes) {
    for (size_t size = 0; size <= 16; ++size) {
      if (size == DensePayloadBytes(dtype, 3)) continue;
      SCOPED_TRACE(absl::StrCat(DTypeName(dtype), " ", size));
      const std::vector<uint8_t> payload(size);
      EXPECT_THAT(ValidateDense(dtype, payload, 3, backend),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           HasSubstr(absl::StrCat("`payload` has ", size, " bytes, must have ",
                                                  DensePayloadBytes(dtype, 3), " (3 values of ",
                                                  DTypeName(dtype), ")"))));
    }
  }
}

}  // namespace
}  // namespace tally
