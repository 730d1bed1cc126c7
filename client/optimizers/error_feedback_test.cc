#include "client/optimizers/error_feedback.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "codecs/limits.h"
#include "codecs/sign_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "kernels/live_mask.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr ScaleGranularity kBlocks = {.block_elements = 256};
constexpr ScaleGranularity kTensors = {.unit = ScaleGranularity::Unit::kTensor};
constexpr ScaleGranularity kModel = {.unit = ScaleGranularity::Unit::kModel};

const Backend* TestBackend() { return FastestHostBackend(); }

// Two chunks of 256 and 44 elements, one tensor.
Layout TwoChunks(std::vector<ElementRange> masked = {}) {
  return *Layout::Create({{.name = "t", .num_elements = 300, .masked = std::move(masked)}}, 256);
}

// One round after the other with inputs given as flat vectors; chunks for which `abstains` is true
// sit it out.
class Rounds {
 public:
  Rounds(const Layout* layout, const ScaleGranularity& granularity,
         ScaleRule rule = ScaleRule::kMeanMagnitude)
      : feedback(layout, rule, granularity, TestBackend()), layout_(*layout) {}

  // The payloads by chunk; unset where it abstained.
  std::vector<absl::optional<Buffer>> Encode(const std::vector<float>& input,
                                             const std::vector<bool>& abstains = {}) {
    feedback.StartRound();
    const auto takes_part = [&](uint32_t chunk) -> absl::StatusOr<bool> {
      return abstains.empty() || !abstains[chunk];
    };
    const auto write = [&](uint64_t offset, absl::Span<float> out) {
      std::copy_n(input.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
      return absl::OkStatus();
    };
    std::vector<absl::optional<Buffer>> payloads;
    for (uint32_t c = 0; c < layout_.chunks().size(); ++c) {
      absl::StatusOr<absl::optional<Buffer>> payload = feedback.Encode(c, {takes_part, write});
      EXPECT_THAT(payload, IsOk());
      payloads.push_back(*std::move(payload));
    }
    return payloads;
  }

  SignBlock Decode(const Buffer& payload, uint32_t chunk) const {
    return SignBlockOf(payload.bytes(), layout_.chunks()[chunk].num_elements,
                       feedback.segments().num_segments(chunk));
  }

  // Settles both chunks alike.
  void SettleAll(Fate fate) {
    for (uint32_t c = 0; c < layout_.chunks().size(); ++c) feedback.Settle(c, fate);
  }

  ErrorFeedback feedback;

 private:
  const Layout& layout_;
};

TEST(ErrorFeedbackTest, SendsSignsAndScalesOfTheInput) {
  const Layout layout = TwoChunks();
  Rounds rounds(&layout, kBlocks);
  std::vector<float> input(300, 2.0f);
  input[1] = -2.0f;
  input[299] = -4.0f;
  const auto payloads = rounds.Encode(input);
  const SignBlock first = rounds.Decode(*payloads[0], 0);
  EXPECT_THAT(first.scales, ElementsAre(2.0f));
  EXPECT_EQ(first.bits[0], 0xfd);
  const SignBlock second = rounds.Decode(*payloads[1], 1);
  EXPECT_THAT(second.scales, ElementsAre(static_cast<float>((43 * 2.0 + 4.0) / 44.0)));
  EXPECT_EQ(second.bits.back(), 0x07);
}

TEST(ErrorFeedbackTest, AScaleSpansTheChunksOfItsSegment) {
  const Layout layout = TwoChunks();
  for (const ScaleGranularity& granularity : {kTensors, kModel}) {
    Rounds rounds(&layout, granularity, ScaleRule::kRootMeanSquare);
    std::vector<float> input(300, 3.0f);
    std::fill(input.begin() + 256, input.end(), -5.0f);
    const auto payloads = rounds.Encode(input);
    const float scale = static_cast<float>(std::sqrt((256 * 9.0 + 44 * 25.0) / 300.0));
    EXPECT_THAT(rounds.Decode(*payloads[0], 0).scales, ElementsAre(scale));
    EXPECT_THAT(rounds.Decode(*payloads[1], 1).scales, ElementsAre(scale));
  }
}

TEST(ErrorFeedbackTest, AChunkThatAbstainsCountsInNoScale) {
  const Layout layout = TwoChunks();
  Rounds rounds(&layout, kTensors);
  std::vector<float> input(300, 3.0f);
  std::fill(input.begin() + 256, input.end(), std::nanf(""));
  const auto payloads = rounds.Encode(input, {false, true});
  EXPECT_THAT(rounds.Decode(*payloads[0], 0).scales, ElementsAre(3.0f));
  EXPECT_FALSE(payloads[1].has_value());
}

TEST(ErrorFeedbackTest, MaskedElementsCountInNoScaleAndStayZero) {
  const Layout layout = TwoChunks({{0, 128}, {256, 300}});
  Rounds rounds(&layout, kBlocks);
  const auto payloads = rounds.Encode(std::vector<float>(300, -3.0f));
  const SignBlock first = rounds.Decode(*payloads[0], 0);
  EXPECT_THAT(first.scales, ElementsAre(3.0f));
  EXPECT_THAT(first.bits.first(16), Each(0xff));
  EXPECT_THAT(first.bits.subspan(16), Each(0x00));
  EXPECT_THAT(rounds.Decode(*payloads[1], 1).scales, ElementsAre(0.0f));
  rounds.SettleAll(Fate::kMissed);
  EXPECT_DOUBLE_EQ(rounds.feedback.Norm(), 3.0 * std::sqrt(128.0));
}

TEST(ErrorFeedbackTest, AScaleNeverExceedsTheProtocolsBound) {
  const Layout layout = TwoChunks();
  Rounds rounds(&layout, kBlocks);
  const std::vector<float> input(300, kMaxMagnitude);
  rounds.Encode(input);
  rounds.SettleAll(Fate::kMissed);
  const auto payloads = rounds.Encode(input);
  EXPECT_THAT(rounds.Decode(*payloads[0], 0).scales, ElementsAre(kMaxMagnitude));
  rounds.SettleAll(Fate::kCounted);
  EXPECT_EQ(rounds.feedback.Norm(), kMaxMagnitude * std::sqrt(300.0));
}

TEST(ErrorFeedbackTest, TheNormLeavesOutWhatWasCounted) {
  const Layout layout = TwoChunks();
  Rounds rounds(&layout, kBlocks);
  rounds.Encode(std::vector<float>(300, 2.0f));
  rounds.feedback.Settle(0, Fate::kCounted);
  rounds.feedback.Settle(1, Fate::kMissed);
  EXPECT_EQ(rounds.feedback.Norm(), 2.0 * std::sqrt(44.0));
}

TEST(ErrorFeedbackTest, AddJoinsTheSum) {
  const Layout layout = TwoChunks();
  Rounds rounds(&layout, kBlocks);
  ASSERT_THAT(rounds.feedback.Add(256, -0.5f, std::vector<float>(44, 4.0f)), IsOk());
  const auto payloads = rounds.Encode(std::vector<float>(300, 0.0f));
  EXPECT_THAT(rounds.Decode(*payloads[0], 0).scales, ElementsAre(0.0f));
  const SignBlock second = rounds.Decode(*payloads[1], 1);
  EXPECT_THAT(second.scales, ElementsAre(2.0f));
  EXPECT_THAT(second.bits, Each(0x00));
}

TEST(ErrorFeedbackTest, PassesOnTheInputsErrors) {
  const Layout layout = TwoChunks();
  ErrorFeedback feedback(&layout, ScaleRule::kMeanMagnitude, kBlocks, TestBackend());
  const auto stops = [](uint32_t) -> absl::StatusOr<bool> { return absl::OutOfRangeError("stop"); };
  const auto joins = [](uint32_t) -> absl::StatusOr<bool> { return true; };
  const auto breaks = [](uint64_t, absl::Span<float>) { return absl::InternalError("break"); };
  feedback.StartRound();
  EXPECT_THAT(feedback.Encode(0, {stops, breaks}), StatusIs(absl::StatusCode::kOutOfRange, "stop"));
  feedback.StartRound();
  EXPECT_THAT(feedback.Encode(0, {joins, breaks}), StatusIs(absl::StatusCode::kInternal, "break"));
}

// The ledger of class A (docs/algorithms.md, What is conserved): all inputs are in counted
// contributions or in the residual, whatever was missed or sat out.
TEST(ErrorFeedbackTest, NothingIsLostOrCountedTwice) {
  constexpr size_t kRounds = 100;
  constexpr size_t kNumElements = 50'000;
  const Layout layout =
      *Layout::Create({{.name = "a", .num_elements = 20'001, .masked = {{5, 9}, {300, 700}}},
                       {.name = "b", .num_elements = kNumElements - 20'001}},
                      20'480);
  for (const ScaleGranularity& granularity : {ScaleGranularity(), kTensors, kModel}) {
    for (const ScaleRule rule : {ScaleRule::kRootMeanSquare, ScaleRule::kMeanMagnitude}) {
      SCOPED_TRACE(testing::Message()
                   << static_cast<int>(granularity.unit) << ", " << static_cast<int>(rule));
      Rounds rounds(&layout, granularity, rule);
      std::mt19937 random(7);
      std::normal_distribution<float> normal;
      std::vector<double> ledger(kNumElements);  // inputs - counted contributions
      double largest_sum = 0.0;
      std::vector<float> input(kNumElements);
      for (size_t round = 0; round < kRounds; ++round) {
        std::vector<bool> abstains;
        for (size_t c = 0; c < layout.chunks().size(); ++c) abstains.push_back(random() % 8 == 0);
        for (size_t i = 0; i < kNumElements; ++i) input[i] = normal(random);
        const auto payloads = rounds.Encode(input, abstains);
        for (uint32_t c = 0; c < layout.chunks().size(); ++c) {
          const Layout::Chunk& chunk = layout.chunks()[c];
          if (abstains[c]) {
            rounds.feedback.Settle(c, Fate::kAbstained);
            continue;
          }
          const bool counted = random() % 4 != 0;
          const SignBlock sent = rounds.Decode(*payloads[c], c);
          std::vector<float> decoded(chunk.num_elements);
          ASSERT_THAT(TestBackend()->SumSigns({sent}, layout.SegmentEnds(c, granularity),
                                              layout.live(c), absl::MakeSpan(decoded)),
                      IsOk());
          for (size_t i = 0; i < chunk.num_elements; ++i) {
            double& entry = ledger[chunk.offset + i];
            if (CountLive(layout.live(c), i, i + 1) == 0) continue;
            entry += input[chunk.offset + i];
            largest_sum = std::max(largest_sum, std::abs(entry));
            if (counted) entry -= decoded[i];
          }
          rounds.feedback.Settle(c, counted ? Fate::kCounted : Fate::kMissed);
        }
      }
      // Taken out of the residual itself, the ledger leaves nothing but rounding.
      std::vector<float> expected(ledger.begin(), ledger.end());
      ASSERT_THAT(rounds.feedback.Add(0, -1.0f, expected), IsOk());
      const double bound_per_element = kRounds * std::ldexp(1.0, -23) * largest_sum;
      EXPECT_LE(rounds.feedback.Norm(), bound_per_element * std::sqrt(kNumElements));
    }
  }
}

TEST(ErrorFeedbackTest, GoesOnFromASavedStateWithATakeOutPending) {
  const Layout layout = TwoChunks();
  Rounds rounds(&layout, kBlocks);
  std::vector<float> input(300);
  for (size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i) / 7.0f - 20.0f;
  rounds.Encode(input);
  rounds.feedback.Settle(0, Fate::kCounted);
  rounds.feedback.Settle(1, Fate::kMissed);
  SavedStateWriter writer("test", layout, 1);
  rounds.feedback.Save(writer);
  const std::string bytes = std::move(writer).Finish();

  Rounds loaded(&layout, kBlocks);
  loaded.Encode(std::vector<float>(300, 9.0f));  // loading replaces what was there
  loaded.SettleAll(Fate::kCounted);
  ASSERT_THAT(loaded.feedback.Load(*SavedState::Parse(bytes)), IsOk());
  EXPECT_EQ(loaded.feedback.Norm(), rounds.feedback.Norm());
  const auto expected = rounds.Encode(input);
  const auto payloads = loaded.Encode(input);
  for (size_t c = 0; c < 2; ++c) {
    ASSERT_EQ(payloads[c]->size(), expected[c]->size());
    EXPECT_EQ(std::memcmp(payloads[c]->data(), expected[c]->data(), expected[c]->size()), 0);
  }
}

TEST(ErrorFeedbackTest, RefusesSavedContributionsThatAreNone) {
  const Layout layout = TwoChunks();
  const std::vector<float> sums(300);
  const size_t payload_bytes = SignPayloadBytes(256, 1);
  struct Row {
    std::string counted;
    std::string contributions;
    std::string message;
  };
  const Row rows[] = {
      {std::string(3, 0), "", "`counted_chunks`"},
      {std::string("\1\0", 2), "", "`payload` has 0 bytes"},
      {std::string("\1\0", 2), std::string(payload_bytes, '\xff'), "`payload.scales[0]`"},
      {std::string(2, 0), std::string(payload_bytes, 0), "bytes longer"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.message);
    SavedStateWriter writer("test", layout, 1);
    writer.AddValues<float>("residual_sum", sums);
    writer.AddBytes("counted_chunks", row.counted);
    writer.AddBytes("counted_contributions", row.contributions);
    const std::string bytes = std::move(writer).Finish();
    ErrorFeedback feedback(&layout, ScaleRule::kMeanMagnitude, kBlocks, TestBackend());
    EXPECT_THAT(feedback.Load(*SavedState::Parse(bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.message)));
  }
}

}  // namespace
}  // namespace tally
