#include "codecs/index_set_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <numeric>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<uint8_t> Encode(const std::vector<uint32_t>& indices, uint32_t num_elements) {
  std::vector<uint8_t> bytes;
  AppendIndexSet(indices, num_elements, bytes);
  return bytes;
}

// The elements of `bits`.
std::vector<uint32_t> IndicesOf(uint32_t bits) {
  std::vector<uint32_t> indices;
  for (; bits != 0; bits &= bits - 1) {
    indices.push_back(static_cast<uint32_t>(std::countr_zero(bits)));
  }
  return indices;
}

// Each element below num_elements with probability `density`.
std::vector<uint32_t> RandomSet(uint32_t num_elements, double density, std::mt19937_64& random) {
  std::vector<uint32_t> indices;
  std::geometric_distribution<uint64_t> gap(density);
  for (uint64_t i = gap(random); i < num_elements; i += 1 + gap(random)) {
    indices.push_back(static_cast<uint32_t>(i));
  }
  return indices;
}

// The worked example of docs/wire-format.md: b = 3, gaps 3, 0 and 15.
TEST(IndexSetCodecTest, WritesTheGoldenSet) {
  EXPECT_EQ(IndexSetParameter(64, 3), 3u);
  EXPECT_THAT(Encode({3, 4, 20}, 64), ElementsAre(0x17, 0x1e));
  EXPECT_THAT(DecodeIndexSet({0x17, 0x1e}, 64, 3), IsOkAndHolds(ElementsAre(3, 4, 20)));
}

TEST(IndexSetCodecTest, AppendsBehindWhatIsThere) {
  std::vector<uint8_t> bytes = {0xab};
  AppendIndexSet({3, 4, 20}, 64, bytes);
  EXPECT_THAT(bytes, ElementsAre(0xab, 0x17, 0x1e));
}

TEST(IndexSetCodecTest, ParameterIsTheLargestThatFits) {
  for (const uint32_t num_elements : {1u, 2u, 3u, 23u, 24u, 64u, 1000u, 1u << 24, ~0u}) {
    for (uint32_t count = 1; count <= std::min(num_elements, 2000u); ++count) {
      const uint64_t limit = uint64_t{num_elements} * 11 / 16;
      const uint64_t parameter = IndexSetParameter(num_elements, count);
      ASSERT_TRUE(parameter == 0 || uint64_t{count} << parameter <= limit)
          << count << " of " << num_elements;
      ASSERT_GT(uint64_t{count} << (parameter + 1), limit) << count << " of " << num_elements;
    }
  }
  EXPECT_EQ(IndexSetParameter(64, 0), 0u);
}

TEST(IndexSetCodecTest, AnEmptySetTakesNoBytes) {
  EXPECT_THAT(Encode({}, 64), IsEmpty());
  EXPECT_THAT(DecodeIndexSet({}, 64, 0), IsOkAndHolds(IsEmpty()));
  EXPECT_EQ(MaxIndexSetBytes(64, 0), 0u);
}

TEST(IndexSetCodecTest, EverySmallSetSurvivesARoundTrip) {
  for (uint32_t num_elements = 1; num_elements <= 14; ++num_elements) {
    for (uint32_t set = 0; set < 1u << num_elements; ++set) {
      const std::vector<uint32_t> indices = IndicesOf(set);
      const std::vector<uint8_t> bytes = Encode(indices, num_elements);
      const auto count = static_cast<uint32_t>(indices.size());
      ASSERT_LE(bytes.size(), MaxIndexSetBytes(num_elements, count));
      ASSERT_THAT(DecodeIndexSet(bytes, num_elements, count), IsOkAndHolds(indices))
          << "set " << set << " of " << num_elements;
    }
  }
}

