#include "client/optimizers/sign_rounds.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "base/buffer.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/optimizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr float kValue = 3.0f;

class SignRoundsTest : public testing::Test {
 protected:
  std::unique_ptr<SignRounds> NewRounds() const {
    return std::make_unique<SignRounds>(exchange_, &layout_, &backend_);
  }

  // This worker's contribution to a chunk of kValue everywhere.
  ChunkContribution Encode(SignRounds& rounds, uint32_t chunk) const {
    const auto takes_part = [](uint32_t) -> absl::StatusOr<bool> { return true; };
    const auto write = [](uint64_t, absl::Span<float> out) {
      std::fill(out.begin(), out.end(), kValue);
      return absl::OkStatus();
    };
    absl::StatusOr<ChunkContribution> contribution = rounds.Encode(chunk, {takes_part, write});
    EXPECT_THAT(contribution, IsOk());
    return *std::move(contribution);
  }

  // What comes back if nobody else takes part and the aggregator's residual is zero.
  static ChunkResult ResultOf(uint32_t chunk, ChunkContribution contribution) {
    ChunkResult result;
    result.chunk = chunk;
    result.exchange = contribution.exchange;
    result.counted = true;
    result.payload = std::make_shared<const Buffer>(*std::move(contribution.payload));
    return result;
  }
  static ChunkResult NobodysResult(uint32_t chunk) {
    ChunkResult result;
    result.chunk = chunk;
    return result;
  }

  static bool Zeroes(const ChunkContribution& contribution) {
    return absl::get<SignExchange>(contribution.exchange.kind).zero_residual;
  }

  static std::string StateOf(const SignRounds& rounds, const Layout& layout) {
    SavedStateWriter writer("test", layout, 0);
    rounds.Save(writer);
    return std::move(writer).Finish();
  }

  const Layout layout_ =
      *Layout::Create({{.name = "a", .num_elements = 300, .masked = {{290, 300}}},
                       {.name = "d", .num_elements = 5, .treatment = Treatment::kDense}},
                      256);
  const Backend& backend_ = *FastestHostBackend();
  const Exchange exchange_ = {SignExchange{.granularity = {.block_elements = 256}}};
};

TEST_F(SignRoundsTest, DecodesWhatWasSentTileByTile) {
  const std::unique_ptr<SignRounds> rounds = NewRounds();
  rounds->StartRound();
  for (uint32_t chunk = 0; chunk < 2; ++chunk) {
    const ChunkResult result = ResultOf(chunk, Encode(*rounds, chunk));
    rounds->Settle(result, Fate::kCounted);
    ASSERT_EQ(rounds->num_tiles(chunk), 1u);
    const SignRounds::Range range = rounds->range(chunk, 0);
    EXPECT_EQ(range.offset, chunk * 256u);
    EXPECT_EQ(range.num_elements, chunk == 0 ? 256u : 44u);
    std::vector<float> mean(range.num_elements);
    ASSERT_THAT(rounds->Decode(result, 0, absl::MakeSpan(mean)), IsOk());
    const size_t num_live = chunk == 0 ? 256 : 34;
    EXPECT_THAT(std::vector<float>(mean.begin(), mean.begin() + num_live), Each(kValue));
    EXPECT_THAT(std::vector<float>(mean.begin() + num_live, mean.end()), Each(0.0f));
  }
  EXPECT_EQ(rounds->Norm(), 0.0);
}

TEST_F(SignRoundsTest, LetsTheAggregatorForgetItsResidualOnce) {
  const std::unique_ptr<SignRounds> rounds = NewRounds();
  rounds->StartRound();
  ChunkContribution first = Encode(*rounds, 0);
  EXPECT_FALSE(Zeroes(first));
  rounds->Settle(ResultOf(0, std::move(first)), Fate::kMissed);
  EXPECT_GT(rounds->Norm(), 0.0);
  rounds->Zero();
  EXPECT_EQ(rounds->Norm(), 0.0);
  rounds->StartRound();
  ChunkContribution second = Encode(*rounds, 0);
  EXPECT_TRUE(Zeroes(second));
  rounds->Settle(ResultOf(0, std::move(second)), Fate::kCounted);
  rounds->StartRound();
  EXPECT_FALSE(Zeroes(Encode(*rounds, 0)));
  EXPECT_TRUE(Zeroes(Encode(*rounds, 1)));  // it has had no exchange since
}

TEST_F(SignRoundsTest, AsksTheAggregatorAgainAfterARoundOfNobody) {
  const std::unique_ptr<SignRounds> rounds = NewRounds();
  rounds->Zero();
  rounds->StartRound();
  EXPECT_TRUE(Zeroes(Encode(*rounds, 0)));
  rounds->Settle(NobodysResult(0), Fate::kMissed);
  rounds->StartRound();
  EXPECT_TRUE(Zeroes(Encode(*rounds, 0)));
}

TEST_F(SignRoundsTest, TakesTheCarryOfCompressedChunksAlone) {
  InputGuard guard(NonFinitePolicy::kAbstain, &layout_, &backend_);
  DenseCarry carry(&layout_, DType::kFloat32, &guard, &backend_);
  const std::vector<float> gradient(256, 1.0f);
  for (const uint32_t chunk : {0u, 2u}) {
    const auto of_chunk = absl::MakeConstSpan(gradient).first(layout_.chunks()[chunk].num_elements);
    ASSERT_THAT(carry.Encode(chunk, of_chunk), IsOk());
    ASSERT_THAT(carry.Settle(chunk, Fate::kMissed, of_chunk), IsOk());
  }
  const std::unique_ptr<SignRounds> rounds = NewRounds();
  ASSERT_THAT(rounds->TakeCarry(carry,
                                [&](uint64_t offset, absl::Span<const float> carried) {
                                  return rounds->Add(offset, 0.5f, carried);
                                }),
              IsOk());
  EXPECT_EQ(rounds->Norm(), 8.0);  // 256 halves
  EXPECT_TRUE(carry.carried(0).empty());
  EXPECT_FALSE(carry.carried(2).empty());
}

TEST_F(SignRoundsTest, GoesOnFromASavedState) {
  const std::unique_ptr<SignRounds> rounds = NewRounds();
  rounds->Zero();
  rounds->StartRound();
  rounds->Settle(ResultOf(1, Encode(*rounds, 1)), Fate::kCounted);
  const std::string state = StateOf(*rounds, layout_);
  const std::unique_ptr<SignRounds> loaded = NewRounds();
  ASSERT_THAT(loaded->Load(*SavedState::Parse(state)), IsOk());
  EXPECT_EQ(StateOf(*loaded, layout_), state);
  loaded->StartRound();
  EXPECT_TRUE(Zeroes(Encode(*loaded, 0)));
  EXPECT_FALSE(Zeroes(Encode(*loaded, 1)));
}

TEST_F(SignRoundsTest, ALoadThatFailsChangesNothing) {
  const std::unique_ptr<SignRounds> rounds = NewRounds();
  rounds->Zero();
  const std::string before = StateOf(*rounds, layout_);
  SavedStateWriter writer("test", layout_, 0);
  NewRounds()->Save(writer);
  writer.AddBytes("zeroing_chunks", "x");
  const std::string other = std::move(writer).Finish();
  EXPECT_THAT(rounds->Load(*SavedState::Parse(other)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`zeroing_chunks`")));
  EXPECT_EQ(StateOf(*rounds, layout_), before);
}

}  // namespace
}  // namespace tally
