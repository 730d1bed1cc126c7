#include "base/digest.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

// Bytes without a period that a block of the digest could hide.
std::vector<uint8_t> Pattern(size_t num_bytes) {
  std::vector<uint8_t> bytes(num_bytes);
  for (size_t i = 0; i < num_bytes; ++i) bytes[i] = static_cast<uint8_t>((i * 2654435761u) >> 13);
  return bytes;
}

absl::string_view AsText(const std::vector<uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The digest is in messages and in stored results, so its values are fixed for good.
TEST(Digest64Test, HasThePublishedValuesOfXxh3) {
  EXPECT_EQ(Digest64(absl::string_view()), 0x2D06800538D394C2u);
  EXPECT_EQ(Digest64("abc"), 0x78AF5F94892F3950u);
}

TEST(Digest64Test, IsTheSameForTextAndBytes) {
  for (size_t num_bytes : {0, 1, 3, 16, 17, 128, 129, 240, 241, 1024, 5000}) {
    SCOPED_TRACE(num_bytes);
    const std::vector<uint8_t> bytes = Pattern(num_bytes);
    EXPECT_EQ(Digest64(bytes), Digest64(AsText(bytes)));
  }
}

TEST(Digest64Test, DependsOnEveryBit) {
  const std::vector<uint8_t> bytes = Pattern(300);
  const uint64_t digest = Digest64(bytes);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::vector<uint8_t> damaged = bytes;
    damaged[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_NE(Digest64(damaged), digest) << "bit " << bit;
  }
}

TEST(Digest64Test, DependsOnTheLength) {
  EXPECT_NE(Digest64(std::string(7, '\0')), Digest64(std::string(8, '\0')));
}

TEST(Digest64StreamTest, OfNothingIsTheDigestOfNothing) {
  EXPECT_EQ(Digest64Stream().Finish(), Digest64(absl::string_view()));
}

TEST(Digest64StreamTest, EqualsTheDigestWhereverTheCutIs) {
  const std::vector<uint8_t> bytes = Pattern(1300);
  const absl::Span<const uint8_t> span(bytes);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    Digest64Stream stream;
    stream.Update(span.subspan(0, cut));
    stream.Update(AsText(bytes).substr(cut));
    EXPECT_EQ(stream.Finish(), Digest64(bytes)) << "cut at " << cut;
  }
}

TEST(Digest64StreamTest, TakesEmptyPieces) {
  Digest64Stream stream;
  stream.Update(absl::Span<const uint8_t>());
  stream.Update("abc");
  stream.Update(absl::string_view());
  EXPECT_EQ(stream.Finish(), Digest64("abc"));
}

TEST(Digest64StreamTest, GoesOnAfterFinish) {
  Digest64Stream stream;
  stream.Update("ab");
  EXPECT_EQ(stream.Finish(), Digest64("ab"));
  stream.Update("c");
  EXPECT_EQ(stream.Finish(), Digest64("abc"));
}

TEST(Digest64StreamTest, MovesWithItsBytes) {
  Digest64Stream stream;
  stream.Update("ab");
  Digest64Stream moved = std::move(stream);
  moved.Update("c");
  EXPECT_EQ(moved.Finish(), Digest64("abc"));
}

}  // namespace
}  // namespace tally
