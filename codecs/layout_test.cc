#include "codecs/layout.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "codecs/dealing.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr ScaleGranularity kPerBlock256 = {.unit = ScaleGranularity::Unit::kBlock,
                                           .block_elements = 256};
constexpr ScaleGranularity kPerTensor = {.unit = ScaleGranularity::Unit::kTensor};
constexpr ScaleGranularity kWholeModel = {.unit = ScaleGranularity::Unit::kModel};

Tensor Compressed(std::string name, uint64_t num_elements, std::vector<ElementRange> masked = {}) {
  return {std::move(name), num_elements, Treatment::kCompressed, std::move(masked)};
}

Tensor Dense(std::string name, uint64_t num_elements, std::vector<ElementRange> masked = {}) {
  return {std::move(name), num_elements, Treatment::kDense, std::move(masked)};
}

std::vector<Tensor> ManyTensors(size_t count, uint64_t num_elements) {
  std::vector<Tensor> tensors;
  for (size_t t = 0; t < count; ++t) tensors.push_back(Compressed(absl::StrCat(t), num_elements));
  return tensors;
}

Layout Valid(std::vector<Tensor> tensors, uint32_t chunk_elements,
             absl::optional<DealingOptions> dealing = absl::nullopt) {
  absl::StatusOr<Layout> layout = Layout::Create(std::move(tensors), chunk_elements, dealing);
  EXPECT_THAT(layout, IsOk());
  return *std::move(layout);
}

TEST(LayoutTest, PutsCompressedTensorsBeforeDenseOnes) {
  const Layout layout =
      Valid({Dense("d0", 10), Compressed("c0", 300), Dense("d1", 5), Compressed("c1", 7)}, 256);
  EXPECT_EQ(layout.num_elements(), 322u);
  EXPECT_EQ(layout.num_compressed(), 307u);
  EXPECT_EQ(layout.tensor_offset(0), 307u);
  EXPECT_EQ(layout.tensor_offset(1), 0u);
  EXPECT_EQ(layout.tensor_offset(2), 317u);
  EXPECT_EQ(layout.tensor_offset(3), 300u);
  EXPECT_EQ(layout.tensors()[0].name, "d0");
}

MATCHER_P3(IsChunk, offset, num_elements, dense, "") {
  return arg.offset == static_cast<uint64_t>(offset) &&
         arg.num_elements == static_cast<uint32_t>(num_elements) && arg.dense == dense;
}

TEST(LayoutTest, CutsEachPartIntoChunksOfItsOwn) {
  const Layout layout = Valid({Dense("d", 513), Compressed("c", 300)}, 256);
  EXPECT_THAT(layout.chunks(),
              ElementsAre(IsChunk(0, 256, false), IsChunk(256, 44, false), IsChunk(300, 256, true),
                          IsChunk(556, 256, true), IsChunk(812, 1, true)));
}

TEST(LayoutTest, HasNoChunksForAnEmptyPart) {
  EXPECT_THAT(Valid({Dense("d", 256)}, 256).chunks(), ElementsAre(IsChunk(0, 256, true)));
  EXPECT_THAT(Valid({Compressed("c", 256)}, 256).chunks(), ElementsAre(IsChunk(0, 256, false)));
}

TEST(LayoutTest, SegmentsOfBlocksEndAtMultiplesOfTheBlock) {
  const Layout layout = Valid({Compressed("c", 1024 + 600)}, 1024);
  EXPECT_THAT(layout.SegmentEnds(0, kPerBlock256), ElementsAre(256, 512, 768, 1024));
  EXPECT_THAT(layout.SegmentEnds(1, kPerBlock256), ElementsAre(256, 512, 600));
  const ScaleGranularity per_512 = {.unit = ScaleGranularity::Unit::kBlock, .block_elements = 512};
  EXPECT_THAT(layout.SegmentEnds(1, per_512), ElementsAre(512, 600));
}

