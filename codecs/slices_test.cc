#include "codecs/slices.h"

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::SizeIs;

v1::Slice MakeSlice(uint64_t offset_bytes, uint64_t total_bytes) {
  v1::Slice slice;
  slice.set_offset_bytes(offset_bytes);
  slice.set_total_bytes(total_bytes);
  return slice;
}

std::vector<uint8_t> Bytes(size_t size) {
  std::vector<uint8_t> bytes(size);
  std::mt19937 random(static_cast<uint32_t>(size));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

TEST(CutIntoSlicesTest, CutsAtMultiplesOfTheSliceSize) {
  const std::vector<uint8_t> payload = Bytes(10);
  const std::vector<PayloadSlice> slices = CutIntoSlices(payload, 4);
  ASSERT_THAT(slices, SizeIs(3));
  const size_t kOffsets[] = {0, 4, 8};
  const size_t kSizes[] = {4, 4, 2};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(slices[i].slice.offset_bytes(), kOffsets[i]);
    EXPECT_EQ(slices[i].slice.total_bytes(), 10u);
    EXPECT_EQ(slices[i].piece.data(), payload.data() + kOffsets[i]);
    EXPECT_EQ(slices[i].piece.size(), kSizes[i]);
  }
}

TEST(CutIntoSlicesTest, MakesOneSliceOfWhatFits) {
  EXPECT_THAT(CutIntoSlices(Bytes(4), 4), SizeIs(1));
  EXPECT_THAT(CutIntoSlices(Bytes(kSliceBytes)), SizeIs(1));
  EXPECT_THAT(CutIntoSlices(Bytes(kSliceBytes + 1)), SizeIs(2));
  ASSERT_THAT(CutIntoSlices({}), SizeIs(1));
  EXPECT_EQ(CutIntoSlices({})[0].slice.total_bytes(), 0u);
}

TEST(SliceAssemblerTest, PutsTogetherWhatWasCut) {
  SliceAssembler assembler;
  for (const size_t size : {0, 1, 6, 7, 8, 700, 701}) {
    SCOPED_TRACE(size);
    const std::vector<uint8_t> payload = Bytes(size);
    const std::vector<PayloadSlice> slices = CutIntoSlices(payload, 7);
    for (size_t i = 0; i < slices.size(); ++i) {
      EXPECT_FALSE(assembler.complete());
      EXPECT_EQ(assembler.in_progress(), i > 0);
      ASSERT_THAT(i == 0 ? assembler.Begin(slices[i].slice, slices[i].piece, size)
                         : assembler.Continue(slices[i].slice, slices[i].piece),
                  IsOk());
    }
    ASSERT_TRUE(assembler.complete());
    EXPECT_TRUE(assembler.in_progress());
    const Buffer taken = assembler.Take();
    EXPECT_THAT(taken.bytes(), ElementsAreArray(payload));
    EXPECT_FALSE(assembler.in_progress());
    EXPECT_FALSE(assembler.complete());
  }
}

TEST(SliceAssemblerTest, TakesSlicesOfTheLargestSize) {
  const std::vector<uint8_t> piece = Bytes(kMaxSliceBytes);
  SliceAssembler assembler;
  ASSERT_THAT(assembler.Begin(MakeSlice(0, 2 * kMaxSliceBytes), piece, 2 * kMaxSliceBytes), IsOk());
  EXPECT_THAT(assembler.Continue(MakeSlice(kMaxSliceBytes, 2 * kMaxSliceBytes), piece), IsOk());
  EXPECT_TRUE(assembler.complete());
}

TEST(SliceAssemblerTest, RefusesAFirstSliceThatBreaksARule) {
  const struct {
    uint64_t offset_bytes;
    uint64_t total_bytes;
    size_t piece_bytes;
    const char* message;
  } kCases[] = {
      {0, 101, 10, "`slice.total_bytes` = 101, must be at most 100"},
      {0, ~uint64_t{0}, 10, "`slice.total_bytes` = 18446744073709551615, must be at most 100"},
      {1, 100, 10, "`slice.offset_bytes` = 1, must be 0, where the slice before ended"},
      {0, 100, 0, "`payload` has 0 bytes at offset 0, must have at least 1"},
      {0, 100, 101, "`payload` has 101 bytes, must have at most 100 (0 of 100 bytes are there)"},
      {0, 0, 1, "`payload` has 1 bytes, must have at most 0 (0 of 0 bytes are there)"},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.message);
    SliceAssembler assembler;
    EXPECT_THAT(assembler.Begin(MakeSlice(test_case.offset_bytes, test_case.total_bytes),
                                Bytes(test_case.piece_bytes), 100),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test_case.message)));
    EXPECT_FALSE(assembler.in_progress());
    EXPECT_THAT(assembler.Begin(MakeSlice(0, 100), Bytes(100), 100), IsOk());
  }
}

