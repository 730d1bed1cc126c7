// Conformance of the sign kernels.
#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/conformance.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr size_t kParticipantCounts[] = {1, 2, 3, 8, 32, 33};
constexpr ScaleRule kRules[] = {ScaleRule::kRootMeanSquare, ScaleRule::kMeanMagnitude};

// How a chunk is cut.
enum class Layout { kOneSegment, kBlocks, kIrregular };
constexpr Layout kLayouts[] = {Layout::kOneSegment, Layout::kBlocks, Layout::kIrregular};

class SignConformanceTest : public ConformanceTest {
 protected:
  std::vector<uint32_t> Segments(Layout layout, size_t size) {
    std::vector<uint32_t> ends;
    for (size_t end = 0; end < size;) {
      switch (layout) {
        case Layout::kOneSegment:
          end = size;
          break;
        case Layout::kBlocks:
          end += 4096;
          break;
        case Layout::kIrregular:
          // Mostly within a byte or a few vectors, at times across several blocks.
          end += 1 + (random()() % 16 == 0 ? random()() % 20000 : random()() % 300);
          break;
      }
      ends.push_back(static_cast<uint32_t>(std::min(end, size)));
    }
    return ends;
  }

  // Moderate magnitudes, 0 and the smallest subnormal among them.
  std::vector<float> Scales(size_t size) {
    std::vector<float> scales = ModerateFloats(size);
    for (float& scale : scales) scale = std::abs(scale);
    return scales;
  }

  std::vector<uint8_t> Live(bool is_masked, size_t size) {
    return is_masked ? Bytes(BitmapBytes(size)) : std::vector<uint8_t>();
  }

  // Every case of the suite: sizes by layouts by masks, the largest size only once per layout.
  template <typename Function>
  void ForEachShape(Function function) {
    for (const size_t size : Sizes()) {
      for (const Layout layout : kLayouts) {
        for (const bool is_masked : {false, true}) {
          if (size > (1 << 20) && is_masked != (layout == Layout::kIrregular)) continue;
          SCOPED_TRACE(absl::StrCat("size ", size, ", layout ", static_cast<int>(layout),
                                    is_masked ? ", masked" : ""));
          function(size, Segments(layout, size), Live(is_masked, size));
        }
      }
    }
  }
};

// Participants' payloads; bitmaps start at any byte.
class Blocks {
 public:
  void Add(std::vector<uint8_t> bits, std::vector<float> scales) {
    bits_.emplace_back(bits, 1 + bits_.size() % 7);
    scales_.emplace_back(scales, scales_.size() % 4);
  }

  std::vector<SignBlock> Get(size_t count) const {
    std::vector<SignBlock> blocks;
    for (size_t n = 0; n < count; ++n) blocks.push_back({bits_[n].span(), scales_[n].span()});
    return blocks;
  }

 private:
  std::vector<GuardedArray<uint8_t>> bits_;
  std::vector<GuardedArray<float>> scales_;
};

INSTANTIATE_TEST_SUITE_P(Backends, SignConformanceTest, testing::ValuesIn(ConformanceParams()),
                         ConformanceName);

TEST_P(SignConformanceTest, PackSignsHasTheBitsOfScalar) {
  for (const size_t size : Sizes()) {
    const size_t offset = random()() % 4;
    SCOPED_TRACE(absl::StrCat("size ", size, ", offset ", offset));
    std::vector<float> values = WideFloats(size);
    for (float& x : values) {
      if (random()() % 16 == 0) x = std::copysign(std::numeric_limits<float>::infinity(), x);
    }
    const GuardedArray<float> x(values, offset);
    GuardedArray<uint8_t> expected(BitmapBytes(size));
    GuardedArray<uint8_t> actual(BitmapBytes(size), offset + 1);
    ASSERT_THAT(scalar().PackSigns(x.span(), expected.span()), IsOk());
    ASSERT_THAT(backend().PackSigns(x.span(), actual.span()), IsOk());
    EXPECT_TRUE(SameBits(actual.span(), expected.span()));
    EXPECT_TRUE(actual.IsIntact());
  }
}