TEST(LayoutTest, SegmentsOfTensorsEndAtTensorsAndChunks) {
  const Layout layout =
      Valid({Compressed("a", 100), Compressed("b", 156), Dense("d", 3), Compressed("c", 300)}, 256);
  EXPECT_THAT(layout.SegmentEnds(0, kPerTensor), ElementsAre(100, 256));
  EXPECT_THAT(layout.SegmentEnds(1, kPerTensor), ElementsAre(256));
  EXPECT_THAT(layout.SegmentEnds(2, kPerTensor), ElementsAre(44));
}

TEST(LayoutTest, TheModelIsOneSegmentOfEachChunk) {
  const Layout layout = Valid({Compressed("a", 100), Compressed("b", 200)}, 256);
  EXPECT_THAT(layout.SegmentEnds(0, kWholeModel), ElementsAre(256));
  EXPECT_THAT(layout.SegmentEnds(1, kWholeModel), ElementsAre(44));
}

TEST(LayoutTest, LiveIsEmptyForChunksWithoutMaskedElements) {
  const Layout layout = Valid({Compressed("a", 768, {{300, 301}})}, 256);
  EXPECT_THAT(layout.live(0), IsEmpty());
  EXPECT_THAT(layout.live(1), SizeIs(32));
  EXPECT_THAT(layout.live(2), IsEmpty());
}