TEST(SliceAssemblerTest, RefusesAPieceAboveTheSliceLimit) {
  const std::vector<uint8_t> piece = Bytes(kMaxSliceBytes + 1);
  const uint64_t total_bytes = 2 * kMaxSliceBytes;
  SliceAssembler assembler;
  EXPECT_THAT(assembler.Begin(MakeSlice(0, total_bytes), piece, total_bytes),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`payload` has 1048577 bytes, must have at most 1048576")));
  ASSERT_THAT(assembler.Begin(MakeSlice(0, total_bytes), {piece.data(), 1}, total_bytes), IsOk());
  EXPECT_THAT(assembler.Continue(MakeSlice(1, total_bytes), piece),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`payload` has 1048577 bytes, must have at most 1048576")));
}

TEST(SliceAssemblerTest, RefusesAFurtherSliceThatBreaksARuleAndGoesOn) {
  const struct {
    uint64_t offset_bytes;
    uint64_t total_bytes;
    size_t piece_bytes;
    const char* message;
  } kCases[] = {
      {10, 99, 10, "`slice.total_bytes` = 99, must be 100 as in the first slice"},
      {0, 100, 10, "`slice.offset_bytes` = 0, must be 10, where the slice before ended"},
      {11, 100, 10, "`slice.offset_bytes` = 11, must be 10"},
      {10, 100, 0, "`payload` has 0 bytes at offset 10, must have at least 1"},
      {10, 100, 91, "`payload` has 91 bytes, must have at most 90 (10 of 100 bytes are there)"},
  };
  const std::vector<uint8_t> payload = Bytes(100);
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.message);
    SliceAssembler assembler;
    ASSERT_THAT(assembler.Begin(MakeSlice(0, 100), {payload.data(), 10}, 100), IsOk());
    EXPECT_THAT(assembler.Continue(MakeSlice(test_case.offset_bytes, test_case.total_bytes),
                                   Bytes(test_case.piece_bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test_case.message)));
    ASSERT_THAT(assembler.Continue(MakeSlice(10, 100), {payload.data() + 10, 90}), IsOk());
    EXPECT_THAT(assembler.Take().bytes(), ElementsAreArray(payload));
  }
}

TEST(SliceAssemblerTest, RefusesSlicesBeyondTheEnd) {
  for (const size_t total_bytes : {0, 5}) {
    SliceAssembler assembler;
    ASSERT_THAT(assembler.Begin(MakeSlice(0, total_bytes), Bytes(total_bytes), 5), IsOk());
    for (const size_t piece_bytes : {0, 1}) {
      EXPECT_THAT(assembler.Continue(MakeSlice(total_bytes, total_bytes), Bytes(piece_bytes)),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`payload` has ")));
    }
  }
}

TEST(SliceAssemblerTest, RefusesToBeginWhileAPayloadIsInProgress) {
  SliceAssembler assembler;
  ASSERT_THAT(assembler.Begin(MakeSlice(0, 4), Bytes(3), 4), IsOk());
  EXPECT_THAT(assembler.Begin(MakeSlice(0, 4), Bytes(4), 4),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("`slice` begins a payload, must continue the one of which 3 of 4 "
                                 "bytes are there")));
}

TEST(SliceAssemblerTest, RefusesToContinueNothing) {
  SliceAssembler assembler;
  EXPECT_THAT(assembler.Continue(MakeSlice(3, 4), Bytes(1)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("`slice.offset_bytes` = 3 continues a payload, must begin one: "
                                 "none is in progress")));
}

}  // namespace
}  // namespace tally
