#include "client/optimizers/dense_carry.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/optimizers/optimizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t kChunk = 1;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// A carry over two chunks of 256 and 2 elements; the tests look at the second.
class DenseCarryTest : public testing::Test {
 protected:
  explicit DenseCarryTest(DType dtype = DType::kFloat32)
      : dtype_(dtype),
        layout_(*Layout::Create({{.name = "t", .num_elements = 258}}, 256)),
        backend_(FastestHostBackend()),
        guard_(NonFinitePolicy::kAbstain, &layout_, backend_),
        carry_(&layout_, dtype, &guard_, backend_) {}

  // What is sent for a gradient; empty if the chunk abstains.
  std::vector<float> Encode(std::vector<float> gradient) {
    const absl::StatusOr<absl::optional<Buffer>> payload = carry_.Encode(kChunk, gradient);
    EXPECT_THAT(payload, IsOk());
    if (!payload->has_value()) return {};
    std::vector<float> sent(2);
    EXPECT_THAT(backend_->DecodeDense(dtype_, (*payload)->bytes(), absl::MakeSpan(sent)), IsOk());
    return sent;
  }
  void Settle(Fate fate, std::vector<float> gradient) {
    EXPECT_THAT(carry_.Settle(kChunk, fate, gradient), IsOk());
  }

  const DType dtype_;
  const Layout layout_;
  const Backend* const backend_;
  InputGuard guard_;
  DenseCarry carry_;
};

TEST_F(DenseCarryTest, SendsTheGradient) {
  EXPECT_THAT(Encode({1.0f, -2.0f}), ElementsAre(1.0f, -2.0f));
  Settle(Fate::kCounted, {1.0f, -2.0f});
  EXPECT_THAT(carry_.carried(kChunk), IsEmpty());
}

TEST_F(DenseCarryTest, AMissedGradientJoinsTheNext) {
  Encode({1.0f, -2.0f});
  Settle(Fate::kMissed, {1.0f, -2.0f});
  EXPECT_THAT(Encode({10.0f, 20.0f}), ElementsAre(11.0f, 18.0f));
  Settle(Fate::kMissed, {10.0f, 20.0f});
  EXPECT_THAT(carry_.carried(kChunk), ElementsAre(11.0f, 18.0f));
  EXPECT_THAT(Encode({0.5f, 0.5f}), ElementsAre(11.5f, 18.5f));
  Settle(Fate::kCounted, {0.5f, 0.5f});
  EXPECT_THAT(Encode({3.0f, 4.0f}), ElementsAre(3.0f, 4.0f));
}

TEST_F(DenseCarryTest, AnAbstainingChunkDropsItsGradientAndKeepsItsCarry) {
  Encode({1.0f, -2.0f});
  Settle(Fate::kMissed, {1.0f, -2.0f});
  EXPECT_THAT(Encode({kNan, 5.0f}), IsEmpty());
  EXPECT_EQ(guard_.abstained_chunks(), 1u);
  Settle(Fate::kAbstained, {kNan, 5.0f});
  EXPECT_THAT(Encode({10.0f, 20.0f}), ElementsAre(11.0f, 18.0f));
}

TEST_F(DenseCarryTest, ADroppedCarryIsGone) {
  Encode({1.0f, -2.0f});
  Settle(Fate::kMissed, {1.0f, -2.0f});
  carry_.Drop(kChunk);
  EXPECT_THAT(Encode({10.0f, 20.0f}), ElementsAre(10.0f, 20.0f));
}

TEST_F(DenseCarryTest, PassesOnTheGuardsError) {
  InputGuard guard(NonFinitePolicy::kStop, &layout_, backend_);
  DenseCarry carry(&layout_, DType::kFloat32, &guard, backend_);
  EXPECT_THAT(carry.Encode(kChunk, {0.0f, kNan}),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("`gradients[257]`")));
}

TEST_F(DenseCarryTest, GoesOnFromASavedState) {
  Encode({1.0f, -2.0f});
  Settle(Fate::kMissed, {1.0f, -2.0f});
  SavedStateWriter writer("test", layout_, 1);
  carry_.Save(writer);
  const std::string bytes = std::move(writer).Finish();
  carry_.Drop(kChunk);
  ASSERT_THAT(carry_.Load(*SavedState::Parse(bytes)), IsOk());
  EXPECT_THAT(Encode({10.0f, 20.0f}), ElementsAre(11.0f, 18.0f));
}

TEST_F(DenseCarryTest, RefusesASavedStateOfAnotherSizeAndStaysAsItWas) {
  Encode({1.0f, -2.0f});
  Settle(Fate::kMissed, {1.0f, -2.0f});
  for (const std::string& carrying : {std::string(3, 0), std::string("\1\1", 2)}) {
    SavedStateWriter writer("test", layout_, 1);
    writer.AddBytes("carrying_chunks", carrying);
    writer.AddBytes("carry", "");
    const std::string bytes = std::move(writer).Finish();
    EXPECT_THAT(carry_.Load(*SavedState::Parse(bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`carry")));
    EXPECT_THAT(carry_.carried(kChunk), ElementsAre(1.0f, -2.0f));
  }
}

class DenseCarryFloat16Test : public DenseCarryTest {
 protected:
  DenseCarryFloat16Test() : DenseCarryTest(DType::kFloat16) {}
};

TEST_F(DenseCarryFloat16Test, ChecksWhatConversionMakesOfAValue) {
  EXPECT_THAT(Encode({70'000.0f, 1.0f}), IsEmpty());
}

TEST_F(DenseCarryFloat16Test, ACarryThatDoesNotFitWaits) {
  Encode({60'000.0f, 1.0f});
  Settle(Fate::kMissed, {60'000.0f, 1.0f});
  EXPECT_THAT(Encode({60'000.0f, 2.0f}), ElementsAre(60'000.0f, 2.0f));
  Settle(Fate::kCounted, {60'000.0f, 2.0f});
  EXPECT_THAT(Encode({-60'000.0f, 3.0f}), ElementsAre(0.0f, 4.0f));
  Settle(Fate::kCounted, {-60'000.0f, 3.0f});
  EXPECT_THAT(carry_.carried(kChunk), IsEmpty());
}

}  // namespace
}  // namespace tally