TEST(LayoutTest, LiveHasAZeroForEachMaskedElementAndEachUnusedBit) {
  const Layout layout = Valid({Compressed("a", 20, {{1, 2}, {4, 18}})}, 256);
  EXPECT_THAT(layout.live(0), ElementsAre(0b0000'1101, 0b0000'0000, 0b0000'1100));
}

TEST(LayoutTest, AMaskCrossesChunksAndFollowsItsTensorIntoTheDensePart) {
  const Layout layout = Valid({Dense("d", 9, {{8, 9}}), Compressed("c", 512, {{255, 257}})}, 256);
  EXPECT_EQ(layout.live(0).back(), 0x7f);
  EXPECT_EQ(layout.live(1).front(), 0xfe);
  EXPECT_THAT(layout.live(2), ElementsAre(0xff, 0x00));
}

TEST(LayoutTest, GroupsTakeThePlaceOfTheCompressedPartsChunks) {
  const DealingOptions options = {.num_groups = 3, .seed = 5};
  const Layout layout = Valid({Dense("d", 300), Compressed("c", 64 * 10 + 7)}, 256, options);
  ASSERT_TRUE(layout.dealing().has_value());
  EXPECT_EQ(layout.dealing()->options(), options);
  ASSERT_THAT(layout.chunks(), SizeIs(5));
  for (uint32_t group = 0; group < 3; ++group) {
    EXPECT_TRUE(layout.chunks()[group].dealt);
    EXPECT_FALSE(layout.chunks()[group].dense);
    EXPECT_EQ(layout.chunks()[group].num_elements, layout.dealing()->num_elements(group));
  }
  EXPECT_THAT(layout.chunks().subspan(3),
              ElementsAre(IsChunk(647, 256, true), IsChunk(903, 44, true)));
  EXPECT_FALSE(layout.chunks()[3].dealt);
}

TEST(LayoutTest, ContiguousChunksAreNotDealt) {
  const Layout layout = Valid({Compressed("c", 300)}, 256);
  EXPECT_FALSE(layout.dealing().has_value());
  EXPECT_FALSE(layout.chunks()[0].dealt);
}

TEST(LayoutTest, AGroupMayBeLargerThanChunkElements) {
  const Layout layout = Valid({Compressed("c", 1000)}, 256, DealingOptions{.num_groups = 1});
  ASSERT_THAT(layout.chunks(), SizeIs(1));
  EXPECT_EQ(layout.chunks()[0].num_elements, 1000u);
}

TEST(LayoutTest, AMaskFollowsItsElementsIntoTheirGroups) {
  const Layout layout =
      Valid({Compressed("c", 64 * 9, {{10, 20}, {60, 200}}), Dense("d", 9, {{8, 9}})}, 256,
            DealingOptions{.num_groups = 3});
  size_t num_masked = 0;
  for (uint32_t group = 0; group < 3; ++group) {
    const absl::Span<const uint8_t> live = layout.live(group);
    for (uint32_t i = 0; i < layout.chunks()[group].num_elements; ++i) {
      const uint64_t element = layout.dealing()->ElementOf(group, i);
      const bool masked = (element >= 10 && element < 20) || (element >= 60 && element < 200);
      const bool lives = live.empty() || ((live[i / 8] >> (i % 8)) & 1) != 0;
      EXPECT_EQ(lives, !masked) << "element " << element;
      num_masked += !lives;
    }
  }
  EXPECT_EQ(num_masked, 150u);
  EXPECT_THAT(layout.live(3), ElementsAre(0xff, 0x00));
}

TEST(LayoutTest, GroupsWithoutMaskedElementsHaveNoBitmap) {
  // The blocks of one stripe part.
  const Layout layout =
      Valid({Compressed("c", 64 * 4, {{64, 65}})}, 256, DealingOptions{.num_groups = 4});
  size_t num_bitmaps = 0;
  for (size_t group = 0; group < 4; ++group) num_bitmaps += !layout.live(group).empty();
  EXPECT_EQ(num_bitmaps, 1u);
}

// Tensors, few and small, with everything that can vary.
std::vector<Tensor> RandomTensors(std::mt19937& random) {
  const auto below = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  std::vector<Tensor> tensors;
  const size_t count = 1 + below(12);
  for (size_t t = 0; t < count; ++t) {
    Tensor tensor = Compressed(absl::StrCat("t", t), 1 + below(below(2) == 0 ? 8 : 900));
    if (below(3) == 0) tensor.treatment = Treatment::kDense;
    uint64_t begin = below(20);
    while (below(3) != 0 && begin < tensor.num_elements) {
      const uint64_t end = std::min<uint64_t>(tensor.num_elements, begin + 1 + below(300));
      tensor.masked.push_back({begin, end});
      begin = end + 1 + below(40);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Layout RandomLayout(std::mt19937& random) {
  std::vector<Tensor> tensors = RandomTensors(random);
  return Valid(std::move(tensors), 256 * (1 + static_cast<uint32_t>(random() % 4)));
}

// For each element of the flat vector: does it live?
std::vector<bool> LivesOf(const Layout& layout) {
  std::vector<bool> lives(layout.num_elements(), true);
  for (size_t t = 0; t < layout.tensors().size(); ++t) {
    for (const ElementRange& range : layout.tensors()[t].masked) {
      for (uint64_t i = range.begin; i < range.end; ++i) lives[layout.tensor_offset(t) + i] = false;
    }
  }
  return lives;
}

TEST(LayoutTest, ChunksSegmentsAndMasksAgreeWithElementwiseDefinitions) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    const Layout layout = RandomLayout(random);
    // For each element of the flat vector: does its tensor begin there, and does it live?
    std::vector<bool> begins(layout.num_elements());
    for (size_t t = 0; t < layout.tensors().size(); ++t) begins[layout.tensor_offset(t)] = true;
    const std::vector<bool> lives = LivesOf(layout);
    uint64_t offset = 0;
    for (size_t c = 0; c < layout.chunks().size(); ++c) {
      SCOPED_TRACE(absl::StrCat("chunk ", c));
      const Layout::Chunk& chunk = layout.chunks()[c];
      ASSERT_EQ(chunk.offset, offset);
      ASSERT_EQ(chunk.dense, offset >= layout.num_compressed());
      std::vector<uint32_t> tensor_ends;
      std::vector<uint32_t> block_ends;
      std::vector<uint8_t> live((chunk.num_elements + 7) / 8);
      bool masked = false;
      for (uint32_t i = 0; i < chunk.num_elements; ++i) {
        if (i > 0 && begins[offset + i]) tensor_ends.push_back(i);
        if (i > 0 && i % 256 == 0) block_ends.push_back(i);
        if (lives[offset + i]) live[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
        masked |= !lives[offset + i];
      }
      tensor_ends.push_back(chunk.num_elements);
      block_ends.push_back(chunk.num_elements);
      if (!masked) live.clear();
      EXPECT_EQ(layout.SegmentEnds(c, kPerTensor), tensor_ends);
      EXPECT_EQ(layout.SegmentEnds(c, kPerBlock256), block_ends);
      EXPECT_EQ(layout.NumSegments(c, kPerTensor), tensor_ends.size());
      EXPECT_EQ(layout.NumSegments(c, kPerBlock256), block_ends.size());
      EXPECT_EQ(layout.NumSegments(c, kWholeModel), 1u);
      EXPECT_EQ(layout.live(c), absl::MakeConstSpan(live));
      offset += chunk.num_elements;
    }
    EXPECT_EQ(offset, layout.num_elements());
  }
}

TEST(LayoutTest, GroupsHoldEveryCompressedElementOnceAndItsMask) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    std::vector<Tensor> tensors = RandomTensors(random);
    tensors.push_back(Compressed("at least one", 1));
    uint64_t num_compressed = 0;
    for (const Tensor& tensor : tensors) {
      if (tensor.treatment == Treatment::kCompressed) num_compressed += tensor.num_elements;
    }
    const auto num_blocks = static_cast<uint32_t>((num_compressed + 63) / 64);
    const DealingOptions options = {1 + static_cast<uint32_t>(random() % num_blocks), seed};
    const Layout layout = Valid(std::move(tensors), 512, options);
    const std::vector<bool> lives = LivesOf(layout);
    std::vector<bool> seen(num_compressed);
    for (uint32_t group = 0; group < options.num_groups; ++group) {
      SCOPED_TRACE(absl::StrCat("group ", group, " of ", options.num_groups));
      const uint32_t num_elements = layout.chunks()[group].num_elements;
      std::vector<uint8_t> live((num_elements + 7) / 8);
      bool masked = false;
      for (uint32_t i = 0; i < num_elements; ++i) {
        const uint64_t element = layout.dealing()->ElementOf(group, i);
        ASSERT_LT(element, num_compressed);
        ASSERT_FALSE(seen[element]);
        seen[element] = true;
        if (lives[element]) live[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
        masked |= !lives[element];
      }
      if (!masked) live.clear();
      ASSERT_EQ(layout.live(group), absl::MakeConstSpan(live));
    }
    EXPECT_THAT(seen, testing::Each(true));
    // The dense part is cut as ever.
    uint64_t offset = num_compressed;
    for (const Layout::Chunk& chunk : layout.chunks().subspan(options.num_groups)) {
      EXPECT_EQ(chunk.offset, offset);
      EXPECT_TRUE(chunk.dense && !chunk.dealt);
      offset += chunk.num_elements;
    }
    EXPECT_EQ(offset, layout.num_elements());
  }
}

TEST(LayoutTest, HandlesTheMostTensorsOverManyChunks) {
  const Layout layout = Valid(ManyTensors(kMaxTensors, 40), 256);
  ASSERT_THAT(layout.chunks(), SizeIs(kMaxTensors * 40 / 256));
  size_t num_segments = 0;
  for (size_t c = 0; c < layout.chunks().size(); ++c) {
    num_segments += layout.SegmentEnds(c, kPerTensor).size();
  }
  // Each tensor is one piece, and each border between chunks makes one more where it cuts a tensor.
  size_t num_cuts = 0;
  for (const Layout::Chunk& chunk : layout.chunks()) num_cuts += chunk.offset % 40 != 0;
  EXPECT_EQ(num_segments, kMaxTensors + num_cuts);
}

TEST(LayoutTest, AcceptsWhatIsJustAllowed) {
  const struct {
    const char* name;
    std::vector<Tensor> tensors;
    uint32_t chunk_elements;
  } kCases[] = {
      {"longest name", {Compressed(std::string(kMaxTensorNameBytes, 'n'), 1)}, 256},
      {"most elements", {Compressed("a", kMaxElements - 1), Compressed("b", 1)}, 1u << 20},
      {"largest chunk", {Compressed("a", 1)}, kMaxChunkElements},
      {"most chunks", {Compressed("a", uint64_t{256} * kMaxChunks)}, 256},
      {"most masked", {Compressed("a", 8 * kMaxMaskBytes + 1, {{0, 8 * kMaxMaskBytes}})}, 1 << 20},
      {"whole tensor masked", {Compressed("a", 9, {{0, 9}})}, 256},
      {"ranges one apart", {Compressed("a", 9, {{0, 4}, {5, 9}})}, 256},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.name);
    EXPECT_THAT(Layout::Create(test_case.tensors, test_case.chunk_elements), IsOk());
  }
}

TEST(LayoutTest, RefusesWhatBreaksARule) {
  constexpr uint64_t kMax = kMaxElements;
  const struct {
    std::vector<Tensor> tensors;
    uint32_t chunk_elements;
    const char* message;
  } kCases[] = {
      {{}, 256, "`tensors` has 0 entries, must have 1 to 65536"},
      {ManyTensors(kMaxTensors + 1, 1), 256, "`tensors` has 65537 entries"},
      {{Compressed("", 1)}, 256, "`tensors[0].name` has 0 bytes, must have 1 to 1024"},
      {{Compressed(std::string(1025, 'n'), 1)}, 256, "`tensors[0].name` has 1025 bytes"},
      {{Compressed("a", 1), Dense("b", 1), Dense("a", 1)},
       256,
       "`tensors[2].name` = \"a\", must be unique in the layout"},
      {{Compressed("a", 1), Compressed("b", 0)},
       256,
       "`tensors[1].num_elements` = 0, must be from 1 to 1099511627775"},
      {{Compressed("a", kMax + 1)}, 1 << 20, "`tensors[0].num_elements` = 1099511627777"},
      {{Compressed("a", kMax), Dense("b", 1)}, 1 << 20, "`tensors[1].num_elements` = 1"},
      {{Compressed("a", 5), Dense("b", ~uint64_t{0})},
       1 << 20,
       "`tensors[1].num_elements` = 18446744073709551615, must be from 1 to 1099511627771 (at most "
       "1099511627776 in all, the tensors before have 5)"},
      {{Compressed("a", 9, {{3, 3}})},
       256,
       "`tensors[0].masked[0].begin` = 3, must be less than end (3)"},
      {{Compressed("a", 9, {{4, 3}})}, 256, "`tensors[0].masked[0].begin` = 4"},
      {{Compressed("b", 20), Compressed("a", 9, {{4, 10}})},
       256,
       "`tensors[1].masked[0].end` = 10, must be at most num_elements (9)"},
      {{Compressed("a", 9, {{4, 7}, {7, 9}})},
       256,
       "`tensors[0].masked[1].begin` = 7, must be past the end of the range before (7)"},
      {{Compressed("a", 9, {{4, 7}, {0, 1}})},
       256,
       "`tensors[0].masked[1].begin` = 0, must be past the end of the range before (7)"},
      {{Compressed("a", 1)}, 0, "`chunk_elements` = 0, must be a multiple of 256"},
      {{Compressed("a", 1)}, 255, "`chunk_elements` = 255"},
      {{Compressed("a", 1)}, 257, "`chunk_elements` = 257"},
      {{Compressed("a", 1)}, kMaxChunkElements + 256, "`chunk_elements` = 16777472"},
      {{Compressed("a", uint64_t{256} * kMaxChunks + 1)},
       256,
       "`chunk_elements` = 256, must be larger: 268435457 elements make 1048577 chunks"},
      {{Compressed("a", uint64_t{256} * kMaxChunks), Dense("d", 1)}, 256, "1048577 chunks"},
      {{Compressed("a", 1, {{0, 1}}), Dense("b", 8 * kMaxMaskBytes, {{0, 8 * kMaxMaskBytes}})},
       1 << 20,
       "`tensors[1].masked` brings the bitmaps of masked chunks to 67108865 bytes, must be at most "
       "67108864 in all"},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.message);
    EXPECT_THAT(Layout::Create(test_case.tensors, test_case.chunk_elements),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test_case.message)));
  }
}

