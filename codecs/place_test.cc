#include "codecs/place.h"

#include <vector>

#include "gtest/gtest.h"

namespace tally {
namespace {

v1::ResultHeader HeaderAt(uint64_t round, uint32_t half) {
  v1::ResultHeader header;
  header.set_round(round);
  header.set_half(half);
  return header;
}

TEST(PlaceTest, HalvesOrderWithinTheirRound) {
  const std::vector<Place> places = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {812, 0}};
  for (size_t i = 0; i < places.size(); ++i) {
    for (size_t k = 0; k < places.size(); ++k) {
      EXPECT_EQ(places[i] < places[k], i < k);
      EXPECT_EQ(places[i] == places[k], i == k);
    }
  }
}

TEST(PlaceTest, NamesTheHalfOnlyWhereThereAreTwo) {
  EXPECT_EQ(PlaceName({812, 0}), "round 812");
  EXPECT_EQ(PlaceName({812, 1}), "round 812, half 1");
}

TEST(PlaceTest, AHeaderStandsWhereItSays) {
  EXPECT_EQ(PlaceOf(HeaderAt(812, 0)), (Place{812, 0}));
  EXPECT_EQ(PlaceOf(HeaderAt(812, 1)), (Place{812, 1}));
}

TEST(PlaceTest, MostExchangesAreFollowedByTheNextRound) {
  v1::ResultHeader header = HeaderAt(812, 0);
  EXPECT_EQ(PlaceAfter(header), (Place{813, 0})) << "nobody took part";
  header.mutable_exchange()->mutable_dense();
  EXPECT_EQ(PlaceAfter(header), (Place{813, 0}));
  header.mutable_exchange()->mutable_sparse();
  EXPECT_EQ(PlaceAfter(header), (Place{813, 0}));
}

TEST(PlaceTest, ASketchIsFollowedByItsSecondHalfUnlessItBringsEstimates) {
  v1::ResultHeader header = HeaderAt(812, 0);
  header.mutable_exchange()->mutable_sketch();
  EXPECT_EQ(PlaceAfter(header), (Place{812, 1}));
  header.mutable_exchange()->mutable_sketch()->set_with_estimates(true);
  EXPECT_EQ(PlaceAfter(header), (Place{813, 0}));
}

TEST(PlaceTest, ASecondHalfIsFollowedByTheNextRound) {
  v1::ResultHeader header = HeaderAt(812, 1);
  header.mutable_exchange()->mutable_values();
  EXPECT_EQ(PlaceAfter(header), (Place{813, 0}));
  EXPECT_EQ(PlaceAfter(HeaderAt(812, 1)), (Place{813, 0})) << "nobody took part";
}

TEST(PlaceTest, AGenesisIsFollowedByTheFirstRound) {
  EXPECT_EQ(PlaceAfter(HeaderAt(~uint64_t{0}, 0)), (Place{0, 0}));
  EXPECT_EQ(PlaceAfter(HeaderAt(4, 0)), (Place{5, 0}));
}

}  // namespace
}  // namespace tally
