#include "codecs/sparse_codec.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codecs/index_set_codec.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Buffer BufferOf(const std::vector<uint8_t>& bytes) {
  Buffer buffer(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer.bytes().begin());
  return buffer;
}

// Elements 3, 4 and 20 of 64, with 0.5, -2 and 3 and without. The worked examples of
// docs/wire-format.md.
constexpr uint32_t kNumElements = 64;
constexpr uint32_t kGoldenIndices[] = {3, 4, 20};
constexpr float kGoldenValues[] = {0.5f, -2, 3};
const std::vector<uint8_t>& GoldenPayload() {
  static const auto& golden = *new std::vector<uint8_t>{
      0x03, 0x00, 0x00, 0x00,  // 3 elements
      0x00, 0x00, 0x00, 0x3f,  // 0.5
      0x00, 0x00, 0x00, 0xc0,  // -2
      0x00, 0x00, 0x40, 0x40,  // 3
      0x17, 0x1e,              // their indices
  };
  return golden;
}
const std::vector<uint8_t>& GoldenSet() {
  static const auto& golden = *new std::vector<uint8_t>{0x03, 0x00, 0x00, 0x00, 0x17, 0x1e};
  return golden;
}

TEST(SparseCodecTest, EncodesTheGoldenPayloads) {
  EXPECT_THAT(EncodeSparse(kGoldenIndices, kGoldenValues, kNumElements).bytes(),
              ElementsAreArray(GoldenPayload()));
  EXPECT_THAT(EncodeSparse(kGoldenIndices, {}, kNumElements).bytes(),
              ElementsAreArray(GoldenSet()));
}

TEST(SparseCodecTest, DecodesTheGoldenPayloads) {
  const Buffer payload = BufferOf(GoldenPayload());
  const auto block = DecodeSparse(payload.bytes(), kNumElements, 3, true);
  ASSERT_THAT(block, IsOk());
  EXPECT_THAT(block->indices, ElementsAreArray(kGoldenIndices));
  EXPECT_THAT(block->values, ElementsAreArray(kGoldenValues));
  EXPECT_EQ(reinterpret_cast<const uint8_t*>(block->values.data()), payload.data() + 4)
      << "must share the payload's memory";

  const Buffer set = BufferOf(GoldenSet());
  const auto without_values = DecodeSparse(set.bytes(), kNumElements, 3, false);
  ASSERT_THAT(without_values, IsOk());
  EXPECT_THAT(without_values->indices, ElementsAreArray(kGoldenIndices));
  EXPECT_THAT(without_values->values, IsEmpty());
}

TEST(SparseCodecTest, CountStandsAtTheFront) {
  EXPECT_EQ(SparseCountOf(BufferOf(GoldenPayload()).bytes()), 3u);
  EXPECT_EQ(SparseCountOf(BufferOf({0x01, 0x02, 0x03, 0x04}).bytes()), 0x04030201u);
}

TEST(SparseCodecTest, AnEmptySetIsItsCount) {
  const Buffer payload = EncodeSparse({}, {}, kNumElements);
  EXPECT_THAT(payload.bytes(), ElementsAre(0, 0, 0, 0));
  for (const bool with_values : {false, true}) {
    const auto block = DecodeSparse(payload.bytes(), kNumElements, 0, with_values);
    ASSERT_THAT(block, IsOk());
    EXPECT_THAT(block->indices, IsEmpty());
    EXPECT_THAT(block->values, IsEmpty());
  }
}

TEST(SparseCodecTest, RandomPayloadsSurviveARoundTripWithinTheirBound) {
  constexpr uint32_t kSeed = 5;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    const auto num_elements = static_cast<uint32_t>(1 + random() % 5000);
    const auto density = static_cast<uint32_t>(1 + random() % 100);
    std::vector<uint32_t> indices;
    std::vector<float> values;
    for (uint32_t i = 0; i < num_elements; ++i) {
      if (random() % 100 >= density) continue;
      indices.push_back(i);
      values.push_back(static_cast<float>(static_cast<int>(random() % 1001) - 500) / 64);
    }
    const auto count = static_cast<uint32_t>(indices.size());
    for (const bool with_values : {false, true}) {
      const Buffer payload = EncodeSparse(
          indices, with_values ? absl::MakeConstSpan(values) : absl::Span<const float>(),
          num_elements);
      ASSERT_LE(payload.size(), MaxSparsePayloadBytes(num_elements, count, with_values));
      EXPECT_EQ(SparseCountOf(payload.bytes()), count);
      const auto block = DecodeSparse(payload.bytes(), num_elements, count, with_values);
      ASSERT_THAT(block, IsOk());
      ASSERT_TRUE(block->indices == indices);
      ASSERT_EQ(block->values.size(), with_values ? count : 0);
      ASSERT_TRUE(std::equal(block->values.begin(), block->values.end(), values.begin()));
    }
  }
}