TEST(LayoutTest, AcceptsGroupsThatAreJustAllowed) {
  constexpr uint64_t kLargest = kMaxChunkElements;
  const struct {
    const char* name;
    uint64_t num_elements;
    uint32_t num_groups;
  } kCases[] = {
      {"one block", 1, 1},
      {"a group for each block", 64 * 5 + 1, 6},
      {"largest groups", 2 * kLargest, 2},
      {"largest group and a small one", kLargest + 1, 2},
      {"most groups", 64 * kMaxChunks, kMaxChunks},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.name);
    const auto layout = Layout::Create({Compressed("a", test_case.num_elements)}, 256,
                                       DealingOptions{.num_groups = test_case.num_groups});
    ASSERT_THAT(layout, IsOk());
    for (const Layout::Chunk& chunk : layout->chunks()) {
      ASSERT_GE(chunk.num_elements, 1u);
      ASSERT_LE(chunk.num_elements, kLargest);
    }
  }
}

TEST(LayoutTest, RefusesGroupsThatBreakARule) {
  constexpr uint64_t kLargest = kMaxChunkElements;
  const struct {
    std::vector<Tensor> tensors;
    uint32_t num_groups;
    const char* message;
  } kCases[] = {
      {{Compressed("a", 641)},
       0,
       "`dealing.num_groups` = 0, must be from 1 to 11 for 641 compressed elements in blocks of "
       "64"},
      {{Compressed("a", 641)}, 12, "`dealing.num_groups` = 12, must be from 1 to 11"},
      {{Compressed("a", 641)}, ~0u, "`dealing.num_groups` = 4294967295"},
      {{Compressed("a", kLargest + 1)}, 1, "`dealing.num_groups` = 1, must be from 2 to 262145"},
      {{Compressed("a", 4 * kLargest + 1)}, 4, "`dealing.num_groups` = 4, must be from 5 to "},
      {{Compressed("a", 65 * kMaxChunks)},
       kMaxChunks + 1,
       "`dealing.num_groups` = 1048577, must be from 5 to 1048576"},
      {{Compressed("a", 64 * kMaxChunks), Dense("b", 1)}, kMaxChunks, "make 1048577 chunks"},
      {{Dense("b", 1)}, 1, "`dealing.num_groups` = 1"},
      {{Compressed("a", 64 * kMaxChunks * 9, {{0, 64 * kMaxChunks * 9}})},
       kMaxChunks,
       "`tensors[0].masked` brings the bitmaps of masked chunks to 67108896 bytes"},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.message);
    EXPECT_THAT(
        Layout::Create(test_case.tensors, 256, DealingOptions{.num_groups = test_case.num_groups}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test_case.message)));
  }
}

TEST(LayoutTest, ACopyStandsOnItsOwn) {
  auto original = std::make_unique<Layout>(Valid({Compressed("a", 20, {{1, 2}})}, 256));
  const Layout copy = *original;
  original.reset();
  EXPECT_THAT(copy.live(0), ElementsAre(0xfd, 0xff, 0x0f));
  EXPECT_THAT(copy.SegmentEnds(0, kPerTensor), ElementsAre(20));
}

}  // namespace
}  // namespace tally
