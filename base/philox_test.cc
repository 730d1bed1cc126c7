#include "base/philox.h"

#include <array>
#include <cstdint>

#include "gtest/gtest.h"

namespace tally {
namespace {

using Words = std::array<uint32_t, 4>;

// The known answers of the Random123 library's test suite.
TEST(PhiloxTest, GivesTheKnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kAll = 0xffffffff;
  EXPECT_EQ(Philox4x32({kAll, kAll, kAll, kAll}, {kAll, kAll}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(DrawStreamTest, ElementsShareACounterByFour) {
  const DrawStream stream = {.key = 0x0123456789abcdef, .round = 0x100000002, .first_element = 8};
  const Words words = Philox4x32({3, 0, 2, 1}, {0x89abcdef, 0x01234567});
  for (uint64_t i = 0; i < 4; ++i) EXPECT_EQ(stream.WordAt(4 + i), words[i]);
}

TEST(DrawStreamTest, CountsElementsIn64Bits) {
  const DrawStream stream = {.key = 7, .round = 1, .first_element = uint64_t{1} << 40};
  EXPECT_EQ(stream.WordAt(1), Philox4x32({0, 1 << 6, 1, 0}, {7, 0})[1]);
}

TEST(DrawStreamTest, DependsOnThePlaceInTheFlatVectorAlone) {
  const DrawStream whole = {.key = 1, .round = 2};
  const DrawStream part = {.key = 1, .round = 2, .first_element = 256};
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(part.WordAt(i), whole.WordAt(256 + i));
}

}  // namespace
}  // namespace tally