TEST(SparseCodecTest, MaxPayloadIsCountValuesAndIndices) {
  EXPECT_EQ(MaxSparsePayloadBytes(1000, 10, true), 4 + 40 + MaxIndexSetBytes(1000, 10));
  EXPECT_EQ(MaxSparsePayloadBytes(1000, 10, false), 4 + MaxIndexSetBytes(1000, 10));
}

TEST(SparseCodecTest, RefusesAPayloadThatIsCutAnywhere) {
  for (const bool with_values : {false, true}) {
    const std::vector<uint8_t>& golden = with_values ? GoldenPayload() : GoldenSet();
    for (size_t size = 0; size < golden.size(); ++size) {
      SCOPED_TRACE(absl::StrCat(size, " of ", golden.size(), " bytes"));
      const Buffer payload = BufferOf({golden.begin(), golden.begin() + size});
      EXPECT_THAT(DecodeSparse(payload.bytes(), kNumElements, 3, with_values),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`payload")));
    }
  }
}

TEST(SparseCodecTest, RefusesWhatBreaksARule) {
  const struct {
    std::vector<uint8_t> payload;
    uint32_t max_count;
    bool with_values;
    const char* message;
  } kCases[] = {
      {{1, 0, 0}, 3, false, "`payload` has 3 bytes, must begin with a count of 4"},
      {GoldenSet(), 2, false, "`payload.count` = 3, must be at most 2"},
      {GoldenPayload(), 2, true, "`payload.count` = 3, must be at most 2"},
      {{0xff, 0xff, 0xff, 0xff}, 64, true, "`payload.count` = 4294967295, must be at most 64"},
      {GoldenSet(), 3, true,
       "`payload` has 6 bytes, must have more than 16 for 3 elements with values"},
      {{3, 0, 0, 0, 0x17}, 3, false, "`payload.indices` has 1 bytes and ends within indices[2]"},
      {{3, 0, 0, 0, 0x17, 0x1e, 0}, 3, false, "`payload.indices` has 3 bytes, must have 2"},
      // Values where none belong are taken for indices.
      {GoldenPayload(), 3, false, "`payload.indices"},
      {{0, 0, 0, 0, 0}, 3, true, "`payload.indices` has 1 bytes, must have 0"},
      // b = 4: 3 zeros, a one and 15 is element 63, a gap of 0 the one behind it.
      {{2, 0, 0, 0, 0b1111'1000, 0b0000'0001},
       3,
       false,
       "`payload.indices[1]` = 64, must be less than 64"},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.message);
    const Buffer payload = BufferOf(test_case.payload);
    EXPECT_THAT(
        DecodeSparse(payload.bytes(), kNumElements, test_case.max_count, test_case.with_values),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test_case.message)));
  }
}

TEST(SparseCodecTest, AppliesTheRuleOfMagnitudesToEveryValue) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const struct {
    float value;
    const char* name;  // null: allowed
  } kCases[] = {
      {-0.0f, nullptr},          {kMaxMagnitude, nullptr},
      {-kMaxMagnitude, nullptr}, {std::nextafter(kMaxMagnitude, kInfinity), "1.84467e+19"},
      {-kInfinity, "-inf"},      {std::numeric_limits<float>::quiet_NaN(), "nan"},
  };
  for (const auto& test_case : kCases) {
    for (const size_t k : {0, 1, 2}) {
      SCOPED_TRACE(absl::StrCat(test_case.value, " at ", k));
      Buffer payload = BufferOf(GoldenPayload());
      std::memcpy(payload.data() + 4 + 4 * k, &test_case.value, sizeof(float));
      const auto block = DecodeSparse(payload.bytes(), kNumElements, 3, true);
      if (test_case.name == nullptr) {
        EXPECT_THAT(block, IsOk());
      } else {
        EXPECT_THAT(block,
                    StatusIs(absl::StatusCode::kInvalidArgument,
                             HasSubstr(absl::StrCat("`payload.values[", k, "]` = ", test_case.name,
                                                    ", must be finite and at most 2^64"))));
      }
    }
  }
}

}  // namespace
}  // namespace tally