// Of all strings of up to two bytes exactly one is accepted for each set.
TEST(IndexSetCodecTest, AcceptsOneCodeForEachSetAndNothingElse) {
  for (const uint32_t num_elements : {1, 2, 5, 8}) {
    std::vector<uint32_t> sets_of_size(num_elements + 1);
    for (uint32_t set = 0; set < 1u << num_elements; ++set) ++sets_of_size[std::popcount(set)];
    for (uint32_t count = 0; count <= num_elements; ++count) {
      uint32_t accepted = 0;
      const auto decode = [&](const std::vector<uint8_t>& bytes) {
        const auto indices = DecodeIndexSet(bytes, num_elements, count);
        if (!indices.ok()) return;
        ++accepted;
        ASSERT_EQ(Encode(*indices, num_elements), bytes);
      };
      decode({});
      for (int low = 0; low < 256; ++low) {
        decode({static_cast<uint8_t>(low)});
        for (int high = 0; high < 256; ++high) {
          decode({static_cast<uint8_t>(low), static_cast<uint8_t>(high)});
        }
      }
      EXPECT_EQ(accepted, sets_of_size[count]) << count << " of " << num_elements;
    }
  }
}

TEST(IndexSetCodecTest, RandomSetsSurviveARoundTripAndTakeLogOfTheirDensityPlusTwoBits) {
  constexpr uint32_t kSeed = 7;
  std::mt19937_64 random(kSeed);
  for (const uint32_t num_elements : {1u << 14, 100'003u, 1u << 24}) {
    // No set of more than some 100,000, which are enough to average over.
    for (double density = std::min(0.95, 1e5 / num_elements); density * num_elements > 2000;
         density *= 0.8) {
      SCOPED_TRACE(absl::StrCat("density ", density, ", ", num_elements, " elements"));
      const std::vector<uint32_t> indices = RandomSet(num_elements, density, random);
      const std::vector<uint8_t> bytes = Encode(indices, num_elements);
      const auto count = static_cast<uint32_t>(indices.size());
      const auto decoded = DecodeIndexSet(bytes, num_elements, count);
      ASSERT_THAT(decoded, IsOk());
      ASSERT_TRUE(*decoded == indices);
      EXPECT_LE(8.0 * static_cast<double>(bytes.size()),
                count * (std::log2(static_cast<double>(num_elements) / count) + 2));
      EXPECT_LE(bytes.size(), MaxIndexSetBytes(num_elements, count));
    }
  }
}

TEST(IndexSetCodecTest, BitsAnIndexStayCloseToWhatAnyCodeNeeds) {
  constexpr uint32_t kNumElements = 1 << 20;
  // One index among so many elements; bits an index: log2 of the number of such sets, which no code
  // goes below, and what ours takes. log2(elements an index) + 2 is more in every row.
  constexpr struct {
    uint32_t elements_an_index;
    double least_bits;
    double bits;
  } kRows[] = {{2, 2.0, 2.0},      {4, 3.245, 3.286},   {10, 4.690, 4.908},
               {32, 6.420, 6.511}, {100, 8.079, 8.108}, {1000, 11.402, 11.496}};
  for (const auto& row : kRows) {
    SCOPED_TRACE(absl::StrCat("one in ", row.elements_an_index));
    const uint32_t count = kNumElements / row.elements_an_index;
    double bits = 0;
    constexpr int kSets = 20;
    for (int seed = 0; seed < kSets; ++seed) {
      std::mt19937_64 random(seed);
      std::vector<uint32_t> all(kNumElements);
      std::iota(all.begin(), all.end(), 0u);
      std::vector<uint32_t> indices;
      std::sample(all.begin(), all.end(), std::back_inserter(indices), count, random);
      bits += 8.0 * static_cast<double>(Encode(indices, kNumElements).size()) / count / kSets;
    }
    EXPECT_GE(bits, row.least_bits);
    EXPECT_NEAR(bits, row.bits, 0.02);
    EXPECT_LT(bits, std::log2(row.elements_an_index) + 2);
  }
}

TEST(IndexSetCodecTest, HandlesTheMostElements) {
  constexpr uint32_t kMost = ~uint32_t{0};
  for (const std::vector<uint32_t>& indices :
       {std::vector<uint32_t>{0}, {kMost - 1}, {0, kMost - 1}, {kMost - 2, kMost - 1}}) {
    const auto count = static_cast<uint32_t>(indices.size());
    EXPECT_THAT(DecodeIndexSet(Encode(indices, kMost), kMost, count), IsOkAndHolds(indices));
  }
}

TEST(IndexSetCodecTest, NoSetExceedsTheBound) {
  for (uint32_t num_elements = 1; num_elements <= 400; ++num_elements) {
    size_t worst_bytes = 0;
    for (uint32_t count = 1; count <= num_elements; ++count) {
      // The last elements: all that is skipped is one gap, which rounds off least.
      std::vector<uint32_t> indices;
      for (uint32_t i = num_elements - count; i < num_elements; ++i) indices.push_back(i);
      worst_bytes = std::max(worst_bytes, Encode(indices, num_elements).size());
      ASSERT_LE(worst_bytes, MaxIndexSetBytes(num_elements, count))
          << count << " of " << num_elements;
      // And the bound is of use: two bits an index above what random sets take.
      ASSERT_LE(static_cast<double>(MaxIndexSetBytes(num_elements, count)),
                count * (std::log2(static_cast<double>(num_elements) / count) + 4) / 8 + 1);
    }
  }
}

TEST(IndexSetCodecTest, RefusesACodeThatIsCut) {
  constexpr uint32_t kNumElements = 5000;
  std::mt19937_64 random(11);
  const std::vector<uint32_t> indices = RandomSet(kNumElements, 0.01, random);
  const std::vector<uint8_t> bytes = Encode(indices, kNumElements);
  for (size_t size = 0; size < bytes.size(); ++size) {
    SCOPED_TRACE(size);
    EXPECT_THAT(DecodeIndexSet(absl::MakeConstSpan(bytes).first(size), kNumElements,
                               static_cast<uint32_t>(indices.size())),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("`payload.indices` has ", size,
                                                " bytes and ends within indices["))));
  }
}