TEST_P(SignConformanceTest, SumSignsHasTheBitsOfScalar) {
  ForEachShape(
      [this](size_t size, const std::vector<uint32_t>& ends, const std::vector<uint8_t>& live) {
        Blocks payloads;
        for (size_t n = 0; n < 33; ++n) payloads.Add(Bytes(BitmapBytes(size)), Scales(ends.size()));
        for (const size_t participants : kParticipantCounts) {
          if (size > (1 << 20) && participants != 3) continue;
          SCOPED_TRACE(absl::StrCat(participants, " participants"));
          const std::vector<SignBlock> blocks = payloads.Get(participants);
          GuardedArray<float> expected(size);
          GuardedArray<float> actual(size, participants % 4);
          ASSERT_THAT(scalar().SumSigns(blocks, ends, live, expected.span()), IsOk());
          ASSERT_THAT(backend().SumSigns(blocks, ends, live, actual.span()), IsOk());
          ASSERT_TRUE(SameBits(actual.span(), expected.span()));
          ASSERT_TRUE(actual.IsIntact());
        }
      });
}

TEST_P(SignConformanceTest, AccumulateHasTheBitsOfScalar) {
  ForEachShape([this](size_t size, const std::vector<uint32_t>& ends,
                      const std::vector<uint8_t>& live) {
    Blocks counted;
    counted.Add(Bytes(BitmapBytes(size)), Scales(ends.size()));
    const size_t offset = random()() % 4;
    const GuardedArray<float> input(SpecialFloats(size), offset);
    for (const ScaleRule rule : kRules) {
      for (const bool something_leaves : {false, true}) {
        SCOPED_TRACE(absl::StrCat("rule ", static_cast<int>(rule), ", leaves ", something_leaves));
        const SignBlock block = something_leaves ? counted.Get(1)[0] : SignBlock();
        GuardedArray<float> expected(WideFloats(size), (offset + 1) % 4);
        GuardedArray<float> actual = expected;
        GuardedArray<double> expected_norms(ends.size());
        GuardedArray<double> actual_norms(ends.size());
        ASSERT_THAT(scalar().Accumulate({expected.span(), input.span(), block, ends, live, rule,
                                         expected_norms.span()}),
                    IsOk());
        ASSERT_THAT(backend().Accumulate({actual.span(), input.span(), block, ends, live, rule,
                                          actual_norms.span()}),
                    IsOk());
        ASSERT_TRUE(SameBits(actual.span(), expected.span()));
        ASSERT_TRUE(SameBits(actual_norms.span(), expected_norms.span()));
        ASSERT_TRUE(actual.IsIntact() && actual_norms.IsIntact());
      }
    }
  });
}

// What a round writes.
struct RoundOutputs {
  GuardedArray<float> residual;
  GuardedArray<uint8_t> bits;
  GuardedArray<float> scales;

  absl::Status Run(const Backend& backend, absl::Span<const SignBlock> blocks,
                   SegmentEnds segment_ends, absl::Span<const uint8_t> live, ScaleRule rule) {
    return backend.SignRound({.blocks = blocks,
                              .divisor = static_cast<float>(blocks.size()),
                              .segment_ends = segment_ends,
                              .live = live,
                              .rule = rule,
                              .residual = residual.span(),
                              .bits = bits.span(),
                              .scales = scales.span()});
  }
};

TEST_P(SignConformanceTest, SignRoundHasTheBitsOfScalar) {
  ForEachShape([this](size_t size, const std::vector<uint32_t>& ends,
                      const std::vector<uint8_t>& live) {
    Blocks payloads;
    for (size_t n = 0; n < 33; ++n) payloads.Add(Bytes(BitmapBytes(size)), Scales(ends.size()));
    for (const size_t participants : kParticipantCounts) {
      if (size > (1 << 20) && participants != 3) continue;
      const ScaleRule rule = kRules[participants % 2];
      SCOPED_TRACE(absl::StrCat(participants, " participants"));
      const std::vector<SignBlock> blocks = payloads.Get(participants);
      RoundOutputs expected = {GuardedArray<float>(ModerateFloats(size), participants % 4),
                               GuardedArray<uint8_t>(BitmapBytes(size), participants % 5),
                               GuardedArray<float>(ends.size(), 1)};
      RoundOutputs actual = expected;
      // The second round starts from the residual of the first.
      for (int round = 0; round < 2; ++round) {
        ASSERT_THAT(expected.Run(scalar(), blocks, ends, live, rule), IsOk());
        ASSERT_THAT(actual.Run(backend(), blocks, ends, live, rule), IsOk());
      }
      ASSERT_TRUE(SameBits(actual.scales.span(), expected.scales.span()));
      ASSERT_TRUE(SameBits(actual.bits.span(), expected.bits.span()));
      ASSERT_TRUE(SameBits(actual.residual.span(), expected.residual.span()));
      ASSERT_TRUE(actual.residual.IsIntact() && actual.bits.IsIntact() && actual.scales.IsIntact());
    }
  });
}

}  // namespace
}  // namespace tally
