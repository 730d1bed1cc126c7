#include "codecs/snapshot_reader.h"

#include <string>

#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/result_maker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kBytes = 256 * sizeof(float);

// Chunk 0 of two has 256 elements.
class SnapshotReaderTest : public testing::Test {
 protected:
  v1::ResidualSnapshot Slice(uint64_t offset_bytes) const {
    v1::ResidualSnapshot slice;
    slice.set_round(5);
    slice.set_payload_digest(Digest64(bytes_));
    slice.mutable_slice()->set_offset_bytes(offset_bytes);
    slice.mutable_slice()->set_total_bytes(kBytes);
    return slice;
  }

  const std::string bytes_ = std::string(kBytes, 'x');
  const Layout layout_ = LayoutOfChunks(2);
  SnapshotReader reader_{&layout_};
};

TEST_F(SnapshotReaderTest, PutsSlicesTogether) {
  const auto first = reader_.Take(Slice(0), bytes_.substr(0, 100));
  ASSERT_THAT(first, IsOk());
  EXPECT_FALSE(first->has_value());
  const auto second = reader_.Take(Slice(100), bytes_.substr(100));
  ASSERT_THAT(second, IsOk());
  ASSERT_TRUE(second->has_value());
  EXPECT_EQ((*second)->message.round(), 5u);
  EXPECT_EQ((*second)->payload->size(), kBytes);
}

TEST_F(SnapshotReaderTest, TakesTheNextSnapshotAfterOne) {
  ASSERT_THAT(reader_.Take(Slice(0), bytes_), IsOk());
  const auto next = reader_.Take(Slice(0), bytes_);
  ASSERT_THAT(next, IsOk());
  EXPECT_TRUE(next->has_value());
}

TEST_F(SnapshotReaderTest, RefusesChunkThatDoesNotExist) {
  v1::ResidualSnapshot slice = Slice(0);
  slice.set_chunk(2);
  EXPECT_THAT(reader_.Take(slice, bytes_),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("`residual_snapshot.chunk` must be less than 2")));
}

TEST_F(SnapshotReaderTest, RefusesAnotherSizeThanTheResiduals) {
  v1::ResidualSnapshot slice = Slice(0);
  slice.mutable_slice()->set_total_bytes(kBytes + 4);
  EXPECT_THAT(reader_.Take(slice, bytes_),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("chunk 0, round 5"),
                             HasSubstr("`residual_snapshot.slice.total_bytes` = 1028, must be "
                                       "1024"))));
}

TEST_F(SnapshotReaderTest, RefusesBytesWithAnotherDigest) {
  v1::ResidualSnapshot slice = Slice(0);
  slice.set_payload_digest(1);
  EXPECT_THAT(reader_.Take(slice, bytes_),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("`residual_snapshot.payload_digest` = 1, must be the payload's")));
}

TEST_F(SnapshotReaderTest, RefusesSlicesOfTwoSnapshotsInTurns) {
  ASSERT_THAT(reader_.Take(Slice(0), bytes_.substr(0, 100)), IsOk());
  v1::ResidualSnapshot other = Slice(100);
  other.set_round(6);
  EXPECT_THAT(reader_.Take(other, bytes_.substr(100)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("comes between the slices")));
}

TEST_F(SnapshotReaderTest, RefusesAGapBetweenSlices) {
  ASSERT_THAT(reader_.Take(Slice(0), bytes_.substr(0, 100)), IsOk());
  EXPECT_THAT(reader_.Take(Slice(104), bytes_.substr(104)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("`slice.offset_bytes` = 104")));
}

}  // namespace
}  // namespace tally