TEST(IndexSetCodecTest, RefusesWhatBreaksARule) {
  // 16 elements, 2 indices: b = 2. 64 elements, 3 indices: b = 3, see above.
  const struct {
    std::vector<uint8_t> bytes;
    uint32_t num_elements;
    uint32_t count;
    const char* message;
  } kCases[] = {
      {{0x17, 0x1e, 0x00}, 64, 3, "`payload.indices` has 3 bytes, must have 2 for these 3 indices"},
      {{0x00}, 64, 0, "`payload.indices` has 1 bytes, must have 0 for these 0 indices"},
      {{0x17, 0x3e}, 64, 3, "`payload.indices` ends with ones behind its last index"},
      {{0x17, 0x9e}, 64, 3, "`payload.indices` ends with ones behind its last index"},
      // 3 zeros, a one, 0: gap 12. 5 zeros, a one, 0: gap 20.
      {{0x08, 0x08}, 16, 2, "`payload.indices[1]` = 33, must be less than 16"},
      {{0x10, 0x00}, 16, 2, "`payload.indices[0]` = 16, must be less than 16"},
      {{0x17, 0x1e},
       64,
       4,
       "`payload.indices` has 2 bytes and ends within indices[3], must hold "
       "4 indices"},
      {{0x00}, 1, 1, "`payload.indices` has 1 bytes and ends within indices[0]"},
      {{}, 1, 1, "`payload.indices` has 0 bytes and ends within indices[0]"},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.message);
    EXPECT_THAT(DecodeIndexSet(test_case.bytes, test_case.num_elements, test_case.count),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test_case.message)));
  }
}

TEST(IndexSetCodecTest, RefusesAbsurdRunsOfZeros) {
  std::vector<uint8_t> bytes(1 << 20);
  const auto decode = [&bytes](uint32_t num_elements) {
    return DecodeIndexSet(bytes, num_elements, 1);
  };
  EXPECT_THAT(decode(~uint32_t{0}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ends within indices[0]")));
  // With the most zeros that fit, and the most that each of them can stand for.
  bytes[bytes.size() - 5] = 0x80;
  EXPECT_THAT(decode(~uint32_t{0}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`payload.indices[0]` = ")));
  EXPECT_THAT(decode(1 << 24),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`payload.indices[0]` = ")));
}

TEST(IndexSetCodecTest, RefusesACountThatTheBytesCannotHold) {
  EXPECT_THAT(DecodeIndexSet({0xff}, 1 << 24, 1 << 24),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("ends within indices[8], must hold 16777216 indices")));
}

}  // namespace
}  // namespace tally
