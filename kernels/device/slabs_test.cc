#include "kernels/device/slabs.h"

#include <cstring>
#include <limits>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

class SlabsTest : public testing::Test {
 protected:
  void ExpectTaken(size_t num_bytes) { EXPECT_THAT(slabs_.Take(num_bytes), IsOk()); }

  FakeDevice device_;
  Slabs slabs_{&device_, Slabs::Kind::kDevice};
};

TEST_F(SlabsTest, PiecesAreAlignedAndApart) {
  uint8_t* end = nullptr;
  for (const size_t num_bytes : {1, 240, 241, 256, 1000}) {
    const absl::StatusOr<uint8_t*> piece = slabs_.Take(num_bytes);
    ASSERT_THAT(piece, IsOk());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(*piece) % 256, 0u);
    EXPECT_GE(*piece, end);
    end = *piece + num_bytes + 16;
    std::memset(*piece, 0, num_bytes + 16);
  }
}

TEST_F(SlabsTest, NothingIsTakenForNoBytes) {
  EXPECT_THAT(slabs_.Take(0), IsOkAndHolds(testing::IsNull()));
  EXPECT_EQ(device_.allocated_bytes(), 0u);
}

TEST_F(SlabsTest, SmallPiecesShareAMebibyte) {
  for (int i = 0; i < 100; ++i) ExpectTaken(1000);
  EXPECT_EQ(device_.allocated_bytes(), kMiB);
}

TEST_F(SlabsTest, ALargePieceGetsASlabOfItsSize) {
  ExpectTaken(5 * kMiB);
  EXPECT_EQ(device_.allocated_bytes(), 5 * kMiB + 256);
}

TEST_F(SlabsTest, EarlierPiecesStayWhenASlabJoins) {
  const absl::StatusOr<uint8_t*> first = slabs_.Take(kMiB / 2);
  ASSERT_THAT(first, IsOk());
  std::memset(*first, 0x11, kMiB / 2);
  ExpectTaken(kMiB);
  EXPECT_THAT(absl::MakeConstSpan(*first, kMiB / 2), testing::Each(0x11));
}

TEST_F(SlabsTest, TheSameUseAgainTakesTheSameMemory) {
  const absl::StatusOr<uint8_t*> first = slabs_.Take(1000);
  ASSERT_THAT(first, IsOk());
  slabs_.Reset();
  EXPECT_THAT(slabs_.Take(1000), IsOkAndHolds(*first));
}

TEST_F(SlabsTest, SeveralSlabsBecomeOneOfWhatWasInUse) {
  for (int i = 0; i < 3; ++i) ExpectTaken(2 * kMiB);
  slabs_.Reset();
  EXPECT_EQ(device_.allocated_bytes(), 0u);
  for (int use = 0; use < 3; ++use) {
    SCOPED_TRACE(use);
    for (int i = 0; i < 3; ++i) ExpectTaken(2 * kMiB);
    EXPECT_EQ(device_.allocated_bytes(), 3 * (2 * kMiB + 256));
    slabs_.Reset();
    EXPECT_EQ(device_.allocated_bytes(), 3 * (2 * kMiB + 256));
  }
}

TEST_F(SlabsTest, ARefusalLeavesThemAsTheyWere) {
  device_.LimitMemory(2 * kMiB);
  ExpectTaken(1000);
  EXPECT_THAT(slabs_.Take(2 * kMiB), StatusIs(absl::StatusCode::kResourceExhausted));
  ExpectTaken(1000);
  EXPECT_EQ(device_.allocated_bytes(), kMiB);
}

TEST_F(SlabsTest, TakesWhatItNeedsWhereTheMergedSlabIsRefused) {
  for (int i = 0; i < 3; ++i) ExpectTaken(2 * kMiB);
  slabs_.Reset();
  device_.LimitMemory(3 * kMiB);
  ExpectTaken(2 * kMiB);
  device_.LimitMemory(kNoLimit);
  ExpectTaken(2 * kMiB);
}

TEST_F(SlabsTest, PinnedOnesTakePinnedMemory) {
  {
    Slabs pinned(&device_, Slabs::Kind::kPinned);
    ASSERT_THAT(pinned.Take(1000), IsOk());
    EXPECT_EQ(device_.pinned_bytes(), kMiB);
    device_.LimitPinned(kMiB);
    EXPECT_THAT(pinned.Take(kMiB), StatusIs(absl::StatusCode::kResourceExhausted));
  }
  EXPECT_EQ(device_.pinned_bytes(), 0u);
  EXPECT_EQ(device_.allocated_bytes(), 0u);
}

}  // namespace
}  // namespace tally
