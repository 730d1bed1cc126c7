#include "client/optimizers/segment_map.h"

#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr ScaleGranularity kTensors = {.unit = ScaleGranularity::Unit::kTensor};
constexpr ScaleGranularity kModel = {.unit = ScaleGranularity::Unit::kModel};

// Chunks of 256: [a a] [a b] [b b] [b b] [c] and a dense one.
Layout CrossingTensors() {
  return *Layout::Create({{.name = "a", .num_elements = 300},
                          {.name = "b", .num_elements = 724, .masked = {{0, 10}}},
                          {.name = "d", .num_elements = 5, .treatment = Treatment::kDense},
                          {.name = "c", .num_elements = 7}},
                         256);
}

TEST(SegmentMapTest, NumbersTensorsThroughAcrossChunks) {
  const SegmentMap map(CrossingTensors(), kTensors);
  EXPECT_EQ(map.num_segments(), 3u);
  std::vector<size_t> first;
  std::vector<size_t> count;
  std::vector<uint32_t> last_chunk;
  for (uint32_t c = 0; c < 5; ++c) {
    first.push_back(map.first_segment(c));
    count.push_back(map.num_segments(c));
    last_chunk.push_back(map.last_chunk(c));
  }
  EXPECT_THAT(first, ElementsAre(0, 0, 1, 1, 2));
  EXPECT_THAT(count, ElementsAre(1, 2, 1, 1, 1));
  EXPECT_THAT(last_chunk, ElementsAre(1, 3, 3, 3, 4));
}

TEST(SegmentMapTest, TheModelIsOneSegment) {
  const SegmentMap map(CrossingTensors(), kModel);
  EXPECT_EQ(map.num_segments(), 1u);
  for (uint32_t c = 0; c < 5; ++c) EXPECT_EQ(map.last_chunk(c), 4u);
}

TEST(SegmentMapTest, BlocksEndWithTheirChunk) {
  const SegmentMap map(CrossingTensors(), {.block_elements = 256});
  EXPECT_EQ(map.num_segments(), 5u);
  for (uint32_t c = 0; c < 5; ++c) EXPECT_EQ(map.last_chunk(c), c);
}

TEST(SegmentMapTest, CountsWhatIsNotMasked) {
  const SegmentMap map(CrossingTensors(), kTensors);
  EXPECT_THAT(map.num_live(0), ElementsAre(256));
  EXPECT_THAT(map.num_live(1), ElementsAre(44, 202));
}

TEST(SegmentMapTest, CutsPiecesAtSegmentsAndBlocksOfTheChunk) {
  const Layout layout = *Layout::Create(
      {{.name = "a", .num_elements = 5000}, {.name = "b", .num_elements = 15'480}}, 20'480);
  const SegmentMap map(layout, kTensors);
  ASSERT_EQ(map.num_tiles(0), 2u);
  const SegmentMap::Tile first = map.tile(0, 0);
  EXPECT_EQ(first.begin, 0u);
  EXPECT_EQ(first.num_elements, kTileElements);
  EXPECT_THAT(first.piece_ends, ElementsAre(4096, 5000, 8192, 12'288, 16'384));
  EXPECT_THAT(first.piece_segments, ElementsAre(0, 0, 1, 1, 1));
  const SegmentMap::Tile second = map.tile(0, 1);
  EXPECT_EQ(second.begin, kTileElements);
  EXPECT_THAT(second.piece_ends, ElementsAre(4096));
  EXPECT_THAT(second.piece_segments, ElementsAre(1));
  EXPECT_EQ(map.max_pieces(), 5u);
}

TEST(TileOfTest, SpreadsScalesOverPieces) {
  const Layout layout = *Layout::Create(
      {{.name = "a", .num_elements = 5000}, {.name = "b", .num_elements = 15'480}}, 20'480);
  const SegmentMap map(layout, kTensors);
  std::vector<uint8_t> bits(20'480 / 8, 0xaa);
  bits[kTileElements / 8] = 0x01;
  const std::vector<float> scales = {2.0f, 3.0f};
  std::vector<float> piece_scales(map.max_pieces());
  const SignBlock first = TileOf({bits, scales}, map.tile(0, 0), absl::MakeSpan(piece_scales));
  EXPECT_THAT(first.scales, ElementsAre(2.0f, 2.0f, 3.0f, 3.0f, 3.0f));
  EXPECT_THAT(first.bits, Each(0xaa));
  const SignBlock second = TileOf({bits, scales}, map.tile(0, 1), absl::MakeSpan(piece_scales));
  EXPECT_THAT(second.scales, ElementsAre(3.0f));
  EXPECT_EQ(second.bits[0], 0x01);
  EXPECT_EQ(second.bits.size(), 512u);
}

TEST(TileOfTest, NoMaskHasNoTiles) {
  const SegmentMap map(CrossingTensors(), kTensors);
  EXPECT_TRUE(TileOf(absl::Span<const uint8_t>(), map.tile(0, 0)).empty());
}

}  // namespace
}  // namespace tally
