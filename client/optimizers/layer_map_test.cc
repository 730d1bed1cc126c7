#include "client/optimizers/layer_map.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

using Range = std::pair<uint64_t, uint64_t>;

// Flat: a at [0, 300), c at [300, 10300), d all masked at [10300, 10310), b at [10310, 10360).
Layout TestLayout(uint32_t chunk_elements = 256) {
  return *Layout::Create({{.name = "a", .num_elements = 300, .masked = {{0, 3}, {10, 20}}},
                          {.name = "b", .num_elements = 50, .treatment = Treatment::kDense},
                          {.name = "c", .num_elements = 10'000, .masked = {{9'000, 10'000}}},
                          {.name = "d", .num_elements = 10, .masked = {{0, 10}}}},
                         chunk_elements);
}

std::vector<Range> PiecesOf(const LayerMap::Layer& layer) {
  std::vector<Range> pieces;
  EXPECT_THAT(LayerMap::ForEachPiece(layer,
                                     [&](uint64_t offset, uint64_t size) {
                                       pieces.emplace_back(offset, size);
                                       return absl::OkStatus();
                                     }),
              IsOk());
  return pieces;
}

TEST(LayerMapTest, LayersFollowTheFlatVector) {
  const LayerMap map(TestLayout());
  std::vector<Range> places;
  for (const LayerMap::Layer& layer : map.layers()) {
    places.emplace_back(layer.offset, layer.num_elements);
  }
  EXPECT_THAT(places,
              ElementsAre(Pair(0, 300), Pair(300, 10'000), Pair(10'300, 10), Pair(10'310, 50)));
  EXPECT_FALSE(map.layers()[2].dense);
  EXPECT_TRUE(map.layers()[3].dense);
}

TEST(LayerMapTest, RunsLieBetweenMaskedRanges) {
  const LayerMap map(TestLayout());
  EXPECT_THAT(map.layers()[0].runs, ElementsAre(FieldsAre(3, 7), FieldsAre(20, 280)));
  EXPECT_EQ(map.layers()[0].num_live, 287u);
  EXPECT_THAT(map.layers()[1].runs, ElementsAre(FieldsAre(300, 9'000)));
  EXPECT_THAT(map.layers()[2].runs, IsEmpty());
  EXPECT_EQ(map.layers()[2].num_live, 0u);
}

TEST(LayerMapTest, KnowsTheChunksOfALayer) {
  const LayerMap map(TestLayout());
  EXPECT_EQ(map.layers()[0].first_chunk, 0u);
  EXPECT_EQ(map.layers()[0].last_chunk, 1u);
  EXPECT_EQ(map.layers()[1].first_chunk, 1u);
  EXPECT_EQ(map.layers()[1].last_chunk, 40u);
  EXPECT_EQ(map.layers()[3].first_chunk, 41u);  // the dense part has chunks of its own
  EXPECT_EQ(map.layers()[3].last_chunk, 41u);
}

TEST(LayerMapTest, PiecesDoNotDependOnChunks) {
  const std::vector<Range> pieces = PiecesOf(LayerMap(TestLayout()).layers()[1]);
  EXPECT_THAT(pieces, ElementsAre(Pair(300, 4'096), Pair(4'396, 4'096), Pair(8'492, 808)));
  EXPECT_EQ(PiecesOf(LayerMap(TestLayout(4'352)).layers()[1]), pieces);
}

TEST(LayerMapTest, ARangeFallsIntoPartsOfLayers) {
  const LayerMap map(TestLayout());
  std::vector<std::pair<size_t, Range>> parts;
  EXPECT_THAT(map.ForEachPart(256, 10'060,
                              [&](size_t layer, uint64_t offset, uint64_t size) {
                                parts.emplace_back(layer, Range(offset, size));
                                return absl::OkStatus();
                              }),
              IsOk());
  EXPECT_THAT(parts, ElementsAre(Pair(0, Pair(256, 44)), Pair(1, Pair(300, 10'000)),
                                 Pair(2, Pair(10'300, 10)), Pair(3, Pair(10'310, 6))));
}

TEST(LayerMapTest, TheFirstErrorEndsTheWalk) {
  const LayerMap map(TestLayout());
  int visits = 0;
  const auto fail = [&](auto...) {
    ++visits;
    return absl::InternalError("stop");
  };
  EXPECT_THAT(map.ForEachPart(0, 1'000, fail), StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(LayerMap::ForEachPiece(map.layers()[1], fail), StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(visits, 2);
}

}  // namespace
}  // namespace tally
