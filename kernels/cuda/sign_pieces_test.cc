#include "kernels/cuda/sign_pieces.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally::cuda {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

MATCHER_P4(IsPiece, chunk, segment, begin, count, "") {
  return arg.chunk == static_cast<uint32_t>(chunk) &&
         arg.segment == static_cast<uint32_t>(segment) &&
         arg.begin == static_cast<uint32_t>(begin) && arg.count == static_cast<uint32_t>(count);
}

TEST(SignPiecesTest, ASegmentOfUpToABlockIsOnePiece) {
  SignPieces pieces;
  pieces.Add(0, std::vector<uint32_t>{1, 4097});
  EXPECT_THAT(pieces.whole, ElementsAre(IsPiece(0, 0, 0, 1), IsPiece(0, 1, 1, 4096)));
  EXPECT_THAT(pieces.split, IsEmpty());
}

TEST(SignPiecesTest, ALongerSegmentIsCutFromItsFirstElementOn) {
  SignPieces pieces;
  pieces.Add(0, std::vector<uint32_t>{10, 10 + 2 * 4096 + 1});
  EXPECT_THAT(pieces.whole, ElementsAre(IsPiece(0, 0, 0, 10)));
  EXPECT_THAT(pieces.split, ElementsAre(IsPiece(0, 1, 10, 4096), IsPiece(0, 1, 4106, 4096),
                                        IsPiece(0, 1, 8202, 1)));
  ASSERT_EQ(pieces.split_segments.size(), 1u);
  EXPECT_EQ(pieces.split_segments[0].segment, 1u);
  EXPECT_EQ(pieces.split_segments[0].first_piece, 0u);
  EXPECT_EQ(pieces.split_segments[0].num_pieces, 3u);
}

TEST(SignPiecesTest, ChunksOfABatchFollowEachOther) {
  SignPieces pieces;
  pieces.Add(0, std::vector<uint32_t>{8192});
  pieces.Add(1, std::vector<uint32_t>{32, 8224 + 4096});
  EXPECT_THAT(pieces.whole, ElementsAre(IsPiece(1, 0, 0, 32)));
  ASSERT_EQ(pieces.split_segments.size(), 2u);
  EXPECT_EQ(pieces.split_segments[1].chunk, 1u);
  EXPECT_EQ(pieces.split_segments[1].first_piece, 2u);
  EXPECT_EQ(pieces.split_segments[1].num_pieces, 3u);
}

TEST(SignPiecesTest, PiecesShareAWordWhereASegmentBeginsInsideOne) {
  EXPECT_FALSE(SignPieces().Add(0, std::vector<uint32_t>{32, 64, 99}));
  EXPECT_FALSE(SignPieces().Add(0, std::vector<uint32_t>{99}));
  EXPECT_TRUE(SignPieces().Add(0, std::vector<uint32_t>{33, 64}));
}

}  // namespace
}  // namespace tally::cuda
